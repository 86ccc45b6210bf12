#include "server/http_api.h"

#include <chrono>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "google/protobuf/util/json_util.h"
#include "nlohmann/json.hpp"
#include "server/grpc_status.h"
#include "server/inference_service.h"
#include "server/repository_service.h"
#include "server/status_details.h"
#include "tern/v1/inference.pb.h"
#include "tern/v1/repository.pb.h"

namespace tern::server {
namespace {

constexpr std::size_t kWaitingAnswers = 4096;

HttpResponse JsonResponse(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  // A class 0 or a probability 0 must not be missing.
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  HttpResponse response;
  response.content_type = "application/json";
  const auto status = google::protobuf::util::MessageToJsonString(
      message, &response.body, options);
  if (!status.ok()) {
    return ErrorResponse(absl::InternalError(status.ToString()));
  }
  return response;
}

// `*value` stays where the query does not have the name.
absl::Status ReadNumber(const HttpRequest& request, const std::string& name,
                        std::int64_t least, std::int64_t most,
                        std::int64_t* value) {
  const auto found = request.query.find(name);
  if (found == request.query.end()) return absl::OkStatus();
  if (!absl::SimpleAtoi(found->second, value) || *value < least ||
      *value > most) {
    return InvalidField(name, absl::StrCat("want a number ", least, "..", most,
                                           ", got '", found->second, "'"));
  }
  return absl::OkStatus();
}

absl::Status ReadFlag(const HttpRequest& request, const std::string& name,
                      bool* value) {
  const auto found = request.query.find(name);
  if (found == request.query.end()) return absl::OkStatus();
  if (found->second != "true" && found->second != "false") {
    return InvalidField(
        name, absl::StrCat("want true or false, got '", found->second, "'"));
  }
  *value = found->second == "true";
  return absl::OkStatus();
}

absl::Status CheckQueryNames(const HttpRequest& request) {
  for (const auto& [name, value] : request.query) {
    if (name != "top_k" && name != "logits" && name != "priority") {
      return InvalidField(name,
                          "no such option; want top_k, logits or priority");
    }
  }
  return absl::OkStatus();
}

// What people send by mistake, curl's other ways of sending a file among them.
// Decoding judges the rest.
absl::Status CheckBody(const HttpRequest& http) {
  constexpr absl::string_view kHalfASignature = "\x89PNG";
  constexpr absl::string_view kSignature = "\x89PNG\r\n\x1a\n";
  if (http.body.empty()) {
    return InvalidField("body", "want a JPEG or PNG file, got nothing");
  }
  const auto type = http.headers.find("content-type");
  if (type != http.headers.end() &&
      absl::StartsWithIgnoreCase(type->second, "multipart/")) {
    return InvalidField("body",
                        "want the file's bytes alone, got a form; with curl "
                        "send it by --data-binary @FILE");
  }
  if (absl::StartsWith(http.body, kHalfASignature) &&
      !absl::StartsWith(http.body, kSignature)) {
    return InvalidField("body",
                        "a PNG file whose line ends were changed on the way; "
                        "with curl send it by --data-binary @FILE");
  }
  return absl::OkStatus();
}

absl::StatusOr<ClassifyRequest> ReadRequest(const HttpRequest& http) {
  TERN_RETURN_IF_ERROR(CheckQueryNames(http));
  ClassifyRequest request;
  request.model.name = http.parameters.at("model");
  if (const auto version = http.parameters.find("version");
      version != http.parameters.end()) {
    std::uint64_t number = 0;
    if (!absl::SimpleAtoi(version->second, &number)) {
      return InvalidField("version", absl::StrCat("want a number, got '",
                                                  version->second, "'"));
    }
    request.model.version = number;
  }
  std::int64_t top_k = 0;
  TERN_RETURN_IF_ERROR(ReadNumber(
      http, "top_k", 0, std::numeric_limits<std::uint32_t>::max(), &top_k));
  request.top_k = static_cast<std::uint32_t>(top_k);
  std::int64_t priority = 0;
  TERN_RETURN_IF_ERROR(ReadNumber(http, "priority", -100, 100, &priority));
  request.priority = static_cast<int>(priority);
  TERN_RETURN_IF_ERROR(ReadFlag(http, "logits", &request.return_logits));
  TERN_RETURN_IF_ERROR(CheckBody(http));
  Picture picture;
  picture.kind = Picture::Kind::kEncoded;
  picture.bytes = {reinterpret_cast<const std::uint8_t*>(http.body.data()),
                   http.body.size()};
  request.pictures.push_back(picture);
  return request;
}

// The one picture is the body.
absl::Status AboutBody(const absl::Status& status) {
  const std::string field = FieldOf(status);
  if (field != "images[0].encoded") return status;
  return InvalidField("body",
                      std::string(status.message()).substr(field.size() + 2));
}

}  // namespace

int HttpCode(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kOk:
      return 200;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
      return 400;
    case absl::StatusCode::kUnauthenticated:
      return 401;
    case absl::StatusCode::kPermissionDenied:
      return 403;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kAborted:
      return 409;
    case absl::StatusCode::kResourceExhausted:
      return 429;
    case absl::StatusCode::kCancelled:
      return 499;
    case absl::StatusCode::kUnimplemented:
      return 501;
    case absl::StatusCode::kUnavailable:
      return 503;
    case absl::StatusCode::kDeadlineExceeded:
      return 504;
    default:
      return 500;
  }
}

