// A data set that a tiny network learns in seconds: four classes, the
// quadrant that is bright, under noise.

#ifndef TERN_TESTS_TRAINER_SYNTHETIC_H_
#define TERN_TESTS_TRAINER_SYNTHETIC_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "trainer/data/dataset.h"
#include "trainer/random.h"
#include "trainer/run/train_options.h"

namespace tern::trainer {

inline constexpr std::uint32_t kSyntheticSide = 12;

inline Dataset SyntheticData(std::uint32_t images, std::uint64_t seed) {
  Random random(seed, Purpose::kAugment);
  std::vector<std::uint8_t> pixels;
  std::vector<std::uint8_t> labels;
  for (std::uint32_t i = 0; i < images; ++i) {
    const auto label = static_cast<std::uint8_t>(random.Below(4));
    labels.push_back(label);
    for (std::uint32_t y = 0; y < kSyntheticSide; ++y) {
      for (std::uint32_t x = 0; x < kSyntheticSide; ++x) {
        const std::uint32_t quadrant =
            (y >= kSyntheticSide / 2 ? 2 : 0) + (x >= kSyntheticSide / 2);
        const std::uint32_t base = quadrant == label ? 90 : 40;
        pixels.push_back(static_cast<std::uint8_t>(base + random.Below(110)));
      }
    }
  }
  auto data = MakeDataset({images, kSyntheticSide, kSyntheticSide},
                          std::move(pixels), std::move(labels), "synthetic");
  EXPECT_TRUE(data.ok()) << data.status();
  return *std::move(data);
}

// A path in the running test's own folder, which begins empty.
inline std::string TempPath(const std::string& name) {
  const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
  const std::filesystem::path dir =
      std::filesystem::path(::testing::TempDir()) /
      (std::string("tern_") + test->test_suite_name() + "_" + test->name());
  static std::set<std::filesystem::path> begun;
  if (begun.insert(dir).second) {
    std::filesystem::remove_all(dir);
    std::filesystem::create_directories(dir);
  }
  return (dir / name).string();
}

// A network file for SyntheticData.
inline std::string SyntheticNetwork() {
  const std::string path = TempPath("net.textproto");
  std::ofstream(path) << R"(
    input { height: 12 width: 12 channels: 1 }
    node { name: "conv1" conv2d { filters: 16 kernel_h: 3 kernel_w: 3
           padding { top: 1 bottom: 1 left: 1 right: 1 } }
           batch_norm: true activation: ACTIVATION_RELU }
    node { name: "pool1" max_pool2d { kernel_h: 2 kernel_w: 2 } }
    node { name: "conv2" conv2d { filters: 16 kernel_h: 3 kernel_w: 3 }
           batch_norm: true activation: ACTIVATION_RELU }
    node { name: "fc1" linear { filters: 32 } batch_norm: true
           activation: ACTIVATION_RELU }
    node { name: "fc2" linear { filters: 4 } })";
  return path;
}

inline TrainOptions SyntheticOptions() {
  TrainOptions options;
  options.network = SyntheticNetwork();
  options.augmentation = "none";
  options.epochs = 2;
  options.float_epochs = 1;
  options.batch = 32;
  options.shards = 2;
  options.validation = 72;
  options.rate.warmup_epochs = 0.5;
  options.checkpoint = TempPath("run.checkpoint");
  return options;
}

}  // namespace tern::trainer

#endif  // TERN_TESTS_TRAINER_SYNTHETIC_H_
