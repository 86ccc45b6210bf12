#include "clients/cpp/tern_client.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <random>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "clients/cpp/file_digest.h"
#include "clients/cpp/retry.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "tern/v1/inference.grpc.pb.h"
#include "tern/v1/repository.grpc.pb.h"

namespace tern::client {
namespace {

constexpr std::size_t kChunkBytes = std::size_t{1} << 18;
// A server that has just come up should not be missed for a second.
constexpr int kReconnectMs = 100;

double Jitter() {
  static thread_local std::minstd_rand random(std::random_device{}());
  return std::uniform_real_distribution<double>(0, 1)(random);
}

template <typename Response>
using CallFn = absl::FunctionRef<grpc::Status(grpc::ClientContext*, Response*)>;

template <typename Response>
absl::StatusOr<Response> CallWithRetry(absl::Duration timeout, int attempts,
                                       Repeat repeat, CallFn<Response> call) {
  const absl::Time deadline = absl::Now() + timeout;
  for (int attempt = 1;; ++attempt) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(deadline));
    Response response;
    const grpc::Status status = call(&context, &response);
    if (status.ok()) return response;
    if (attempt >= attempts) return ToAbslStatus(status);
    const auto delay =
        RetryDelay(status, attempt, repeat, deadline - absl::Now(), Jitter());
    if (!delay.has_value()) return ToAbslStatus(status);
    absl::SleepFor(*delay);
  }
}

// Sends all of `file`; false where the server has ended the call already.
bool SendFile(std::istream& file, grpc::ClientWriter<v1::UploadRequest>* writer,
              const std::function<void(std::uint64_t)>& progress) {
  v1::UploadRequest request;
  std::uint64_t sent = 0;
  for (;;) {
    std::string* chunk = request.mutable_chunk();
    chunk->resize(kChunkBytes);
    file.read(chunk->data(), static_cast<std::streamsize>(chunk->size()));
    chunk->resize(static_cast<std::size_t>(file.gcount()));
    if (chunk->empty()) return true;
    sent += chunk->size();
    if (!writer->Write(request)) return false;
    if (progress) progress(sent);
  }
}

v1::UploadRequest StartOf(const FileDigest& digest, const std::string& model,
                          std::uint64_t version) {
  v1::UploadRequest request;
  v1::UploadStart& start = *request.mutable_start();
  start.set_model(model);
  start.set_version(version);
  start.set_size(digest.bytes);
  start.set_digest(digest.sha256);
  return request;
}

}  // namespace

struct Client::Stubs {
  std::unique_ptr<v1::InferenceService::Stub> inference;
  std::unique_ptr<v1::RepositoryService::Stub> repository;
  std::unique_ptr<grpc::health::v1::Health::Stub> health;
};

Client::Client(const std::string& target, const ClientOptions& options)
    : stubs_(std::make_unique<Stubs>()), options_(options) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(options.max_message_bytes);
  arguments.SetMaxSendMessageSize(options.max_message_bytes);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectMs);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kReconnectMs);
  const std::shared_ptr<grpc::Channel> channel = grpc::CreateCustomChannel(
      target, grpc::InsecureChannelCredentials(), arguments);
  stubs_->inference = v1::InferenceService::NewStub(channel);
  stubs_->repository = v1::RepositoryService::NewStub(channel);
  stubs_->health = grpc::health::v1::Health::NewStub(channel);
}

Client::~Client() = default;

absl::StatusOr<v1::ClassifyResponse> Client::Classify(
    const v1::ClassifyRequest& request) {
  return CallWithRetry<v1::ClassifyResponse>(
      options_.timeout, options_.max_attempts, Repeat::kHarmless,
      [&](grpc::ClientContext* context, v1::ClassifyResponse* response) {
        return stubs_->inference->Classify(context, request, response);
      });
}

