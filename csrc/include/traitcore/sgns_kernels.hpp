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
  float *items[2], *contexts[2];  ///< the matrices; where a lane's copies end: copy i is row ~i from there
  std::size_t stride;
  const SgnsOptions* options;
  const SgnsNoise* noise;
  bool update;
};

/// Where the rows of a slot of the lanes' noise lie among all rows in their order.
struct LaneClass {
  std::uint32_t first, size;
};

/// What a lane knows of a super-step: what it may draw, and where each row lies. See sgns_lanes.hpp.
struct LaneView {
  const AliasTable::Slot* slots;  ///< (n_slots,): the `hot` rows, which all lanes draw, then the classes
  std::uint32_t n_slots;
  const LaneClass* classes;  ///< (n_slots,)
  const std::int32_t* order;  ///< rows: those of all lanes, then each class's members
  bool in_order;  ///< order[i] is i throughout
  std::uint32_t hot;  ///< the first places of `order`: their rows are shared, place i has key i
  const std::int32_t* mark;  ///< (n_items,) 0, the lane that owns the row + 1, or ~key of a row that several lanes have
  const std::uint32_t* busy;  ///< a bit for each row that is some lane's
  const std::int32_t* rows;  ///< (keys,) the row of each key
  std::uint32_t keys;
  std::uint32_t member;  ///< of each class, the one that this lane may draw
  std::int32_t lane;
};

/// A lane's copies of shared rows, side by side in the order in which it met them: of items [0], and of contexts [1].
struct LaneCopies {
  struct Side {
    std::vector<std::int32_t> places;  ///< (keys + 1,) ~i for a key that copy i is of, 0 for one without; the last one is no key
    std::vector<std::int32_t> keys;  ///< of each copy
    std::int32_t n = 0;
    AlignedBuffer<float> rows;  ///< from its end towards its beginning
    std::size_t room = 0;
    float* end(std::size_t stride) { return rows.data() + room * stride; }
  };
  Side sides[2];

  /// No copies, of so many keys.
  void clear(std::size_t n_keys) {
    for (Side& side : sides) {
      side.places.assign(n_keys + 1, 0);
      if (side.keys.size() < n_keys + 1) side.keys.resize(n_keys + n_keys / 2 + 1);
      side.n = 0;
    }
  }
  /// Room for the copies that were counted.
  void reserve(std::size_t stride) {
    for (Side& side : sides)
      if (const auto n = static_cast<std::size_t>(side.n); n > side.room) {
        side.room = n + n / 2;
        side.rows = AlignedBuffer<float>(side.room * stride, false);
      }
  }
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
  double (*run_lane)(const SgnsTask&, const SgnsBatch&, SgnsScratch&);  ///< the same for a batch that is bound
  void (*bind)(const SgnsTask&, const LaneView&, LaneCopies&, SgnsBatch&);
  void (*copy)(const SgnsTask&, const LaneView&, const LaneCopies&, const SgnsBatch&);
  bool (*merge)(float*, const float* const*, int, float, std::size_t);
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
          TRAITCORE_AT_LEVEL(level, copy_rows),       TRAITCORE_AT_LEVEL(level, merge_moves)};
}
}  // namespace sgns

}  // namespace traitcore::detail
