// Weighted means of the vectors of each owner's tokens.
//
// Native because numba has no prefetch: the rows of a corpus's tokens lie scattered over a table larger than the
// second-level cache, and waiting for them is nearly all the work.
//
// Sums are float64. The product of two floats is exact in float64, so fused or not, and at any instruction set, the
// sum of an owner's events in their order is the same to the last bit.
#pragma once
#include <cstdint>
#include <cstring>
#include <functional>

#include "simd/memory.hpp"
#include "simd/vectors.hpp"

namespace traitcore {

/// Where things lie; everything is trusted.
struct Pooling {
  // Owner o's events are the runs [starts[r], stops[r]), r in [first[o], first[o + 1]).
  const std::int64_t *first, *starts, *stops;
  const std::int32_t* tokens;  // (n_events,)
  std::int64_t n_events;
  const float* vectors;  // (n_tokens, width), row-major
  std::int64_t width;
  const float* token_weights;  // (n_tokens,), or null: all 1
  const float* event_weights;  // (n_events,), or null: all 1
  const std::function<void()>* poll = nullptr;  // called between passes over an owner's events; may throw to end them
};

namespace pooling {

// Events between a fetch of a row and its use: about the latency of the last-level cache over the work of an event.
constexpr std::int64_t kAhead = 16;

template <bool ByToken, bool ByEvent>
TRAITCORE_INLINE double weight_of(const Pooling& p, std::int64_t e) {
  float weight = ByToken ? p.token_weights[p.tokens[e]] : 1.0f;
  if (ByEvent) weight *= p.event_weights[e];
  return weight;
}

/// An owner's mean in one column: for tables narrower than two vectors.
template <bool ByToken, bool ByEvent>
TRAITCORE_INLINE float pool_column(const Pooling& p, std::int64_t owner, double mass, std::int64_t column) {
  double sum = 0.0;
  for (std::int64_t r = p.first[owner]; r < p.first[owner + 1]; ++r)
    for (std::int64_t e = p.starts[r]; e < p.stops[r]; ++e)
      sum += weight_of<ByToken, ByEvent>(p, e) * p.vectors[p.tokens[e] * p.width + column];
  return static_cast<float>(sum / mass);
}

#define TRAITCORE_KERNEL <traitcore/detail/pooling.inl>
#include "simd/foreach_level.hpp"

template <bool ByToken, bool ByEvent>
void pool_owners(const Pooling& p, std::int64_t start, std::int64_t stop, float* pooled, double* mass,
                 std::int64_t* known) {
  const SimdLevel level = simd_level();
  for (std::int64_t owner = start; owner < stop; ++owner) {
    double total = 0.0;
    std::int64_t positive = 0;
    for (std::int64_t r = p.first[owner]; r < p.first[owner + 1]; ++r) {
      if (!ByToken && !ByEvent) {
        positive += p.stops[r] - p.starts[r];
        total = static_cast<double>(positive);
        continue;
      }
      for (std::int64_t e = p.starts[r]; e < p.stops[r]; ++e) {
        const double weight = weight_of<ByToken, ByEvent>(p, e);
        total += weight;
        positive += weight > 0.0;
      }
    }
    mass[owner] = total;
    known[owner] = positive;
    float* out = pooled + owner * p.width;
    if (!(total > 0.0)) {
      std::memset(out, 0, static_cast<std::size_t>(p.width) * sizeof(float));
      continue;
    }
    TRAITCORE_AT_LEVEL(level, pool_row<ByToken, ByEvent>(p, owner, total, out));
  }
}

}  // namespace pooling

/// Weighted means of the owners [start, stop): rows of `pooled` (n_owners, width); `mass` (n_owners,) gets the sum of
/// the weights, `known` the number of events with a positive one. An owner whose mass is zero gets a zero row.
inline void pool_owners(const Pooling& p, std::int64_t start, std::int64_t stop, float* pooled, double* mass,
                        std::int64_t* known) {
  if (p.token_weights && p.event_weights)
    pooling::pool_owners<true, true>(p, start, stop, pooled, mass, known);
  else if (p.token_weights)
    pooling::pool_owners<true, false>(p, start, stop, pooled, mass, known);
  else if (p.event_weights)
    pooling::pool_owners<false, true>(p, start, stop, pooled, mass, known);
  else
    pooling::pool_owners<false, false>(p, start, stop, pooled, mass, known);
}

}  // namespace traitcore
