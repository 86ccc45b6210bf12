// Random numbers that depend on nothing but a seed and a purpose.
//
// SplitMix64 (Steele, Lea, Flood 2014): a counter through a mixing function,
// so a stream can start anywhere and the same seed gives the same numbers on
// every machine. std:: distributions are avoided: their results differ
// between libraries. Thread-compatible.

#ifndef TERN_TRAINER_RANDOM_H_
#define TERN_TRAINER_RANDOM_H_

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace tern::trainer {

// What a stream is for; two purposes never share numbers. Persistent: a
// changed value changes every trained model.
enum class Purpose : std::uint64_t {
  kSplit = 1,
  kWeights = 2,
  kShuffle = 3,
  kAugment = 4,
  kGolden = 5,
};

inline std::uint64_t Mix64(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}

class Random {
 public:
  Random(std::uint64_t seed, Purpose purpose, std::uint64_t a = 0,
         std::uint64_t b = 0)
      : state_(Mix64(Mix64(Mix64(Mix64(seed + kStep) +
                                 static_cast<std::uint64_t>(purpose) * kStep) +
                           a * kStep) +
                     b * kStep)) {}

  std::uint64_t Next() { return Mix64(state_ += kStep); }

  // Uniform in [0, n), n >= 1; the bias of the multiplication is below
  // n / 2^32.
  std::uint32_t Below(std::uint32_t n) {
    return static_cast<std::uint32_t>(((Next() >> 32) * n) >> 32);
  }

  // Uniform in (0, 1).
  double Uniform() {
    return (static_cast<double>(Next() >> 11) + 0.5) * 0x1p-53;
  }

  // Standard normal (Box-Muller, one of the pair).
  double Normal() {
    const double radius = std::sqrt(-2.0 * std::log(Uniform()));
    return radius * std::cos(6.283185307179586 * Uniform());
  }

 private:
  static constexpr std::uint64_t kStep = 0x9E3779B97F4A7C15ULL;
  std::uint64_t state_;
};

// Fisher-Yates.
template <typename T>
void Shuffle(Random& random, std::vector<T>& items) {
  for (std::size_t i = items.size(); i > 1; --i) {
    std::swap(items[i - 1], items[random.Below(static_cast<std::uint32_t>(i))]);
  }
}

}  // namespace tern::trainer

#endif  // TERN_TRAINER_RANDOM_H_
