// Draw from any discrete distribution with one random word and one table look-up: Walker's alias method as built by
// Vose (1991), "A linear algorithm for generating random numbers with a given distribution".
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

namespace traitcore {

class AliasTable {
 public:
  /// One slot: keep the slot's own value when the word's low half is below `threshold`, else take `other`.
  struct Slot {
    std::uint32_t threshold;
    std::uint32_t other;
  };

  AliasTable() = default;

  /// \param[in] weights  (n,) finite, >= 0, at least one > 0; n in [1, 2^32)
  AliasTable(const double* weights, std::size_t n) : slots_(n) {
    if (n == 0 || n > std::numeric_limits<std::uint32_t>::max())
      throw std::invalid_argument("an alias table needs between 1 and 2^32 - 1 weights");
    build(weights, n, slots_.data());
  }

  std::size_t size() const { return slots_.size(); }
  const Slot* slots() const { return slots_.data(); }

  /// The value a 64-bit random word stands for: its high half picks the slot, its low half the side.
  std::uint32_t operator()(std::uint64_t word) const {
    return draw(slots_.data(), static_cast<std::uint32_t>(slots_.size()), word);
  }

  static std::uint32_t draw(const Slot* slots, std::uint32_t n, std::uint64_t word) {
    const auto i = static_cast<std::uint32_t>(((word >> 32) * n) >> 32);
    const Slot slot = slots[i];
    return static_cast<std::uint32_t>(word) < slot.threshold ? i : slot.other;
  }

  /// Fill n slots from n weights; throws std::invalid_argument on a weight that is negative or not finite, or when
  /// all are zero.
  static void build(const double* weights, std::size_t n, Slot* slots) {
    double total = 0;
    for (std::size_t i = 0; i < n; ++i) {
      if (!(weights[i] >= 0) || !std::isfinite(weights[i]))
        throw std::invalid_argument("weights must be finite and not negative");
      total += weights[i];
    }
    if (!(total > 0) || !std::isfinite(total)) throw std::invalid_argument("weights must have a positive, finite sum");
    std::vector<double> share(n);
    std::vector<std::uint32_t> small, large;
    std::uint32_t positive = 0;  // some value of positive weight, for slots left over by rounding
    for (std::size_t i = 0; i < n; ++i) {
      share[i] = weights[i] / total * static_cast<double>(n);
      (share[i] < 1 ? small : large).push_back(static_cast<std::uint32_t>(i));
      if (weights[i] > weights[positive]) positive = static_cast<std::uint32_t>(i);
    }
    while (!small.empty() && !large.empty()) {
      const std::uint32_t low = small.back(), high = large.back();
      small.pop_back();
      slots[low] = {threshold(share[low]), high};
      share[high] -= 1 - share[low];
      if (share[high] < 1) {
        large.pop_back();
        small.push_back(high);
      }
    }
    for (const auto i : large) slots[i] = {std::numeric_limits<std::uint32_t>::max(), i};
    for (const auto i : small)  // full up to rounding, but a value of weight zero must never be drawn
      slots[i] = weights[i] > 0 ? Slot{std::numeric_limits<std::uint32_t>::max(), i} : Slot{0, positive};
  }

 private:
  static std::uint32_t threshold(double share) {
    const double scaled = share * 4294967296.0;
    return scaled >= 4294967295.0 ? std::numeric_limits<std::uint32_t>::max() : static_cast<std::uint32_t>(scaled);
  }

  std::vector<Slot> slots_;
};

}  // namespace traitcore
