// The tiles of topk.hpp, for one instruction set.

constexpr int kTileRows = TRAITCORE_LANES == 16 ? 12 : TRAITCORE_LANES == 8 ? 6 : 4;
constexpr std::size_t kFewQueries = TRAITCORE_LANES > 4 ? 16 : 4;  // up to these, lanes are rows
inline constexpr std::size_t kTileQueries = 2 * kF32Lanes;

/// Keeps the compiler from folding pointers into one base with twelve index registers, which spill.
TRAITCORE_INLINE void keep_in_register(const float*& pointer) {
#if TRAITCORE_VECTORS
  __asm__("" : "+r"(pointer));
#else
  (void)pointer;
#endif
}

/// sum + x * q, or sum + (x - q)^2.
template <bool Differences>
TRAITCORE_INLINE f32 add_term(f32 x, f32 q, f32 sum) {
  if constexpr (Differences) {
    const f32 gap = x - q;
    return fma(gap, gap, sum);
  } else {
    return fma(x, q, sum);
  }
}

// Lanes are queries: a row's value is broadcast against 2 vectors of queries, so rows are read as they lie and no sum
// runs across lanes. `Halves` is 1 or 2 (a tile of up to kF32Lanes, or 2 * kF32Lanes queries), known at every call.
template <int Halves, int Rows, bool Differences>
TRAITCORE_INLINE void tile(const TopKBlock& b, TopKLane* lanes, const float* packed, std::size_t row) {
  f32 acc[Rows][Halves];
  for (int r = 0; r < Rows; ++r)
    for (int h = 0; h < Halves; ++h) acc[r][h] = f32{};
  // A pointer for every three rows: base, base + stride and base + 2 * stride are addressing modes, so that the rows
  // of a tile take few registers.
  constexpr int kGroups = (Rows + 2) / 3;
  const std::size_t stride = b.width;
  const float* at[kGroups];
  for (int g = 0; g < kGroups; ++g) at[g] = b.vectors + (row + 3 * g) * stride;
  for (std::size_t j = 0; j < b.width; ++j, packed += kTileQueries) {
    f32 q[Halves];
    for (int h = 0; h < Halves; ++h) q[h] = load(packed + h * kF32Lanes);
    for (int r = 0; r < Rows; ++r) {
      const f32 x = set1(at[r / 3][(r % 3) * stride]);
      for (int h = 0; h < Halves; ++h) acc[r][h] = add_term<Differences>(x, q[h], acc[r][h]);
    }
    for (int g = 0; g < kGroups; ++g) {
      ++at[g];
      keep_in_register(at[g]);
    }
  }
  unsigned any = 0;
  for (int h = 0; h < Halves; ++h) {
    const f32 threshold = load(lanes->threshold + h * kF32Lanes);
    for (int r = 0; r < Rows; ++r) {
      acc[r][h] = Differences ? f32{} - acc[r][h]
                              : fma(acc[r][h], set1(b.scale[row + r]), set1(b.bias[row + r]));
      any |= above(acc[r][h], threshold);
    }
  }
  if (!any) return;
  float score[kF32Lanes];
  for (int r = 0; r < Rows; ++r)
    for (int h = 0; h < Halves; ++h) {
      unsigned bits = above(acc[r][h], load(lanes->threshold + h * kF32Lanes));
      if (!bits) continue;
      store(score, acc[r][h]);
      for (int lane = 0; bits; ++lane, bits >>= 1)
        if (bits & 1u) lanes->offer(h * kF32Lanes + lane, score[lane], static_cast<std::int64_t>(row) + r);
    }
}

template <int Halves, bool Differences>
static void rows(const TopKBlock& b, TopKLane* lanes, const float* packed, std::size_t begin, std::size_t end) {
  std::size_t row = begin;
  for (; row + kTileRows <= end; row += kTileRows) tile<Halves, kTileRows, Differences>(b, lanes, packed, row);
  for (; row < end; ++row) tile<Halves, 1, Differences>(b, lanes, packed, row);
}

// For few queries lanes are rows: blocks of 4 columns are transposed on their way to the registers, so that each row's
// sum keeps the order it has above and no lane is idle. Two vectors of rows hide half of the sums' latency; the tile is
// small enough to stay in the first-level cache, where the queries take turns over it.
inline constexpr int kGroups = 2, kTurn = 6;
inline constexpr std::size_t kFewRows = kGroups * kF32Lanes;

