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
#include "simd/level.hpp"

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
      : tiles(static_cast<std::size_t>(negative) / 6 + 1), memory(tiles * 144 + 128 + 512 + stride + 16),
        out(tiles * 6), repeats(tiles * 6) {
    const auto at = reinterpret_cast<std::uintptr_t>(memory.data());
    weight = memory.data() + (((at + 63) & ~std::uintptr_t{63}) - at) / sizeof(float);
    gradient = weight + 16 * tiles;
    scale = gradient + 128 * tiles;
    moves = scale + 128;
    alone[1] = moves + 512;
  }
  std::size_t tiles;
  std::vector<float> memory;
  float *weight, *gradient, *scale, *moves;  ///< on cache lines
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

namespace baseline {
#include "detail/vec_baseline.inl"
#include "detail/sgns_level.inl"
#include "detail/sgns_batch.inl"
}  // namespace baseline

#if TRAITCORE_X86
TRAITCORE_BEGIN_AVX2
namespace avx2 {
#include "detail/vec_avx2.inl"
#include "detail/sgns_level.inl"
#include "detail/sgns_batch.inl"
}  // namespace avx2
TRAITCORE_END_TARGET

#define TRAITCORE_LEVEL_AVX512 1
TRAITCORE_BEGIN_AVX512
namespace avx512 {
#include "detail/vec_avx512.inl"
#include "detail/sgns_level.inl"
#include "detail/sgns_batch.inl"
}  // namespace avx512
TRAITCORE_END_TARGET
#undef TRAITCORE_LEVEL_AVX512
#endif

inline SgnsRunner sgns_runner() {
#if TRAITCORE_X86 && !defined(TRAITCORE_RELAXED_ATOMICS)
  if (simd_level() == SimdLevel::avx512) return {avx512::draw_noise, avx512::run_batch};
  if (simd_level() == SimdLevel::avx2) return {avx2::draw_noise, avx2::run_batch};
#endif
  return {baseline::draw_noise, baseline::run_batch};
}

}  // namespace traitcore::detail
