// The arithmetic of skip-gram with negative sampling.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "hogwild.hpp"
#include "sgns_sampling.hpp"
#include "simd.hpp"

namespace traitcore::detail {

struct SgnsTask {
  float* items;
  float* contexts;
  std::size_t stride;
  int negative;
  bool shared;
  bool update;
};

struct SgnsScratch {
  std::vector<float> weight, gradient, delta;
  std::vector<float*> in, out;
};

inline int EXP_CHUNK = getenv("CHUNK") ? atoi(getenv("CHUNK")) : 2;
inline float EXP_THETA = getenv("THETA") ? atof(getenv("THETA")) : 0.f;

// n inputs against the target and its negatives. Gradients are taken at the values before the update; contexts move
// first, then items by the contexts' values halfway through their move.
TRAITCORE_RACY inline double update_window(const SgnsTask& task, SgnsScratch& s, int n, float alpha) {
  const std::size_t d = task.stride, m = s.out.size();
  double loss = 0;
  s.gradient.assign(static_cast<std::size_t>(n) * m, 0.0f);
  for (int j = 0; j < n; ++j)
    for (std::size_t t = 0; t < m; ++t) {
      float dot = 0;
      for (std::size_t k = 0; k < d; ++k) dot += s.in[j][k] * s.out[t][k];
      const float label = t == 0;
      const float sigmoid = 1.0f / (1.0f + std::exp(-dot));
      loss += s.weight[t] * (std::log1p(std::exp(-std::fabs(dot))) + std::max(0.0f, t == 0 ? -dot : dot));
      s.gradient[static_cast<std::size_t>(j) * m + t] = alpha * s.weight[t] * (label - sigmoid);
    }
  if (!task.update) return loss;
  s.delta.assign(m * d, 0.0f);
  for (std::size_t t = 0; t < m; ++t)
    for (int j = 0; j < n; ++j) {
      const float g = s.gradient[static_cast<std::size_t>(j) * m + t];
      for (std::size_t k = 0; k < d; ++k) s.delta[t * d + k] += g * s.in[j][k];
    }
  const float theta = EXP_THETA;
  for (int j = 0; j < n; ++j)
    for (std::size_t t = 0; t < m; ++t) {
      const float g = s.gradient[static_cast<std::size_t>(j) * m + t];
      for (std::size_t k = 0; k < d; ++k) s.in[j][k] += g * (s.out[t][k] + theta * s.delta[t * d + k]);
    }
  for (std::size_t t = 0; t < m; ++t)
    for (std::size_t k = 0; k < d; ++k) s.out[t][k] += s.delta[t * d + k];
  return loss;
}

inline double run_batch(const SgnsTask& task, const SgnsBatch& batch, const SgnsBatch&, SgnsScratch& s) {
  double loss = 0;
  std::vector<float*> inputs;
  for (const SgnsJob& job : batch.jobs) {
    inputs.clear();
    for (std::uint32_t i = job.first; i < job.last; ++i)
      if (i != job.skip) inputs.push_back(task.items + static_cast<std::size_t>(batch.items[i]) * task.stride);
    const std::size_t sets = task.shared ? 1 : inputs.size();
    const std::size_t each = task.shared ? std::min<std::size_t>(EXP_CHUNK, inputs.size()) : 1;
    for (std::size_t set = 0; set < sets; ++set) {
      // A negative drawn twice is one output of weight two; one equal to the target is left out.
      std::vector<std::int32_t> ids{job.target};
      s.weight.assign(1, 1.0f);
      for (int k = 0; k < task.negative; ++k) {
        const std::int32_t id = batch.noise[job.noise + set * static_cast<std::size_t>(task.negative) + static_cast<std::size_t>(k)];
        if (id == job.target) continue;
        const auto same = std::find(ids.begin() + 1, ids.end(), id);
        if (same != ids.end()) {
          s.weight[static_cast<std::size_t>(same - ids.begin())] += 1.0f;
          continue;
        }
        ids.push_back(id);
        s.weight.push_back(1.0f);
      }
      s.out.clear();
      for (const auto id : ids) s.out.push_back(task.contexts + static_cast<std::size_t>(id) * task.stride);
      const std::size_t from0 = task.shared ? 0 : set, to0 = task.shared ? inputs.size() : set + 1;
      for (std::size_t from = from0; from < to0; from += each) {
        const std::size_t to = std::min(to0, from + each);
        s.in.assign(inputs.begin() + static_cast<std::ptrdiff_t>(from), inputs.begin() + static_cast<std::ptrdiff_t>(to));
        loss += update_window(task, s, static_cast<int>(to - from), job.alpha);
      }
    }
  }
  return loss;
}

}  // namespace traitcore::detail