template <int Queries, bool Differences>
TRAITCORE_INLINE void few_tile(const TopKBlock& b, TopKLane* lanes, std::size_t row, int first) {
  f32 acc[Queries][kGroups];
  for (int q = 0; q < Queries; ++q)
    for (int g = 0; g < kGroups; ++g) acc[q][g] = f32{};
  const std::size_t stride = b.width, whole = b.width / 4 * 4;
  const float* query[Queries];
  for (int q = 0; q < Queries; ++q) query[q] = b.queries + (first + q) * b.width;
  const float* at = b.vectors + row * stride;
  // Of the next tile a line for each that is used here: these are more rows than the processor's own prefetch follows.
  const float* ahead = row + 2 * kFewRows <= b.end ? at + kFewRows * stride : at;
  for (std::size_t j = 0; j < whole; j += 4) {
    for (int g = 0; g < kGroups; ++g) {
      for (int line = 0; line < kF32Lanes / 4; ++line, ahead += 16) prefetch(ahead);
      f32 x0, x1, x2, x3;
      load_columns(x0, x1, x2, x3, at + g * kF32Lanes * stride + j, stride);
      for (int q = 0; q < Queries; ++q) {
        acc[q][g] = add_term<Differences>(x0, set1(query[q][j]), acc[q][g]);
        acc[q][g] = add_term<Differences>(x1, set1(query[q][j + 1]), acc[q][g]);
        acc[q][g] = add_term<Differences>(x2, set1(query[q][j + 2]), acc[q][g]);
        acc[q][g] = add_term<Differences>(x3, set1(query[q][j + 3]), acc[q][g]);
      }
    }
  }
  for (std::size_t j = whole; j < b.width; ++j)
    for (int g = 0; g < kGroups; ++g) {
      float column[kF32Lanes];
      for (int r = 0; r < kF32Lanes; ++r) column[r] = at[(g * kF32Lanes + r) * stride + j];
      const f32 x = load(column);
      for (int q = 0; q < Queries; ++q) acc[q][g] = add_term<Differences>(x, set1(query[q][j]), acc[q][g]);
    }
  unsigned any = 0;
  for (int g = 0; g < kGroups; ++g) {
    const f32 scale = load(b.scale + row + g * kF32Lanes), bias = load(b.bias + row + g * kF32Lanes);
    for (int q = 0; q < Queries; ++q) {
      acc[q][g] = Differences ? f32{} - acc[q][g] : fma(acc[q][g], scale, bias);
      any |= above(acc[q][g], set1(lanes->threshold[first + q]));
    }
  }
  if (!any) return;
  float score[kF32Lanes];
  for (int q = 0; q < Queries; ++q)
    for (int g = 0; g < kGroups; ++g) {
      unsigned bits = above(acc[q][g], set1(lanes->threshold[first + q]));
      if (!bits) continue;
      store(score, acc[q][g]);
      for (int lane = 0; bits; ++lane, bits >>= 1)
        if (bits & 1u) lanes->offer(first + q, score[lane], static_cast<std::int64_t>(row) + g * kF32Lanes + lane);
    }
}

template <int Queries, bool Differences>
static void few_tiles(const TopKBlock& b, TopKLane* lanes, std::size_t row, std::size_t q) {
  if constexpr (Queries > 1)
    if (b.n_queries - q < Queries) return few_tiles<Queries - 1, Differences>(b, lanes, row, q);
  few_tile<Queries, Differences>(b, lanes, row, static_cast<int>(q));
}

template <bool Differences>
static void search_few(const TopKBlock& block, TopKLane* lanes, const float* packed, std::size_t begin,
                       std::size_t end) {
  std::size_t row = begin;
  for (; row + kFewRows <= end; row += kFewRows)
    for (std::size_t q = 0; q < block.n_queries; q += kTurn) few_tiles<kTurn, Differences>(block, lanes, row, q);
  if (block.n_queries > kF32Lanes) rows<2, Differences>(block, lanes, packed, row, end);
  else rows<1, Differences>(block, lanes, packed, row, end);
}

template <bool Differences>
static void search_rows(const TopKBlock& block, TopKScratch& scratch, std::size_t t, std::size_t begin,
                        std::size_t end) {
  TopKLane* lanes = scratch.lanes(t);
  const float* packed = scratch.packed(t);
  if (block.n_queries <= kFewQueries) search_few<Differences>(block, lanes, packed, begin, end);
  else if (block.n_queries - t * kTileQueries > kF32Lanes) rows<2, Differences>(block, lanes, packed, begin, end);
  else rows<1, Differences>(block, lanes, packed, begin, end);
}

inline constexpr std::size_t kSoon = 480;   // rows after which distances are taken by differences where that pays

// Rows [block.begin, block.end) after those that the scratch has seen, which must all lie before them.
static void search(const TopKBlock& block, TopKScratch& scratch) {
  const std::size_t whole = rows_in_cache(block.width), step = block.euclidean && whole > kSoon ? kSoon : whole;
  for (std::size_t begin = block.begin; begin < block.end; begin += step) {
    const std::size_t end = begin + step < block.end ? begin + step : block.end;
    for (std::size_t t = 0; t < scratch.tiles(); ++t) {
      if (scratch.lanes(t)->by_difference) search_rows<true>(block, scratch, t, begin, end);
      else search_rows<false>(block, scratch, t, begin, end);
      scratch.lanes(t)->count(end - begin);
    }
  }
}
