// A corpus of sequences turned round, from tokens to the places where they stand: what windowed counts start from.
// Everything is trusted.
#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

namespace traitcore {

/// counts[token] += 1 for tokens [start, stop).
inline void count_values(const std::int32_t* tokens, std::int64_t start, std::int64_t stop, std::int64_t* counts) {
  for (std::int64_t t = start; t < stop; ++t) ++counts[tokens[t]];
}

/// Copies sequences [start, stop) to `padded`, -1 after each, and writes each token's places there at its cursor, which
/// moves on. Place is std::int32_t or std::int64_t.
template <class Place>
void invert_sequences(const std::int32_t* tokens, const std::int64_t* offsets, std::int64_t start, std::int64_t stop,
                      std::int64_t* cursor, std::int32_t* padded, Place* places) {
  for (std::int64_t s = start; s < stop; ++s) {
    for (std::int64_t t = offsets[s]; t < offsets[s + 1]; ++t) {
      padded[t + s + 1] = tokens[t];
      places[cursor[tokens[t]]++] = static_cast<Place>(t + s + 1);
    }
    padded[offsets[s + 1] + s + 1] = -1;
  }
}

/// The sequence of each place of the padded corpus.
inline void label_places(const std::int64_t* offsets, std::int64_t start, std::int64_t stop, std::int32_t* sequence) {
  for (std::int64_t s = start; s < stop; ++s)
    std::fill(sequence + offsets[s] + s + 1, sequence + offsets[s + 1] + s + 1, static_cast<std::int32_t>(s));
}

/// Keeps the k largest entries of each of the rows [row, stop), of equals those that come first, and closes the gaps.
/// The rows lie end to end from `begin` on, lengths[row] entries each; returns where they end afterwards.
template <class T>
std::int64_t keep_largest(std::int64_t row, std::int64_t stop, std::int64_t k, std::int64_t* lengths,
                          std::int32_t* indices, T* data, std::int64_t begin) {
  std::vector<T> values;
  std::int64_t out = begin;
  for (; row < stop; ++row) {
    const std::int64_t end = begin + lengths[row];
    if (lengths[row] <= k) {
      std::copy(indices + begin, indices + end, indices + out);
      std::copy(data + begin, data + end, data + out);
      out += lengths[row];
    } else {
      values.assign(data + begin, data + end);
      std::nth_element(values.begin(), values.begin() + (k - 1), values.end(), std::greater<T>());
      const T least = values[static_cast<std::size_t>(k - 1)];
      auto ties = k - std::count_if(values.begin(), values.begin() + k, [least](T value) { return value > least; });
      for (std::int64_t e = begin; e < end; ++e)
        if (data[e] > least || (data[e] == least && ties-- > 0)) indices[out] = indices[e], data[out++] = data[e];
      lengths[row] = k;
    }
    begin = end;
  }
  return out;
}

}  // namespace traitcore
