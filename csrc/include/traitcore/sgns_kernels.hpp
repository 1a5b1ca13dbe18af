// The arithmetic of skip-gram with negative sampling: a window's inputs against its target and negatives as a small
// matrix product, scores, gradients and moves, in the best instruction set of the machine.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "hogwild.hpp"
#include "sgns_sampling.hpp"
#include "simd/memory.hpp"
#include "simd/vectors.hpp"

namespace traitcore::detail {

struct SgnsTask {
  float* items;
  float* contexts;
  std::size_t stride;
  const SgnsOptions* options;
  const SgnsNoise* noise;
  bool update;
};

/// Rows and working memory of one window: at most 16 inputs, any number of outputs, out[0] the target.
struct SgnsWindow {
  float* const* in;  ///< (n_in + 1,), the last one a row of zeros: inputs are taken two at a time
  float* const* out;
  int n_in, n_out;
  const float* weight;  ///< 16 for each tile of 6 outputs: learning rate, for negatives times minus how often each was drawn
  float* gradient;  ///< 128 for each tile
  float* scale;  ///< (128,)
  float* moves;  ///< (16 * 32,)
};

struct SgnsScratch {
  SgnsScratch(int negative, std::size_t stride)
      : tiles(static_cast<std::size_t>(negative) / 6 + 1), memory(tiles * 144 + 128 + 512 + stride),
        out(tiles * 6), repeats(tiles * 6) {
    weight = memory.data();
    gradient = weight + 16 * tiles;
    scale = gradient + 128 * tiles;
    moves = scale + 128;
    alone[1] = moves + 512;
  }
  std::size_t tiles;
  AlignedBuffer<float> memory;
  float *weight, *gradient, *scale, *moves;
  std::vector<float*> out;
  std::vector<int> repeats;
  float* in[SgnsSampler::kMaxInputs + 1];
  float* alone[2];  ///< one input, and the zeros beside it
};

/// Prepares and trains batches at one level.
struct SgnsRunner {
  void (*draw)(const SgnsTask&, SgnsBatch&);
  double (*run)(const SgnsTask&, const SgnsBatch&, SgnsScratch&);  ///< returns the summed log-loss
};

namespace sgns {
#define TRAITCORE_KERNEL <traitcore/detail/sgns_batch.inl>
#include "simd/foreach_level.hpp"

inline SgnsRunner runner() {
#if defined(TRAITCORE_RELAXED_ATOMICS)
  const SimdLevel level = SimdLevel::baseline;  // the one whose loads and stores are atomic
#else
  const SimdLevel level = simd_level();
#endif
  return {TRAITCORE_AT_LEVEL(level, draw_noise), TRAITCORE_AT_LEVEL(level, run_batch)};
}
}  // namespace sgns

}  // namespace traitcore::detail