HttpResponse ErrorResponse(const absl::Status& status) {
  const google::rpc::Status rpc = ToRpcStatus(status);
  HttpResponse response = ErrorResponse(HttpCode(status.code()),
                                        CodeName(status.code()), rpc.message());
  if (!rpc.details().empty()) {
    std::string text;
    if (google::protobuf::util::MessageToJsonString(rpc, &text).ok()) {
      nlohmann::json body = nlohmann::json::parse(response.body);
      body["error"]["details"] = nlohmann::json::parse(text)["details"];
      response.body = body.dump() + "\n";
    }
  }
  if (const auto delay = RetryDelayOf(status)) {
    response.headers.emplace(
        "Retry-After",
        absl::StrCat(std::chrono::ceil<std::chrono::seconds>(*delay).count()));
  }
  return response;
}

HttpApi::HttpApi(Classifier* classifier, const ModelManager* manager,
                 CallObserver* observer, Nanos timeout)
    : classifier_(classifier),
      manager_(manager),
      observer_(observer),
      timeout_(timeout),
      writer_(1, kWaitingAnswers) {}

HttpApi::~HttpApi() = default;

void HttpApi::Observe(const char* method, absl::StatusCode code,
                      double seconds) const {
  if (observer_ != nullptr) observer_->OnCallDone(method, code, seconds);
}

void HttpApi::Classify(const std::shared_ptr<HttpExchange>& exchange) {
  auto request = ReadRequest(exchange->request());
  if (!request.ok()) {
    Observe("Http.Classify", request.status().code(), 0);
    exchange->Send(ErrorResponse(request.status()));
    return;
  }
  request->deadline = AddOrNever(std::chrono::steady_clock::now(), timeout_);
  classifier_->Classify(
      *std::move(request), [this, exchange](ClassifyReply reply) {
        auto shared = std::make_shared<ClassifyReply>(std::move(reply));
        if (!writer_.TryPost([this, exchange, shared] {
              Answer(exchange, std::move(*shared));
            })) {
          Answer(exchange, std::move(*shared));
        }
      });
}

void HttpApi::Answer(const std::shared_ptr<HttpExchange>& exchange,
                     ClassifyReply reply) {
  absl::Status status = reply.status;
  if (status.ok()) status = AboutBody(reply.results.at(0).status);
  const std::chrono::duration<double> seconds = reply.total_time;
  Observe("Http.Classify", status.code(), seconds.count());
  if (!status.ok()) {
    exchange->Send(ErrorResponse(status));
    return;
  }
  v1::ClassifyResponse response;
  ToProto(reply, &response);
  reply.servable.reset();
  exchange->Send(JsonResponse(response));
}

void HttpApi::ListModels(const std::shared_ptr<HttpExchange>& exchange) {
  const auto start = std::chrono::steady_clock::now();
  const auto versions = manager_->List("");
  v1::ListModelsResponse response;
  if (versions.ok()) {
    for (const VersionStatus& version : *versions) {
      ToProto(version, response.add_models());
    }
  }
  const std::chrono::duration<double> seconds =
      std::chrono::steady_clock::now() - start;
  Observe("Http.ListModels", versions.status().code(), seconds.count());
  exchange->Send(versions.ok() ? JsonResponse(response)
                               : ErrorResponse(versions.status()));
}

}  // namespace tern::server
