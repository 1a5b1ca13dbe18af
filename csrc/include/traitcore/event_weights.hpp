// Weights of the events of each customer by their place or their age.
//
// An owner's events are runs [starts[r], stops[r]) of places in the corpus, r in [first[owner], first[owner + 1]).
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace traitcore {

struct OwnerRuns {
  const std::int64_t *first, *starts, *stops;
};

/// out[e] = decay ** (events of the owner after e), for owners [start, stop).
inline void position_weights(const OwnerRuns& runs, std::int64_t start, std::int64_t stop, double decay, float* out) {
  for (std::int64_t owner = start; owner < stop; ++owner) {
    double weight = 1.0;
    for (std::int64_t run = runs.first[owner + 1]; run-- > runs.first[owner];)
      for (std::int64_t event = runs.stops[run]; event-- > runs.starts[run]; weight *= decay)
        out[event] = static_cast<float>(weight);
  }
}

/// out[e] = 2 ** -((newest - e's time) / half life) for owners [start, stop), 0 where the token's weight is not positive.
/// Newest is the owner's latest event of a token with a positive weight, so that no owner's weights all underflow.
inline void age_weights(const OwnerRuns& runs, std::int64_t start, std::int64_t stop, const std::int32_t* tokens,
                        const float* token_weights, const std::int64_t* times_us, double half_life_us, float* out) {
  for (std::int64_t owner = start; owner < stop; ++owner) {
    std::int64_t newest = std::numeric_limits<std::int64_t>::min();
    for (std::int64_t run = runs.first[owner]; run < runs.first[owner + 1]; ++run)
      for (std::int64_t event = runs.starts[run]; event < runs.stops[run]; ++event)
        if (token_weights[tokens[event]] > 0.0f) newest = std::max(newest, times_us[event]);
    for (std::int64_t run = runs.first[owner]; run < runs.first[owner + 1]; ++run)
      for (std::int64_t event = runs.starts[run]; event < runs.stops[run]; ++event) {
        // The difference is exact in int64; as doubles the times themselves would lose microseconds.
        const bool counts = token_weights[tokens[event]] > 0.0f;
        out[event] = counts ? static_cast<float>(std::exp2(-static_cast<double>(newest - times_us[event]) / half_life_us)) : 0.0f;
      }
  }
}

}  // namespace traitcore
