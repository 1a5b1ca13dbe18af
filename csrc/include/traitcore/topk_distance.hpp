// Euclidean distances of top-k: measured in double, compared exactly, and how far the tiles' float32 sums may be off.
//
// The tiles only rule rows out. A row is dropped where its float32 score, with every rounding counted in its favour,
// is worse than the k-th best distance so far; all others are measured, so no rounding can lose a neighbour.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include "simd/level.hpp"

namespace traitcore::detail {

/// A squared distance: the true one is within `error` of `value`, and equal to it where `error` is 0.
struct SquaredDistance {
  double value, error;
};

inline std::uint64_t bits_of(double x) {
  std::uint64_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}

/// 0 only where sum = a + b was not rounded: of two doubles the larger can be taken from their rounded sum exactly.
inline std::uint64_t rounding(double sum, double a, double b) { return bits_of((sum - a) - b) | bits_of((sum - b) - a); }

/// |a - b|^2 in double. Differences of floats lie in [2^-149, 2^129), so nothing overflows or underflows. A term takes
/// at most 4 roundings of 2^-53 and the sums width / 8 + 4; where none occurs the value is exact.
/// Out of line: elsewhere GCC doesn't make vectors of its loop.
TRAITCORE_NOINLINE inline SquaredDistance squared_distance(const float* a, const float* b, std::size_t width) {
  constexpr std::size_t kParts = 8;
  double part[kParts] = {};
  std::uint64_t rounded[kParts] = {};
  const auto add = [&](std::size_t j, std::size_t i) {
    const double x = a[j], y = b[j], gap = x - y;
    const double square = gap * gap, sum = part[i] + square;
    // A gap of 26 binary digits has an exact square.
    rounded[i] |= rounding(gap, x, -y) | (bits_of(gap) & 0x7FFFFFFu) | rounding(sum, part[i], square);
    part[i] = sum;
  };
  std::size_t j = 0;
  for (; j + kParts <= width; j += kParts)
    for (std::size_t i = 0; i < kParts; ++i) add(j + i, i);
  for (std::size_t i = 0; j < width; ++i, ++j) add(j, i);
  std::uint64_t inexact = 0;
  for (const std::uint64_t one : rounded) inexact |= one;
  for (std::size_t step = kParts / 2; step > 0; step /= 2)
    for (std::size_t i = 0; i < step; ++i) {
      const double sum = part[i] + part[i + step];
      inexact |= rounding(sum, part[i], part[i + step]);
      part[i] = sum;
    }
  return {part[0], inexact ? part[0] * (static_cast<double>(width) + 16.0) * 0x1p-53 : 0.0};
}

/// A sum of products of floats as an integer multiple of 2^-298 (the square of the least float), in two's complement:
/// no rounding. 640 bits hold 2^80 products of any floats.
class ExactSum {
 public:
  /// Add 2^doublings * a * b.
  void add(float a, float b, int doublings) {
    const Parts x = parts(a), y = parts(b);
    const std::uint64_t product = x.digits * y.digits;  // below 2^48
    if (product == 0) return;
    const int place = x.place + y.place + doublings, shift = place % 64;
    const std::uint64_t low = product << shift, high = shift > 0 ? product >> (64 - shift) : 0;
    const auto word = static_cast<std::size_t>(place / 64);
    if (x.negative == y.negative) {
      carry(word + 2, step_up(word + 1, high, step_up(word, low, 0)));
    } else {
      borrow(word + 2, step_down(word + 1, high, step_down(word, low, 0)));
    }
  }
  /// -1, 0 or 1.
  int sign() const {
    if (words_[kWords - 1] >> 63) return -1;
    for (const std::uint64_t word : words_)
      if (word != 0) return 1;
    return 0;
  }

