#include "engine/kernels/winograd.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "engine/kernels/winograd_kernels.h"
#include "engine/kernels/winograd_pieces.h"
#include "gtest/gtest.h"
#include "tests/engine/kernels/conv_case.h"
#include "tests/testing/tables_to_test.h"

namespace tern {
namespace {

using winograd::Blocking;
using winograd::kPositions;
using winograd::Split;

TEST(WinogradMathTest, TransformsComposeToTheConvolution) {
  std::mt19937 random(1);
  for (int trial = 0; trial < 400; ++trial) {
    const int rows = 3 + trial % 2;
    const int cols = 3 + trial / 2 % 2;
    int pixels[kPositions];
    for (int& p : pixels) p = static_cast<int>(random() % 256);
    std::int8_t taps[9];
    for (std::int8_t& t : taps) t = static_cast<std::int8_t>(random() % 3) - 1;
    int v[kPositions];
    int u[kPositions];
    winograd::TransformInputReference(pixels, rows, cols, v);
    winograd::TransformWeightsReference(taps, u);
    std::int32_t sums[kPositions];
    for (int e = 0; e < kPositions; ++e) {
      EXPECT_LE(std::abs(u[e]), 49);
      sums[e] = u[e] * v[e];
    }
    std::int32_t out[16];
    winograd::TransformOutputReference(sums, rows, cols, out);
    for (int r = 0; r < rows; ++r) {
      for (int c = 0; c < cols; ++c) {
        int expected = 0;
        for (int t = 0; t < 9; ++t)
          expected += taps[t] * pixels[6 * (r + t / 3) + c + t % 3];
        EXPECT_EQ(out[r * cols + c], expected);
      }
    }
  }
}

// The 0/255 pattern that drives a position of a tile to its largest (sign 1)
// or smallest (sign -1) value.
std::vector<int> Extreme(int position, int rows, int cols, int sign) {
  std::vector<int> pattern(kPositions);
  for (int at = 0; at < kPositions; ++at) {
    int unit[kPositions] = {};
    unit[at] = 1;
    int v[kPositions];
    winograd::TransformInputReference(unit, rows, cols, v);
    pattern[at] = v[position] * sign > 0 ? 255 : 0;
  }
  return pattern;
}

TEST(WinogradMathTest, TransformedInputsReachTheStatedBoundsAndNoFurther) {
  int low = 0;
  int high = 0;
  for (const int rows : {3, 4}) {
    for (const int cols : {3, 4}) {
      for (int e = 0; e < kPositions; ++e) {
        for (const int sign : {-1, 1}) {
          int v[kPositions];
          winograd::TransformInputReference(Extreme(e, rows, cols, sign).data(),
                                            rows, cols, v);
          low = std::min(low, v[e]);
          high = std::max(high, v[e]);
        }
      }
    }
  }
  EXPECT_EQ(low, -15300);
  EXPECT_EQ(high, 22950);
}

TEST(WinogradPlanTest, SplitsCoverEverySizeAtTheLeastCost) {
  for (int size = 1; size <= 230; ++size) {
    const Split split = winograd::ChooseSplit(size);
    EXPECT_GE(4 * split.fours + 3 * split.threes, size);
    EXPECT_LT(4 * split.fours + 3 * split.threes, size + 3) << size;
  }
  EXPECT_EQ(winograd::ChooseSplit(7).fours, 1);
  EXPECT_EQ(winograd::ChooseSplit(7).threes, 1);
  EXPECT_EQ(winograd::ChooseSplit(14).fours, 2);
  EXPECT_EQ(winograd::ChooseSplit(14).threes, 2);
  EXPECT_EQ(winograd::ChooseSplit(56).threes, 0);
}

TEST(WinogradPlanTest, RefusesWhatItCannotDoExactly) {
  ConvGeometry g;
  g.kernel_h = g.kernel_w = 3;
  g.pad_top = g.pad_left = 1;
  g.filters = 2;
  // The last filter may have the most taps of one sign; one more is too many.
  g.in_c = winograd::kMaxTapsOfOneSign / 9 + 1;
  std::vector<std::int8_t> codes(std::size_t{18} * g.in_c, 0);
  for (const int sign : {-1, 1}) {
    std::fill(codes.end() - winograd::kMaxTapsOfOneSign, codes.end(), sign);
    EXPECT_TRUE(winograd::Applies(g, codes.data()));
    codes[codes.size() - winograd::kMaxTapsOfOneSign - 1] = sign;
    EXPECT_FALSE(winograd::Applies(g, codes.data()));
  }
  g.in_c = 16;
  EXPECT_TRUE(winograd::Applies(g, codes.data()));
  g.in_c = 15;  // taps of so few channels are packed as one run
  EXPECT_FALSE(winograd::Applies(g, codes.data()));
  g.in_c = 16;
  g.stride_h = 2;
  EXPECT_FALSE(winograd::Applies(g, codes.data()));
  g.stride_h = 1;
  g.kernel_w = 1;
  EXPECT_FALSE(winograd::Applies(g, codes.data()));
}

TEST(WinogradPlanTest, TilesOfAPositionAreNeighbours) {
  Blocking blocking;
  blocking.rows = {2, 1};
  blocking.cols = {1, 2};
  std::vector<winograd::Tile> tiles(27);
  winograd::ListTiles(blocking, 3, 0, 27, tiles.data());
  std::vector<int> seen(3 * 11 * 10, 0);
  for (int t = 0; t < 27; ++t) {
    for (int i = 0; i < tiles[t].rows * tiles[t].cols; ++i) {
      const int y = tiles[t].y + i / tiles[t].cols;
      const int x = tiles[t].x + i % tiles[t].cols;
      ++seen[(tiles[t].image * 11 + y) * 10 + x];
    }
  }
  EXPECT_EQ(seen, std::vector<int>(seen.size(), 1));
  const winograd::PositionRanges r = winograd::FindRanges(tiles.data(), 27);
  for (int t = 0; t < 27; ++t) {
    EXPECT_EQ(tiles[t].rows == 4,
              t >= r.rows_of_4.begin && t < r.rows_of_4.end);
    EXPECT_EQ(tiles[t].cols == 4,
              t >= r.cols_of_4.begin && t < r.cols_of_4.end);
    EXPECT_EQ(tiles[t].rows == 4 && tiles[t].cols == 4,
              t >= r.both_of_4.begin && t < r.both_of_4.end);
  }
}

struct Candidate {
  std::string_view table;
  const ConvKernel* kernel;
  const winograd::Pieces* pieces;
};

const Candidate kCandidates[] = {
    {"avx512vnni", &kWinogradAvx512Vnni, &winograd::kPiecesAvx512Vnni},
    {"avx512vnni_wide", &kWinogradAvx512VnniWide,
     &winograd::kPiecesAvx512VnniWide},
    {"avx2", &kWinogradAvx2, &winograd::kPiecesAvx2},
};

class WinogradTest : public ::testing::TestWithParam<Candidate> {
 protected:
  void SetUp() override {
    for (const KernelTable* table : AllKernelTables()) {
      if (table->name == GetParam().table) SkipUnlessSupported(*table);
    }
  }

