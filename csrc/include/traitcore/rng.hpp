// Counter-based random numbers: word i of stream s under a seed is a pure function of (seed, s, i),
// so randomness can be keyed by the unit of work (an epoch's sequence, a walk) and never by a thread.
// The mixer is SplitMix64's finalizer (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number
// generators", section 3) over a Weyl sequence; the stream's start is itself mixed from (seed, stream).
#pragma once
#include <cstdint>

namespace traitcore {

inline constexpr std::uint64_t kGolden = 0x9E3779B97F4A7C15ull;

/// 64 bits to 64 bits, bijective, each output bit dependent on each input bit.
inline constexpr std::uint64_t mix64(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

class CounterRng {
 public:
  using result_type = std::uint64_t;

  /// \param[in] seed, stream  key of the unit of work
  /// \param[in] start         first word's number
  constexpr CounterRng(std::uint64_t seed, std::uint64_t stream, std::uint64_t start = 0)
      : state_(mix64(mix64(seed + kGolden) ^ (stream * 0xD1342543DE82EF95ull + kGolden)) + start * kGolden) {}

  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return ~0ull; }

  constexpr result_type operator()() { return mix64(state_ += kGolden); }

  /// Word number i from here without moving: at(0) is what operator() would return next.
  constexpr result_type at(std::uint64_t i) const { return mix64(state_ + (i + 1) * kGolden); }

  /// Uniform integer in [0, n), n in [1, 2^32): the high half of a 32 x 32 bit product (Lemire 2019, without the
  /// rejection step: the bias is below n / 2^32).
  constexpr std::uint32_t below(std::uint32_t n) {
    return static_cast<std::uint32_t>(((operator()() >> 32) * n) >> 32);
  }

  /// Uniform float in [0, 1) with 24 random bits.
  constexpr float unit() { return static_cast<float>(operator()() >> 40) * 0x1p-24f; }

 private:
  std::uint64_t state_;
};

}  // namespace traitcore
