// Sums over a customer's events that one more event updates.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "rng.hpp"

namespace traitcore {

/// State of customers, a row each; width columns of sums.
struct LiveSums {
  std::int64_t width;
  double *sums, *mass;
  std::int64_t *known, *newest_us, *exponent;
};

/// Adds an event of token `token` at `time_us` to a customer's row.
///
/// With half_life_us > 0 the event at time t weighs 2 ** (t / half life) more: what age takes from an old event is given
/// to a new one, so old sums stay as they are. Sums are kept over 2 ** exponent, the whole half-lives of the newest
/// event; powers of two scale floats without rounding.
inline void add_live_event(const LiveSums& s, std::int64_t row, const float* vector, double weight, std::int64_t time_us,
                           std::int64_t half_life_us) {
  if (!(weight > 0.0)) return;
  double* sums = s.sums + row * s.width;
  if (half_life_us > 0) {
    const std::int64_t whole = time_us / half_life_us - (time_us % half_life_us < 0);
    weight *= std::exp2(static_cast<double>(time_us - whole * half_life_us) / static_cast<double>(half_life_us));
    if (s.known[row] == 0) s.exponent[row] = whole;
    const std::int64_t behind = s.exponent[row] - whole, most = 1074;
    if (behind > 0) {
      weight *= std::ldexp(1.0, -static_cast<int>(std::min(behind, most)));
    } else if (behind < 0) {
      const double scale = std::ldexp(1.0, -static_cast<int>(std::min(-behind, most)));
      s.mass[row] *= scale;
      for (std::int64_t c = 0; c < s.width; ++c) sums[c] *= scale;
      s.exponent[row] = whole;
    }
  }
  s.newest_us[row] = s.known[row] == 0 ? time_us : std::max(s.newest_us[row], time_us);
  ++s.known[row];
  s.mass[row] += weight;
  for (std::int64_t c = 0; c < s.width; ++c) sums[c] += weight * static_cast<double>(vector[c]);
}

/// Counts of (customer, token) pairs: a hash table of a power of two places, -1 free, never full.
struct PairTable {
  std::int64_t places;
  std::int64_t* keys;  // row << 32 | token
  std::int32_t* counts;

  /// The place of a key, or the free one where it belongs; linear probing from a multiplicative hash (Knuth 6.4).
  std::int64_t find(std::int64_t key) const {
    const std::uint64_t mixed = static_cast<std::uint64_t>(key) * kGolden;
    const std::int64_t mask = places - 1;
    auto place = static_cast<std::int64_t>((mixed ^ (mixed >> 32)) & static_cast<std::uint64_t>(mask));
    while (keys[place] >= 0 && keys[place] != key) place = (place + 1) & mask;
    return place;
  }
};

/// What add_token_event updates: sums (customers, width) is x @ basis and squares (customers,) x @ x, where a customer's
/// row x has x[t] = weights[t] * log(1 + count).
struct LiveProjection {
  std::int64_t width;
  const float *weights, *basis;
  double *sums, *squares;
};

/// Counts a token of a customer; returns whether the pair is new.
inline bool add_token_event(const PairTable& pairs, const LiveProjection& p, std::int64_t row, std::int64_t token) {
  const std::int64_t key = row << 32 | token, place = pairs.find(key);
  const bool fresh = pairs.keys[place] < 0;
  if (fresh) pairs.keys[place] = key, pairs.counts[place] = 0;
  const double count = pairs.counts[place]++;
  const double weight = p.weights[token], before = weight * std::log1p(count), after = weight * std::log1p(count + 1);
  p.squares[row] += after * after - before * before;
  for (std::int64_t c = 0; c < p.width; ++c) p.sums[row * p.width + c] += (after - before) * static_cast<double>(p.basis[token * p.width + c]);
  return fresh;
}

}  // namespace traitcore