  void Check(const ConvCase& c, int threads = 1) {
    ASSERT_TRUE(GetParam().kernel->applies(c.geometry, c.codes.data()));
    EXPECT_EQ(RunKernel(c, *GetParam().kernel, threads, &random_), c.Expected())
        << c.Describe() << ", threads " << threads;
  }

  // `expected` is c.Expected().
  void CheckForced(const ConvCase& c, const std::vector<std::uint8_t>& expected,
                   Blocking blocking) {
    blocking.tiles = c.batch * (blocking.rows.fours + blocking.rows.threes) *
                     (blocking.cols.fours + blocking.cols.threes);
    GuardedBuffer packed = PackCase(c, *GetParam().kernel, &random_);
    const winograd::Pieces& pieces = *GetParam().pieces;
    const TaskRunner runner = {
        blocking.tile_tasks * blocking.filter_tasks,
        winograd::PlanScratch(pieces.profile, c.geometry, blocking).total,
        [&](const ConvCall& call, std::byte* scratch) {
          winograd::BeginTasks(pieces, call, blocking, scratch);
        },
        [&](const ConvCall& call, int task, std::byte* scratch) {
          winograd::RunTask(pieces, call, blocking, task, scratch);
        }};
    const auto output =
        RunTasks(c, packed.as<std::uint8_t>(), runner, &random_);
    EXPECT_EQ(output, expected)
        << c.Describe() << ", tiles " << blocking.rows.fours << "+"
        << blocking.rows.threes << " x " << blocking.cols.fours << "+"
        << blocking.cols.threes << ", block " << blocking.tile_block
        << ", chunk " << blocking.channel_chunk << ", resident "
        << blocking.resident;
  }

