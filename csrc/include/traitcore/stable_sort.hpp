// A stable sort of rows by integer keys, both moved together: for many short runs and a few long ones.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace traitcore {

/// Sorts runs of up to `longest` rows; keeps the memory that needs between them.
class StableSorter {
 public:
  explicit StableSorter(std::int64_t longest)
      : spare_keys_(new std::int64_t[static_cast<std::size_t>(longest)]),
        spare_rows_(new std::int64_t[static_cast<std::size_t>(longest)]) {}

  /// Sorts rows (n,) by keys (n,), both in place; equal keys keep their order.
  void sort(std::int64_t* keys, std::int64_t* rows, std::int64_t n) {
    if (std::is_sorted(keys, keys + n)) return;
    if (n <= kInsertion)
      insertion_sort(keys, rows, n);
    else if (n <= kMerge)
      merge_sort(keys, rows, n);
    else
      radix_sort(keys, rows, n);
  }

 private:
  static constexpr std::int64_t kInsertion = 24, kRun = 16;
  static constexpr std::int64_t kMerge = 4096;  // above it six passes over the keys' 64 bits cost less than the merges
  static constexpr int kBits = 11, kDigits = 1 << kBits;

  static void insertion_sort(std::int64_t* keys, std::int64_t* rows, std::int64_t n) {
    for (std::int64_t i = 1; i < n; ++i) {
      const std::int64_t key = keys[i], row = rows[i];
      std::int64_t j = i;
      for (; j > 0 && keys[j - 1] > key; --j) keys[j] = keys[j - 1], rows[j] = rows[j - 1];
      keys[j] = key, rows[j] = row;
    }
  }

  /// From runs of 16 up.
  void merge_sort(std::int64_t* keys, std::int64_t* rows, std::int64_t n) {
    for (std::int64_t run = 0; run < n; run += kRun)
      insertion_sort(keys + run, rows + run, std::min(kRun, n - run));
    for (std::int64_t width = kRun; width < n; width *= 2)
      for (std::int64_t left = 0; left + width < n; left += 2 * width)
        merge(keys + left, rows + left, width, std::min(2 * width, n - left));
  }

  /// Two sorted runs, [0, middle) and [middle, n). The left one makes room for the merged one.
  void merge(std::int64_t* keys, std::int64_t* rows, std::int64_t middle, std::int64_t n) {
    if (keys[middle - 1] <= keys[middle]) return;
    std::copy(keys, keys + middle, spare_keys_.get());
    std::copy(rows, rows + middle, spare_rows_.get());
    std::int64_t a = 0, b = middle;
    for (std::int64_t out = 0; a < middle; ++out) {
      if (b == n || spare_keys_[a] <= keys[b])
        keys[out] = spare_keys_[a], rows[out] = spare_rows_[a], ++a;
      else
        keys[out] = keys[b], rows[out] = rows[b], ++b;
    }
  }

  /// By the least digit first, over the bits in which the keys differ.
  void radix_sort(std::int64_t* keys, std::int64_t* rows, std::int64_t n) {
    const auto [least, most] = std::minmax_element(keys, keys + n);
    const auto low = static_cast<std::uint64_t>(*least), span = static_cast<std::uint64_t>(*most) - low;
    for (int shift = 0; shift < 64 && span >> shift != 0; shift += kBits) {
      const auto digit = [&](std::int64_t key) {
        return (static_cast<std::uint64_t>(key) - low) >> shift & static_cast<std::uint64_t>(kDigits - 1);
      };
      std::int64_t places[kDigits + 1] = {};
      for (std::int64_t i = 0; i < n; ++i) ++places[digit(keys[i]) + 1];
      for (int d = 1; d < kDigits; ++d) places[d] += places[d - 1];
      for (std::int64_t i = 0; i < n; ++i) {
        const std::int64_t place = places[digit(keys[i])]++;
        spare_keys_[place] = keys[i], spare_rows_[place] = rows[i];
      }
      std::copy(spare_keys_.get(), spare_keys_.get() + n, keys);
      std::copy(spare_rows_.get(), spare_rows_.get() + n, rows);
    }
  }

  std::unique_ptr<std::int64_t[]> spare_keys_, spare_rows_;
};

}  // namespace traitcore