 private:
  struct Parts {
    std::uint64_t digits;  ///< |x| = digits * 2^(place - 149)
    int place;
    bool negative;
  };
  static Parts parts(float x) {
    std::uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    const auto exponent = static_cast<int>((bits >> 23) & 0xFFu);
    const std::uint32_t fraction = bits & 0x7FFFFFu;
    return {exponent > 0 ? fraction | 0x800000u : fraction, exponent > 0 ? exponent - 1 : 0, (bits >> 31) != 0};
  }
  std::uint64_t step_up(std::size_t word, std::uint64_t amount, std::uint64_t over) {
    const std::uint64_t with = words_[word] + amount, sum = with + over;
    over = static_cast<std::uint64_t>(with < amount) | static_cast<std::uint64_t>(sum < with);
    words_[word] = sum;
    return over;
  }
  std::uint64_t step_down(std::size_t word, std::uint64_t amount, std::uint64_t under) {
    const std::uint64_t before = words_[word], with = before - amount;
    words_[word] = with - under;
    return static_cast<std::uint64_t>(before < amount) | static_cast<std::uint64_t>(with < under);
  }
  void carry(std::size_t word, std::uint64_t over) {
    for (; over != 0 && word < kWords; ++word) over = step_up(word, 0, over);
  }
  void borrow(std::size_t word, std::uint64_t under) {
    for (; under != 0 && word < kWords; ++word) under = step_down(word, 0, under);
  }

  static constexpr std::size_t kWords = 10;
  std::uint64_t words_[kWords] = {};
};

/// Sign of |query - a|^2 - |query - b|^2, exactly.
inline int compare_distances(const float* query, const float* a, const float* b, std::size_t width) {
  ExactSum sum;
  for (std::size_t j = 0; j < width; ++j) {
    if (a[j] == b[j]) continue;
    sum.add(a[j], a[j], 0);
    sum.add(b[j], -b[j], 0);
    sum.add(query[j], -a[j], 1);
    sum.add(query[j], b[j], 1);
  }
  return sum.sign();
}

/// What float32 sums can prove about squared distances. With u = 2^-24, a sum of d products in any order, fused or not,
/// is within g |x| |y| of the product x.y, where g = d u / (1 - d u) (Higham 2002, section 3.1), plus what underflows.
///
/// By products: 2 q.v - |v|^2 = |q|^2 - |q - v|^2, and |q| |v| <= (|q|^2 + |v|^2) / 2, so the error parts into one of
/// the row, which `row_bias` adds to the row's score, and one of the query, which `by_product` takes off the threshold.
/// By differences: each difference has one rounding more, and the sum is off by a share of the distance itself.
class DistanceBounds {
 public:
  explicit DistanceBounds(std::size_t width) {
    const double d = static_cast<double>(width) + 8.0;  // 8: the roundings of a score's last steps, and some to spare
    proves_ = d < 0x1p22;
    share_ = d * 0x1p-24 / (1.0 - d * 0x1p-24);
    least_ = d * 0x1p-124;
  }

  /// Of rows and queries whose squared norms are below this, no float32 score reaches 2^128 on its way.
  static constexpr double kLargest = 0x1p126;

  /// The bias of a row with this squared norm in float32 scores q.v + bias; infinity, which is never ruled out, where
  /// the norm is too large for float32 sums.
  float row_bias(double squared_norm) const {
    if (!proves_ || !(squared_norm < kLargest)) return std::numeric_limits<float>::infinity();
    return -below(0.5 * squared_norm * (1.0 - share_));
  }

  /// A row whose float32 score q.v + bias is at or below this is farther than `squared_distance`.
  float by_product(double squared_query, double squared_distance) const {
    if (!proves_ || !(squared_query < kLargest)) return std::numeric_limits<float>::quiet_NaN();
    return below(0.5 * (squared_query * (1.0 - share_) - squared_distance) - least_);
  }

  /// The same of the score -|q - v|^2.
  float by_difference(double squared_distance) const {
    if (!proves_ || !(squared_distance < kLargest)) return std::numeric_limits<float>::quiet_NaN();
    return below(-squared_distance * (1.0 + share_) - least_);
  }

 private:
  /// The largest float that is not above x.
  static float below(double x) {
    constexpr double kMost = std::numeric_limits<float>::max();
    if (x < -kMost) return -std::numeric_limits<float>::infinity();
    const float near = static_cast<float>(x < kMost ? x : kMost);
    return static_cast<double>(near) > x ? std::nextafter(near, -std::numeric_limits<float>::infinity()) : near;
  }

  bool proves_;
  double share_, least_;
};

}  // namespace traitcore::detail
