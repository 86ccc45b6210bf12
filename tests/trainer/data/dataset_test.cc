#include "trainer/data/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "trainer/data/batches.h"

namespace tern::trainer {
namespace {

using ::testing::HasSubstr;

Dataset TwoPictures() {
  auto data =
      MakeDataset({2, 2, 2}, {0, 10, 20, 30, 40, 50, 60, 70}, {0, 1}, "test");
  return *std::move(data);
}

TEST(DatasetTest, SizesMustAgree) {
  EXPECT_THAT(MakeDataset({2, 2, 2}, std::vector<std::uint8_t>(8), {0}, "F")
                  .status()
                  .message(),
              HasSubstr("F: 2 pictures but 1 labels"));
  EXPECT_FALSE(MakeDataset({8}, std::vector<std::uint8_t>(8), {0}, "F").ok());
  EXPECT_FALSE(
      MakeDataset({1, 2, 2, 2}, std::vector<std::uint8_t>(8), {0}, "F").ok());
}

TEST(DatasetTest, SourceMustNameItsKind) {
  EXPECT_THAT(LoadDataset("/some/dir", Split::kTest).status().message(),
              HasSubstr("want idx:DIR"));
  EXPECT_EQ(LoadDataset("idx:/nonexistent", Split::kTest).status().code(),
            absl::StatusCode::kNotFound);
}

TEST(DatasetTest, UnknownDataHasNoClassNamesAndNoFlips) {
  const Dataset data = TwoPictures();
  EXPECT_EQ(data.name, "unknown");
  EXPECT_EQ(data.classes, 2);
  EXPECT_TRUE(data.class_names.empty());
  EXPECT_FALSE(data.flips_keep_class);
  EXPECT_EQ(data.picture(1)[0], 40);
}

TEST(DatasetTest, QuantizationIsRoundedMeanAndInverseDeviation) {
  const auto quantization = InputQuantizationOf(TwoPictures());
  ASSERT_EQ(quantization.zero_point_size(), 1);
  EXPECT_EQ(quantization.zero_point(0), 35U);
  // Variance of 0, 10, ..., 70 is 525.
  EXPECT_FLOAT_EQ(quantization.scale(0),
                  static_cast<float>(1 / std::sqrt(525.0)));
}

TEST(BatchesTest, SplitIsAPartitionThatDependsOnTheSeedAlone) {
  const auto a = SplitForValidation(100, 30, 7);
  const auto b = SplitForValidation(100, 30, 7);
  const auto c = SplitForValidation(100, 30, 8);
  EXPECT_EQ(a.validation, b.validation);
  EXPECT_NE(a.validation, c.validation);
  std::set<std::uint32_t> all(a.train.begin(), a.train.end());
  all.insert(a.validation.begin(), a.validation.end());
  EXPECT_EQ(a.validation.size(), 30U);
  EXPECT_EQ(all.size(), 100U);
}

TEST(BatchesTest, EveryEpochHasItsOwnOrderOfTheSamePictures) {
  const std::vector<std::uint32_t> indices = {3, 1, 4, 15, 9, 2, 6, 5};
  const auto first = EpochOrder(indices, 1, 0);
  EXPECT_EQ(first, EpochOrder(indices, 1, 0));
  EXPECT_NE(first, EpochOrder(indices, 1, 1));
  EXPECT_THAT(first, ::testing::UnorderedElementsAreArray(indices));
}

TEST(BatchesTest, NormalisesShiftsAndFlips) {
  model::v1::InputQuantization quantization;
  quantization.add_scale(0.5F);
  quantization.add_zero_point(10);
  const std::vector<std::uint8_t> picture = {10, 12, 14, 16, 18, 20};  // 2 x 3
  std::vector<float> out(6);
  NormalisePicture(picture, 2, 3, 1, {}, quantization, absl::MakeSpan(out));
  EXPECT_THAT(out, ::testing::ElementsAre(0, 1, 2, 3, 4, 5));
  NormalisePicture(picture, 2, 3, 1, {0, 0, true}, quantization,
                   absl::MakeSpan(out));
  EXPECT_THAT(out, ::testing::ElementsAre(2, 1, 0, 5, 4, 3));
  // One down and one to the right; the edge repeats.
  NormalisePicture(picture, 2, 3, 1, {1, 1, false}, quantization,
                   absl::MakeSpan(out));
  EXPECT_THAT(out, ::testing::ElementsAre(0, 0, 1, 0, 0, 1));
}

TEST(BatchesTest, ColourPicturesBecomePlanar) {
  model::v1::InputQuantization quantization;
  quantization.add_scale(1.0F);
  for (const std::uint32_t zero : {0U, 1U, 2U})
    quantization.add_zero_point(zero);
  const std::vector<std::uint8_t> picture = {10, 20, 30, 11, 21, 31};  // 1 x 2
  std::vector<float> out(6);
  NormalisePicture(picture, 1, 2, 3, {}, quantization, absl::MakeSpan(out));
  EXPECT_THAT(out, ::testing::ElementsAre(10, 11, 19, 20, 28, 29));
}

TEST(BatchesTest, ChangesStayWithinTheAugmentation) {
  std::set<int> shifts;
  int flips = 0;
  for (std::uint32_t image = 0; image < 500; ++image) {
    const PictureChange change = DrawChange({2, true}, 1, 3, image);
    EXPECT_LE(std::abs(change.dy), 2);
    EXPECT_LE(std::abs(change.dx), 2);
    shifts.insert(change.dx);
    flips += change.flip ? 1 : 0;
    const PictureChange none = DrawChange({0, false}, 1, 3, image);
    EXPECT_TRUE(none.dy == 0 && none.dx == 0 && !none.flip);
  }
  EXPECT_EQ(shifts.size(), 5U);
  EXPECT_NEAR(flips, 250, 60);
}

TEST(BatchesTest, AutoFlipsOnlyWhereTheDataSetAllowsIt) {
  Dataset data = TwoPictures();
  EXPECT_FALSE(ParseAugmentation("auto", data)->flip);
  data.flips_keep_class = true;
  EXPECT_TRUE(ParseAugmentation("auto", data)->flip);
  EXPECT_FALSE(ParseAugmentation("rotate", data).ok());
}

}  // namespace
}  // namespace tern::trainer
