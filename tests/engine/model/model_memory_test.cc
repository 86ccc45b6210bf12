// What reading a hostile file may allocate: this program counts every byte
// that operator new hands out.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>
#include <string>

#include "engine/model/model_file.h"
#include "engine/model/model_format.h"
#include "tests/testing/forged_model.h"
#include "tests/testing/tiny_model.h"

namespace {

std::atomic<std::size_t> live = 0;
std::atomic<std::size_t> peak = 0;

void* Allocate(std::size_t size) {
  void* memory = std::malloc(size);
  if (memory == nullptr) std::abort();
  const std::size_t now = live += malloc_usable_size(memory);
  peak = std::max(peak.load(), now);
  return memory;
}

void Release(void* memory) {
  if (memory != nullptr) live -= malloc_usable_size(memory);
  std::free(memory);
}

}  // namespace

void* operator new(std::size_t size) { return Allocate(size); }
void* operator new[](std::size_t size) { return Allocate(size); }
void operator delete(void* memory) noexcept { Release(memory); }
void operator delete[](void* memory) noexcept { Release(memory); }
void operator delete(void* memory, std::size_t) noexcept { Release(memory); }
void operator delete[](void* memory, std::size_t) noexcept { Release(memory); }

namespace tern {
namespace {

using ::testing::HasSubstr;

constexpr std::size_t kMiB = std::size_t{1} << 20;

// What one Read allocates at its worst, beside the file itself.
std::size_t PeakOfRead(const std::string& file, absl::Status* status) {
  const std::size_t before = live;
  peak = before;
  *status = ModelFile::Read(testing::AsBytes(file), ReadLimits()).status();
  return peak - before;
}

std::string Repeat(std::string_view text, std::size_t times) {
  std::string out;
  out.reserve(text.size() * times);
  for (std::size_t i = 0; i < times; ++i) out += text;
  return out;
}

// A field with a 4-byte length.
std::string Field(char tag, const std::string& content) {
  std::string out(1, tag);
  std::size_t length = content.size();
  for (int i = 0; i < 3; ++i, length >>= 7) {
    out += static_cast<char>(0x80 | (length & 0x7f));
  }
  out += static_cast<char>(length);
  return out + content;
}

struct Bomb {
  std::string name;
  std::string header;
  std::string message;
};

std::vector<Bomb> Bombs() {
  // A graph node whose op is an empty Flatten.
  const std::string node("\x12\x02\x4a\x00", 4);
  const std::string tensor("\x2a\x00", 2);
  return {
      {"labels", Repeat(std::string_view("\x32\x00", 2), 8 * kMiB),
       "one of more than 262144 messages"},
      {"nodes", Field('\x12', Repeat(node, 4 * kMiB - 2)),
       "one of more than 262144 messages"},
      {"fewer nodes", Field('\x12', Repeat(node, 131070)),
       "graph.input.height: is 0"},
      {"tensors", Repeat(tensor, 262144), "graph.input.height: is 0"},
      {"dims", Field('\x2a', Field('\x22', std::string(16 * kMiB - 10, '\1'))),
       "one of more than 2097152 repeated numbers"},
      {"fewer dims", Field('\x2a', Field('\x22', std::string(2 * kMiB, '\1'))),
       "graph.input.height: is 0"},
      {"one text", Field('\x0a', std::string(16 * kMiB - 5, 'x')),
       "graph.input.height: is 0"},
      {"length", std::string(16 * kMiB + 1, '\0'), "header length at byte 12"},
  };
}

TEST(ModelMemoryTest, HeadersDoNotBlowUp) {
  const std::string file =
      testing::TinyModelBytes(testing::MakeTinyModel(testing::kTinyMlp, 1));
  for (const Bomb& bomb : Bombs()) {
    const std::string forged = testing::ReplaceHeader(file, bomb.header);
    absl::Status status;
    const std::size_t bytes = PeakOfRead(forged, &status);
    EXPECT_THAT(status.message(), HasSubstr(bomb.message)) << bomb.name;
    EXPECT_LT(bytes, 64 * kMiB) << bomb.name;
    if (bomb.name == "fewer nodes") {
      EXPECT_GT(bytes, 4 * kMiB) << "the parser's own memory is not counted";
    }
  }
}

TEST(ModelMemoryTest, ClaimedSizesAreNotAllocated) {
  testing::TinyModel model = testing::MakeTinyModel(testing::kTinyMlp, 1);
  const std::string file = testing::TinyModelBytes(model);
  model::v1::Header header = model.header;
  header.mutable_graph()->mutable_input()->set_height(30000);
  header.mutable_graph()->mutable_input()->set_width(1000);
  header.mutable_graph()->mutable_node(0)->mutable_linear()->set_filters(70);
  const std::string forged =
      testing::ReplaceHeader(file, header.SerializeAsString());
  absl::Status status;
  const std::size_t bytes = PeakOfRead(forged, &status);
  EXPECT_THAT(status.message(), HasSubstr("limits.macs: is 0, the graph gives "
                                          "2100000210"));
  EXPECT_LT(bytes, kMiB);
}

TEST(ModelMemoryTest, ReadingAllocatesNothingOfTheWeightsSize) {
  const std::string file =
      testing::TinyModelBytes(testing::MakeTinyModel(testing::kLenet5, 1));
  absl::Status status;
  const std::size_t bytes = PeakOfRead(file, &status);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_LT(bytes, 32768u);
}

}  // namespace
}  // namespace tern
