// Any bytes are refused as a model file, or give a model that behaves: as they
// are, and with checksums and digest made to match.

#include <cstddef>
#include <cstdint>
#include <string>

#include "engine/base/status_macros.h"
#include "tests/testing/forged_model.h"

namespace {

void Exercise(const std::string& file) {
  const absl::Status status = tern::testing::ExerciseModel(file);
  TERN_CHECK(status.ok() ||
             status.code() == absl::StatusCode::kInvalidArgument ||
             status.code() == absl::StatusCode::kDataLoss);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const std::string file(reinterpret_cast<const char*>(data), size);
  Exercise(file);
  Exercise(tern::testing::Reseal(file));
  return 0;
}
