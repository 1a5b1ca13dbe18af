// Integer ids as codes: by value, through a table of all values there could be, or by order of first sight, hashed.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "rng.hpp"
#include "simd/memory.hpp"

namespace traitcore {

/// codes (n,) of values in [low, high] by rising value; returns the distinct values.
inline std::vector<std::int64_t> code_by_value(const std::int64_t* values, std::int64_t n, std::int64_t low,
                                               std::int64_t high, std::int32_t* codes) {
  std::vector<std::uint8_t> present(static_cast<std::size_t>(high - low) + 1);
  for (std::int64_t i = 0; i < n; ++i) present[static_cast<std::size_t>(values[i] - low)] = 1;
  std::vector<std::int32_t> rank(present.size());
  std::vector<std::int64_t> distinct;
  for (std::size_t slot = 0; slot < rank.size(); ++slot)
    if (present[slot]) {
      rank[slot] = static_cast<std::int32_t>(distinct.size());
      distinct.push_back(low + static_cast<std::int64_t>(slot));
    }
  for (std::int64_t i = 0; i < n; ++i) codes[i] = rank[static_cast<std::size_t>(values[i] - low)];
  return distinct;
}

/// Codes by order of first sight, in an open-addressing table.
class IntegerCodes {
 public:
  IntegerCodes() : slots_(std::size_t{1} << 12) {}

  const std::vector<std::int64_t>& distinct() const { return distinct_; }

  /// Codes of some more values. An error leaves the codes of those before it.
  void code(const std::int64_t* values, std::int64_t n, std::int32_t* codes) {
    for (std::int64_t i = 0; i < n; ++i) {
      if (i + kAhead < n) prefetch(&slots_[place_of(values[i + kAhead])]);
      codes[i] = code(values[i]);
    }
  }

 private:
  static constexpr std::int64_t kAhead = 16;
  struct Slot {
    std::int64_t value = 0;
    std::int32_t code = -1;
  };

  std::size_t place_of(std::int64_t value) const {
    return mix64(static_cast<std::uint64_t>(value) + kGolden) & (slots_.size() - 1);
  }

  Slot& slot_of(std::int64_t value) {
    std::size_t place = place_of(value);
    while (slots_[place].code >= 0 && slots_[place].value != value) place = (place + 1) & (slots_.size() - 1);
    return slots_[place];
  }

  std::int32_t code(std::int64_t value) {
    Slot& slot = slot_of(value);
    if (slot.code >= 0) return slot.code;
    if (distinct_.size() >= 0x7FFFFFFF) throw std::length_error("more than 2^31 - 1 distinct ids");
    const auto code = static_cast<std::int32_t>(distinct_.size());
    distinct_.push_back(value);
    slot = {value, code};
    if (2 * distinct_.size() > slots_.size()) grow();
    return code;
  }

  void grow() {
    slots_.assign(4 * slots_.size(), Slot{});
    for (std::size_t code = 0; code < distinct_.size(); ++code)
      slot_of(distinct_[code]) = {distinct_[code], static_cast<std::int32_t>(code)};
  }

  std::vector<Slot> slots_;
  std::vector<std::int64_t> distinct_;
};

/// codes[i] = rank[codes[i]] for i in [start, stop); codes below 0 (nulls) stay.
inline void remap_codes(std::int64_t start, std::int64_t stop, std::int32_t* codes, const std::int32_t* rank) {
  for (std::int64_t i = start; i < stop; ++i)
    if (codes[i] >= 0) codes[i] = rank[codes[i]];
}

}  // namespace traitcore
