#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/status_macros.h"
#include "engine/engine.h"
#include "engine/model/model_file.h"
#include "engine/runtime/golden_run.h"
#include "engine/runtime/plan.h"

namespace tern {

// Only what serving needs of the header: a server holds thousands of models.
struct Model::Parts {
  model::v1::Image input;
  std::vector<std::string> labels;
  model::v1::Preprocessing preprocessing;
  model::v1::Card card;
  double softmax_temperature = 1;
  std::string digest;
  const KernelTable* kernels = nullptr;
  int classes = 0;
  std::uint64_t macs = 0;
  std::uint64_t file_bytes = 0;
  std::uint64_t float32_bytes = 0;
  std::unique_ptr<const Plan> plan;
};

Model::Model(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Model::~Model() = default;

absl::StatusOr<std::shared_ptr<const Model>> Model::Load(
    absl::Span<const std::uint8_t> file, const KernelTable& kernels,
    const LoadOptions& options) try {
  TERN_ASSIGN_OR_RETURN(
      const ModelFile read,
      ModelFile::Read(file,
                      {.max_file_bytes = options.max_file_bytes,
                       .max_macs_per_image = options.max_macs_per_image,
                       .max_activation_bytes = options.max_activation_bytes}));
  const model::v1::Header& header = read.header();
  auto parts = std::make_unique<Parts>();
  parts->classes = static_cast<int>(read.shapes().classes);
  TERN_ASSIGN_OR_RETURN(
      parts->plan,
      Plan::Build(header, read.shapes(),
                  [&read](int node) { return read.Weights(node); }, kernels,
                  {.fuse = true, .conv_kernel = options.conv_kernel}));
  if (options.verify_golden) {
    TERN_RETURN_IF_ERROR(VerifyGolden(*parts->plan, header, parts->classes));
  }
  parts->input = header.graph().input();
  parts->labels.assign(header.label().begin(), header.label().end());
  parts->preprocessing = header.preprocessing();
  *parts->card.mutable_fact() = header.card().fact();
  *parts->card.mutable_metric() = header.card().metric();
  if (header.softmax_temperature() != 0) {
    parts->softmax_temperature = header.softmax_temperature();
  }
  parts->digest = read.digest();
  parts->kernels = &kernels;
  parts->macs = static_cast<std::uint64_t>(read.shapes().macs);
  parts->file_bytes = file.size();
  parts->float32_bytes = header.limits().float32_bytes();
  return std::shared_ptr<const Model>(new Model(std::move(parts)));
} catch (const std::bad_alloc&) {
  return absl::ResourceExhaustedError("not enough memory to load the model");
}

absl::StatusOr<std::shared_ptr<const Model>> Model::LoadFile(
    const std::string& path, const KernelTable& kernels,
    const LoadOptions& options) {
  const auto error = [&path](absl::StatusCode code, absl::string_view what) {
    return absl::Status(code, absl::StrCat(path, ": ", what));
  };
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path));
  }
  const absl::Cleanup close_file = [file] { close(file); };
  struct stat info = {};
  if (fstat(file, &info) != 0 || !S_ISREG(info.st_mode)) {
    return error(absl::StatusCode::kInvalidArgument, "is not a regular file");
  }
  if (static_cast<std::uint64_t>(info.st_size) > options.max_file_bytes) {
    return error(absl::StatusCode::kInvalidArgument,
                 absl::StrCat("has ", info.st_size, " bytes, the limit is ",
                              options.max_file_bytes));
  }
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(info.st_size));
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t got = read(file, bytes.data() + done, bytes.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      return absl::ErrnoToStatus(errno, absl::StrCat("reading ", path));
    if (got == 0) {
      bytes.resize(done);
      break;
    }
    done += static_cast<std::size_t>(got);
  }
  auto model = Load(bytes, kernels, options);
  if (!model.ok())
    return error(model.status().code(), model.status().message());
  return model;
}

const model::v1::Image& Model::input() const { return parts_->input; }

std::size_t Model::input_bytes() const {
  return std::size_t{1} * parts_->input.height() * parts_->input.width() *
         parts_->input.channels();
}

int Model::classes() const { return parts_->classes; }
const std::vector<std::string>& Model::labels() const { return parts_->labels; }
const model::v1::Preprocessing& Model::preprocessing() const {
  return parts_->preprocessing;
}
const model::v1::Card& Model::card() const { return parts_->card; }
double Model::softmax_temperature() const {
  return parts_->softmax_temperature;
}
const std::string& Model::digest() const { return parts_->digest; }
const KernelTable& Model::kernels() const { return *parts_->kernels; }
std::uint64_t Model::macs_per_image() const { return parts_->macs; }
std::uint64_t Model::file_bytes() const { return parts_->file_bytes; }
std::uint64_t Model::packed_bytes() const {
  return parts_->plan->PackedBytes();
}
std::uint64_t Model::float32_bytes() const { return parts_->float32_bytes; }
const Plan& Model::plan() const { return *parts_->plan; }

namespace {

// StepInfo::kernel.
std::string KernelsOf(const Op& op) {
  std::vector<std::string> ranges;
  int first = 1;
  for (int batch = 1; batch <= kMaxPlanBatch; ++batch) {
    std::string kernel = op.Kernel(batch);
    if (batch < kMaxPlanBatch && op.Kernel(batch + 1) == kernel) continue;
    if (first == 1 && batch == kMaxPlanBatch) return kernel;
    ranges.push_back(first == batch
                         ? absl::StrCat(kernel, " ", batch)
                         : absl::StrCat(kernel, " ", first, "-", batch));
    first = batch + 1;
  }
  return absl::StrJoin(ranges, ", ");
}

}  // namespace

std::vector<StepInfo> Model::steps() const {
  std::vector<StepInfo> steps;
  for (const PlanStep& step : parts_->plan->steps()) {
    steps.push_back({step.name, KernelsOf(*step.op), step.op->PackedBytes()});
  }
  return steps;
}

}  // namespace tern
