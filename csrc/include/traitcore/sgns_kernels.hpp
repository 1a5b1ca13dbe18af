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
  /// Where the lanes' copies end: that of key k is row ~k from here, so that places of rows below 0 stand for copies.
  float *item_copies = nullptr, *context_copies = nullptr;
};

/// What a lane knows of a super-step: what it may draw, and where each row lies. See sgns_lanes.hpp.
struct LaneView {
  const AliasTable::Slot* slots;  ///< (n_slots,): `every` rows that all lanes draw, then the classes
  std::uint32_t n_slots, every;
  const std::int32_t* order;  ///< (n_order,) rows: those of all lanes, then each class's members, -1 for one that is missing
  std::uint32_t hot;  ///< the first places of `order`: their rows are shared, place i has key i
  std::uint32_t n_order, shift;  ///< classes have 2^shift members
  bool in_order;  ///< order[i] is i throughout
  const std::int32_t* mark;  ///< (n_items,) 0, the lane that owns the row + 1, or ~key of a row that several lanes have
  const std::uint32_t* busy;  ///< a bit for each row that is some lane's
  const std::int32_t* rows;  ///< (keys,) the row of each key
  std::uint32_t keys;
  std::uint32_t member;  ///< of each class, the one that this lane may draw
  std::int32_t lane;
  std::uint8_t* touched[2];  ///< (keys + 9,) 1 where the lane has a copy: of items, and of contexts
};

inline constexpr float kFixedOne = 16777216.0f;  ///< of moves in fixed point: 2^24, so sums reach 128

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
  double (*run_lane)(const SgnsTask&, const SgnsBatch&, SgnsScratch&);  ///< the same for a batch that is bound
  void (*bind)(const SgnsTask&, const LaneView&, SgnsBatch&);
  void (*copy)(const SgnsTask&, const LaneView&);
  bool (*keep)(const SgnsTask&, const LaneView&, float, std::int32_t*, std::uint8_t*);
  void (*merge)(float*, const std::int32_t* const*, int, float, std::size_t);
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
  return {TRAITCORE_AT_LEVEL(level, draw_noise),      TRAITCORE_AT_LEVEL(level, run_batch<false>),
          TRAITCORE_AT_LEVEL(level, run_batch<true>), TRAITCORE_AT_LEVEL(level, bind_lane),
          TRAITCORE_AT_LEVEL(level, copy_rows),       TRAITCORE_AT_LEVEL(level, keep_moves),
          TRAITCORE_AT_LEVEL(level, merge_moves)};
}
}  // namespace sgns

}  // namespace traitcore::detail