  std::mt19937 random_{20240229};
};

ConvGeometry SameGeometry(int height, int width, int channels, int filters) {
  ConvGeometry g;
  g.kernel_h = g.kernel_w = 3;
  g.pad_top = g.pad_left = 1;
  g.in_h = g.out_h = height;
  g.in_w = g.out_w = width;
  g.in_c = channels;
  g.filters = filters;
  return g;
}

// Accumulators as they are.
void ShowAccumulators(ConvCase* c) {
  c->epilogue.output_type = OutputType::kF32;
  std::fill(c->multiplier.begin(), c->multiplier.end(), 1.0F);
  std::fill(c->bias.begin(), c->bias.end(), 0.0F);
}

TEST_P(WinogradTest, EqualsTheDefinitionOnRandomLayers) {
  for (int trial = 0; trial < 250; trial += kOneIn) {
    const ConvCase c = Random3x3Case(&random_);
    Check(c, 1 + trial / kOneIn % 4);
    if (HasFailure()) return;
  }
}

TEST_P(WinogradTest, EveryBatchSize) {
  for (int batch = 1; batch <= 33; ++batch) {
    for (const auto& [h, w] : {std::pair{7, 5}, {4, 8}}) {
      Check(RandomCase(SameGeometry(h, w, 17, 7), batch, &random_),
            1 + batch % 3);
      if (HasFailure()) return;
    }
  }
}

TEST_P(WinogradTest, EveryMixOfTilesAndBlocking) {
  const Split splits[] = {{3, 0}, {2, 1}, {1, 2}, {0, 4}, {0, 3}};
  const int one_in = std::min(kOneIn, 7);
  int checked = 0;
  for (const Split rows : splits) {
    for (const Split cols : splits) {
      ConvCase c = RandomCase(
          SameGeometry(4 * rows.fours + 3 * rows.threes - (rows.threes == 4),
                       4 * cols.fours + 3 * cols.threes, 37, 70),
          2, &random_);
      const auto expected = c.Expected();
      for (int variant = 0; variant < 6; ++variant) {
        if (checked++ % one_in != 0) continue;
        Blocking b;
        b.rows = rows;
        b.cols = cols;
        b.resident = variant % 2 == 0;
        b.channel_chunk = b.resident ? 48 : 16 * (1 + variant / 2);
        b.tile_block = 1 + 5 * variant;
        b.tile_tasks = 1 + variant % 3;
        b.filter_tasks = 1 + variant % 2;
        b.tile_block = std::max(b.tile_block, variant == 5 ? 2 * 16 : 1);
        CheckForced(c, expected, b);
      }
      if (HasFailure()) return;
    }
  }
}

TEST_P(WinogradTest, PoolsAndAddsInEveryCombination) {
  for (const OutputType output :
       {OutputType::kU8, OutputType::kS16, OutputType::kF32}) {
    for (int residual = 0; residual < 3; ++residual) {
      for (const bool pool : {false, true}) {
        for (const int filters : {64, 33}) {
          ConvCase c = RandomCase(SameGeometry(8, 4, 20, filters), 2, &random_);
          c.epilogue.output_type = output;
          if (output == OutputType::kS16) {
            c.epilogue.low = -32768;
            c.epilogue.high = 32767;
          }
          c.epilogue.max_pool_2x2 = pool;
          if (residual == 1) AddResidual(&c, OutputType::kU8, &random_);
          if (residual == 2) AddResidual(&c, OutputType::kS16, &random_);
          ASSERT_TRUE(GetParam().kernel->fuses_max_pool(c.geometry));
          Check(c);
          // A tile that hangs over: odd last rows and columns are dropped.
          ConvCase cut =
              RandomCase(SameGeometry(7, 11, 21, filters), 1, &random_);
          cut.epilogue = c.epilogue;
          if (residual > 0)
            AddResidual(&cut, c.epilogue.residual_type, &random_);
          Blocking fours;
          fours.rows = {2, 0};
          fours.cols = {3, 0};
          fours.tile_block = 4;
          fours.channel_chunk = 16;
          CheckForced(cut, cut.Expected(), fours);
        }
      }
    }
  }
}

TEST_P(WinogradTest, ClampsValuesThatLeaveInt32) {
  for (const float bias : {-1e30F, -3e9F, 3e9F, 1e30F}) {
    ConvCase c = RandomCase(SameGeometry(4, 4, 24, 64), 1, &random_);
    std::fill(c.bias.begin(), c.bias.end(), bias);
    Check(c);
    c.epilogue.output_type = OutputType::kS16;
    c.epilogue.low = -32768;
    c.epilogue.high = 32767;
    Check(c);
  }
}

TEST_P(WinogradTest, EveryPositionAtItsBound) {
  for (const Split rows : {Split{1, 0}, Split{0, 1}}) {
    for (const Split cols : {Split{1, 0}, Split{0, 1}}) {
      const int height = rows.fours == 1 ? 4 : 3;
      const int width = cols.fours == 1 ? 4 : 3;
      ConvGeometry g = SameGeometry(height, width, 35, 6);
      g.pad_top = g.pad_left = 0;
      g.in_h = height + 2;
      g.in_w = width + 2;
      ConvCase c = RandomCase(g, 1, &random_);
      ShowAccumulators(&c);
      const int taps = 9 * g.in_c;
      std::fill(c.codes.begin(), c.codes.begin() + taps, 1);
      std::fill(c.codes.begin() + taps, c.codes.begin() + 2 * taps, -1);
      Blocking b;
      b.rows = rows;
      b.cols = cols;
      b.tile_block = 1;
      b.channel_chunk = 48;
      for (int e = 0; e < kPositions; ++e) {
        for (const int sign : {-1, 1}) {
          const std::vector<int> pattern = Extreme(e, height, width, sign);
          for (std::size_t i = 0; i < c.input.size(); ++i) {
            const int pixel = static_cast<int>(i) / g.in_c;
            c.input[i] = static_cast<std::uint8_t>(
                pattern[6 * (pixel / g.in_w) + pixel % g.in_w]);
          }
          CheckForced(c, c.Expected(), b);
          if (HasFailure()) return;
        }
      }
    }
  }
}

// Beyond 1,624 channels 576 y may leave int32, but 64 y does not.
TEST_P(WinogradTest, AllTapsOfOneSignAtFullInput) {
  for (const int channels : {1624, 1625, 14620}) {
    for (const int sign : {-1, 1}) {
      ConvCase c = RandomCase(SameGeometry(4, 3, channels, 3), 1, &random_);
      ShowAccumulators(&c);
      std::fill(c.input.begin(), c.input.end(), 255);
      std::fill(c.codes.begin(), c.codes.end(), sign);
      Check(c);
    }
  }
}

TEST_P(WinogradTest, ScratchStaysBounded) {
  for (const auto& [size, channels] :
       {std::pair{56, 64}, {28, 128}, {14, 256}, {7, 512}, {32, 128}}) {
    for (const int batch : {1, 8, 32}) {
      for (const int threads : {1, 2, 4}) {
        EXPECT_LE(threads * GetParam().kernel->scratch_bytes(
                                SameGeometry(size, size, channels, channels),
                                batch, threads),
                  std::size_t{8} << 20)
            << size << "x" << channels << " batch " << batch << " threads "
            << threads;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, WinogradTest, ::testing::ValuesIn(kCandidates),
                         [](const auto& param) {
                           return std::string(param.param.table);
                         });

}  // namespace
}  // namespace tern