absl::StatusOr<v1::UploadResponse> Client::Upload(
    const std::string& path, const std::string& model, std::uint64_t version,
    const std::function<void(std::uint64_t)>& progress) {
  const absl::StatusOr<FileDigest> digest = DigestOfFile(path);
  if (!digest.ok()) return digest.status();
  const v1::UploadRequest first = StartOf(*digest, model, version);
  absl::Status read_error;
  const auto send = [&](grpc::ClientContext* context,
                        v1::UploadResponse* response) {
    std::ifstream file(path, std::ios::binary);
    const auto writer = stubs_->repository->Upload(context, response);
    const bool open =
        writer->Write(first) && SendFile(file, writer.get(), progress);
    if (open && (file.bad() || !file.eof())) {
      read_error = absl::ErrnoToStatus(errno, path);
      context->TryCancel();
    }
    if (open) writer->WritesDone();
    return writer->Finish();
  };
  const double mebibytes = 1 + static_cast<double>(digest->bytes >> 20);
  // Without a number, a repetition after a lost answer would store the same
  // file again under the next one.
  absl::StatusOr<v1::UploadResponse> response =
      CallWithRetry<v1::UploadResponse>(
          options_.timeout * mebibytes, options_.max_attempts,
          version == 0 ? Repeat::kIfPushedBack : Repeat::kHarmless, send);
  if (!read_error.ok()) return read_error;
  if (response.ok() && response->digest() != digest->sha256) {
    return absl::DataLossError(
        absl::StrCat(path, ": SHA-256 is ", digest->sha256,
                     ", the server stored ", response->digest()));
  }
  return response;
}

absl::StatusOr<v1::ListModelsResponse> Client::ListModels(
    const std::string& model) {
  v1::ListModelsRequest request;
  request.set_model(model);
  return CallWithRetry<v1::ListModelsResponse>(
      options_.timeout, options_.max_attempts, Repeat::kHarmless,
      [&](grpc::ClientContext* context, v1::ListModelsResponse* response) {
        return stubs_->repository->ListModels(context, request, response);
      });
}

absl::StatusOr<v1::GetModelResponse> Client::GetModel(const std::string& model,
                                                      std::uint64_t version) {
  v1::GetModelRequest request;
  request.set_model(model);
  request.set_version(version);
  return CallWithRetry<v1::GetModelResponse>(
      options_.timeout, options_.max_attempts, Repeat::kHarmless,
      [&](grpc::ClientContext* context, v1::GetModelResponse* response) {
        return stubs_->repository->GetModel(context, request, response);
      });
}

absl::StatusOr<v1::ModelStatus> Client::LoadModel(const std::string& model,
                                                  std::uint64_t version) {
  v1::LoadModelRequest request;
  request.set_model(model);
  request.set_version(version);
  absl::StatusOr<v1::LoadModelResponse> response =
      CallWithRetry<v1::LoadModelResponse>(
          options_.timeout, options_.max_attempts, Repeat::kHarmless,
          [&](grpc::ClientContext* context, v1::LoadModelResponse* reply) {
            return stubs_->repository->LoadModel(context, request, reply);
          });
  if (!response.ok()) return response.status();
  return std::move(*response->mutable_status());
}

absl::Status Client::UnloadModel(const std::string& model,
                                 std::uint64_t version) {
  v1::UnloadModelRequest request;
  request.set_model(model);
  request.set_version(version);
  return CallWithRetry<v1::UnloadModelResponse>(
             options_.timeout, options_.max_attempts, Repeat::kIfPushedBack,
             [&](grpc::ClientContext* context, v1::UnloadModelResponse* reply) {
               return stubs_->repository->UnloadModel(context, request, reply);
             })
      .status();
}

absl::Status Client::DeleteModel(const std::string& model,
                                 std::uint64_t version) {
  v1::DeleteModelRequest request;
  request.set_model(model);
  request.set_version(version);
  return CallWithRetry<v1::DeleteModelResponse>(
             options_.timeout, options_.max_attempts, Repeat::kIfPushedBack,
             [&](grpc::ClientContext* context, v1::DeleteModelResponse* reply) {
               return stubs_->repository->DeleteModel(context, request, reply);
             })
      .status();
}

absl::StatusOr<bool> Client::IsServing(const std::string& service) {
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(service);
  // Not being reached is the answer, not a reason to try again.
  const absl::StatusOr<grpc::health::v1::HealthCheckResponse> response =
      CallWithRetry<grpc::health::v1::HealthCheckResponse>(
          options_.timeout, 1, Repeat::kHarmless,
          [&](grpc::ClientContext* context,
              grpc::health::v1::HealthCheckResponse* reply) {
            return stubs_->health->Check(context, request, reply);
          });
  if (!response.ok()) return response.status();
  return response->status() == grpc::health::v1::HealthCheckResponse::SERVING;
}

}  // namespace tern::client
