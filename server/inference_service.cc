#include "server/inference_service.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "server/grpc_status.h"
#include "server/logging.h"
#include "server/server_options.h"

namespace tern::server {
namespace {

// Enough that a burst of clients is taken in without waiting for a thread, and
// that shutdown finds no call that was never looked at.
constexpr int kPostedCalls = 256;

absl::Span<const std::uint8_t> Bytes(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

Picture PictureFromProto(const v1::Image& image) {
  Picture picture;
  switch (image.data_case()) {
    case v1::Image::kEncoded:
      picture.kind = Picture::Kind::kEncoded;
      picture.bytes = Bytes(image.encoded());
      break;
    case v1::Image::kRaw:
      picture.kind = Picture::Kind::kRaw;
      picture.bytes = Bytes(image.raw().pixels());
      picture.height = image.raw().height();
      picture.width = image.raw().width();
      picture.channels = image.raw().channels();
      break;
    case v1::Image::DATA_NOT_SET:
      break;
  }
  return picture;
}

void ResultToProto(const PictureResult& result,
                   const std::vector<std::string>& labels,
                   v1::ImageResult* proto) {
  if (!result.status.ok()) {
    *proto->mutable_status() = ToRpcStatus(result.status);
    return;
  }
  proto->set_batch_size(static_cast<std::uint32_t>(result.batch_size));
  proto->mutable_classes()->Reserve(static_cast<int>(result.classes.size()));
  for (const ClassScore& score : result.classes) {
    v1::ClassScore* out = proto->add_classes();
    out->set_index(static_cast<std::uint32_t>(score.index));
    out->set_probability(score.probability);
    out->set_logit(score.logit);
    const auto index = static_cast<std::size_t>(score.index);
    if (index < labels.size()) out->set_label(labels[index]);
  }
  proto->mutable_logits()->Add(result.logits.begin(), result.logits.end());
}

std::uint64_t Micros(Nanos duration) {
  return static_cast<std::uint64_t>(
      std::chrono::round<std::chrono::microseconds>(duration).count());
}

}  // namespace

ClassifyRequest FromProto(const v1::ClassifyRequest& proto) {
  ClassifyRequest request;
  request.model.name = proto.model().name();
  switch (proto.model().choice_case()) {
    case v1::ModelSpec::kVersion:
      request.model.version = proto.model().version();
      break;
    case v1::ModelSpec::kAlias:
      request.model.alias = proto.model().alias();
      break;
    case v1::ModelSpec::CHOICE_NOT_SET:
      break;
  }
  request.pictures.reserve(static_cast<std::size_t>(proto.images_size()));
  for (const v1::Image& image : proto.images()) {
    request.pictures.push_back(PictureFromProto(image));
  }
  request.top_k = proto.top_k();
  request.return_logits = proto.return_logits();
  request.priority = proto.priority();
  return request;
}

void ToProto(const ClassifyReply& reply, v1::ClassifyResponse* proto) {
  const Servable& servable = *reply.servable;
  proto->mutable_results()->Reserve(static_cast<int>(reply.results.size()));
  for (const PictureResult& result : reply.results) {
    ResultToProto(result, servable.model().labels(), proto->add_results());
  }
  v1::AnsweredBy* by = proto->mutable_answered_by();
  by->set_model(servable.name());
  by->set_version(servable.version());
  by->set_digest(servable.model().digest());
  by->set_isa(std::string(KernelTableName(servable.model().kernels())));
  by->set_server_version(ServerVersion());
  v1::StageTimes* times = proto->mutable_times();
  times->set_decode_us(Micros(reply.decode_time));
  times->set_queue_us(Micros(reply.queue_time));
  times->set_inference_us(Micros(reply.inference_time));
  times->set_total_us(Micros(reply.total_time));
}

InferenceService::InferenceService(Classifier* classifier)
    : classifier_(classifier) {}

void InferenceService::Serve(CompletionLoop* loop, CallObserver* observer) {
  ServeMethod<Call>(
      {"InferenceService.Classify", loop, observer, kPostedCalls},
      [this](auto... args) { service_.RequestClassify(args...); },
      [this](const std::shared_ptr<Call>& call) { Classify(call); });
}

void InferenceService::Classify(const std::shared_ptr<Call>& call) {
  ClassifyRequest request = FromProto(call->request());
  request.deadline = call->deadline();
  const auto under_way =
      classifier_->Classify(std::move(request), [call](ClassifyReply reply) {
        if (reply.status.ok()) ToProto(reply, call->response());
        const absl::Status status = std::move(reply.status);
        // Sending takes a while; the version need not stay loaded for it.
        reply.servable.reset();
        call->Finish(status);
      });
  call->OnCancel([under_way] { under_way->Cancel(); });
}

}  // namespace tern::server
