// One level's tiles of topk.hpp; included once for each instruction set, with these defined:
//   TK_WIDTH floats in a vector, TK_ROWS rows in a tile, TK_VEC the vector type,
//   TK_LOAD(p), TK_SET1(x), TK_ZERO(), TK_FMA(a, b, c) = a * b + c, TK_SUB(a, b), TK_STORE(p, v),
//   TK_PASSES(a, b) = bits where a > b or one is NaN,
//   TK_FEW queries or less searched with rows as lanes, rows4(x0, x1, x2, x3, p, stride): x[c] = p[c + row * stride] for
//   TK_WIDTH rows.
// No include guard: that is the point.

/// sum + x * q, or sum + (x - q)^2.
template <bool Differences>
static TRAITCORE_INLINE TK_VEC add_term(TK_VEC x, TK_VEC q, TK_VEC sum) {
  if constexpr (Differences) {
    const TK_VEC gap = TK_SUB(x, q);
    return TK_FMA(gap, gap, sum);
  } else {
    return TK_FMA(x, q, sum);
  }
}

// Lanes are queries: a row's value is broadcast against 2 vectors of queries, so rows are read as they lie and no sum
// runs across lanes. `halves` is 1 or 2 (a tile of up to TK_WIDTH, or 2 * TK_WIDTH queries), known at every call.
template <int Halves, int Rows, bool Differences>
static TRAITCORE_INLINE void tile(const TopKBlock& b, TopKLane* lanes, const float* packed, std::size_t row) {
  TK_VEC acc[Rows][Halves];
  for (int r = 0; r < Rows; ++r)
    for (int h = 0; h < Halves; ++h) acc[r][h] = TK_ZERO();
  // A pointer for every three rows: base, base + stride and base + 2 * stride are addressing modes, so that the rows
  // of a tile take few registers.
  constexpr int kGroups = (Rows + 2) / 3;
  const std::size_t stride = b.width;
  const float* at[kGroups];
  for (int g = 0; g < kGroups; ++g) at[g] = b.vectors + (row + 3 * g) * stride;
  for (std::size_t j = 0; j < b.width; ++j, packed += kQueries<TK_WIDTH>) {
    TK_VEC q[Halves];
    for (int h = 0; h < Halves; ++h) q[h] = TK_LOAD(packed + h * TK_WIDTH);
    for (int r = 0; r < Rows; ++r) {
      const TK_VEC x = TK_SET1(at[r / 3][(r % 3) * stride]);
      for (int h = 0; h < Halves; ++h) acc[r][h] = add_term<Differences>(x, q[h], acc[r][h]);
    }
    for (int g = 0; g < kGroups; ++g) {
      ++at[g];
      TK_OPAQUE(at[g]);
    }
  }
  unsigned any = 0;
  for (int h = 0; h < Halves; ++h) {
    const TK_VEC threshold = TK_LOAD(lanes->threshold + h * TK_WIDTH);
    for (int r = 0; r < Rows; ++r) {
      acc[r][h] = Differences ? TK_SUB(TK_ZERO(), acc[r][h])
                              : TK_FMA(acc[r][h], TK_SET1(b.scale[row + r]), TK_SET1(b.bias[row + r]));
      any |= TK_PASSES(acc[r][h], threshold);
    }
  }
  if (!any) return;
  float score[TK_WIDTH];
  for (int r = 0; r < Rows; ++r)
    for (int h = 0; h < Halves; ++h) {
      unsigned bits = TK_PASSES(acc[r][h], TK_LOAD(lanes->threshold + h * TK_WIDTH));
      if (!bits) continue;
      TK_STORE(score, acc[r][h]);
      for (int lane = 0; bits; ++lane, bits >>= 1)
        if (bits & 1u) lanes->offer(h * TK_WIDTH + lane, score[lane], static_cast<std::int64_t>(row) + r);
    }
}

template <int Halves, bool Differences>
static void rows(const TopKBlock& b, TopKLane* lanes, const float* packed, std::size_t begin, std::size_t end) {
  std::size_t row = begin;
  for (; row + TK_ROWS <= end; row += TK_ROWS) tile<Halves, TK_ROWS, Differences>(b, lanes, packed, row);
  for (; row < end; ++row) tile<Halves, 1, Differences>(b, lanes, packed, row);
}

// For few queries lanes are rows: blocks of 4 columns are transposed on their way to the registers, so that each row's
// sum keeps the order it has above and no lane is idle. Two vectors of rows hide half of the sums' latency; the tile is
// small enough to stay in the first-level cache, where the queries take turns over it.
inline constexpr int kGroups = 2, kTurn = 6;
inline constexpr std::size_t kFewRows = kGroups * TK_WIDTH;

template <int Queries, bool Differences>
static TRAITCORE_INLINE void few_tile(const TopKBlock& b, TopKLane* lanes, std::size_t row, int first) {
  TK_VEC acc[Queries][kGroups];
  for (int q = 0; q < Queries; ++q)
    for (int g = 0; g < kGroups; ++g) acc[q][g] = TK_ZERO();
  const std::size_t stride = b.width, whole = b.width / 4 * 4;
  const float* query[Queries];
  for (int q = 0; q < Queries; ++q) query[q] = b.queries + (first + q) * b.width;
  const float* at = b.vectors + row * stride;
  // Of the next tile a line for each that is used here: these are more rows than the processor's own prefetch follows.
  const float* ahead = row + 2 * kFewRows <= b.end ? at + kFewRows * stride : at;
  for (std::size_t j = 0; j < whole; j += 4) {
    for (int g = 0; g < kGroups; ++g) {
      for (int line = 0; line < TK_WIDTH / 4; ++line, ahead += 16) TK_PREFETCH(ahead);
      TK_VEC x0, x1, x2, x3;
      rows4(x0, x1, x2, x3, at + g * TK_WIDTH * stride + j, stride);
      for (int q = 0; q < Queries; ++q) {
        acc[q][g] = add_term<Differences>(x0, TK_SET1(query[q][j]), acc[q][g]);
        acc[q][g] = add_term<Differences>(x1, TK_SET1(query[q][j + 1]), acc[q][g]);
        acc[q][g] = add_term<Differences>(x2, TK_SET1(query[q][j + 2]), acc[q][g]);
        acc[q][g] = add_term<Differences>(x3, TK_SET1(query[q][j + 3]), acc[q][g]);
      }
    }
  }
  for (std::size_t j = whole; j < b.width; ++j)
    for (int g = 0; g < kGroups; ++g) {
      float column[TK_WIDTH];
      for (int r = 0; r < TK_WIDTH; ++r) column[r] = at[(g * TK_WIDTH + r) * stride + j];
      const TK_VEC x = TK_LOAD(column);
      for (int q = 0; q < Queries; ++q) acc[q][g] = add_term<Differences>(x, TK_SET1(query[q][j]), acc[q][g]);
    }
  unsigned any = 0;
  for (int g = 0; g < kGroups; ++g) {
    const TK_VEC scale = TK_LOAD(b.scale + row + g * TK_WIDTH), bias = TK_LOAD(b.bias + row + g * TK_WIDTH);
    for (int q = 0; q < Queries; ++q) {
      acc[q][g] = Differences ? TK_SUB(TK_ZERO(), acc[q][g]) : TK_FMA(acc[q][g], scale, bias);
      any |= TK_PASSES(acc[q][g], TK_SET1(lanes->threshold[first + q]));
    }
  }
  if (!any) return;
  float score[TK_WIDTH];
  for (int q = 0; q < Queries; ++q)
    for (int g = 0; g < kGroups; ++g) {
      unsigned bits = TK_PASSES(acc[q][g], TK_SET1(lanes->threshold[first + q]));
      if (!bits) continue;
      TK_STORE(score, acc[q][g]);
      for (int lane = 0; bits; ++lane, bits >>= 1)
        if (bits & 1u) lanes->offer(first + q, score[lane], static_cast<std::int64_t>(row) + g * TK_WIDTH + lane);
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
  if (block.n_queries > TK_WIDTH) rows<2, Differences>(block, lanes, packed, row, end);
  else rows<1, Differences>(block, lanes, packed, row, end);
}

template <bool Differences>
static void search_rows(const TopKBlock& block, TopKScratch& scratch, std::size_t t, std::size_t begin,
                        std::size_t end) {
  TopKLane* lanes = scratch.lanes(t);
  const float* packed = scratch.packed(t);
  if (block.n_queries <= TK_FEW) search_few<Differences>(block, lanes, packed, begin, end);
  else if (block.n_queries - t * kQueries<TK_WIDTH> > TK_WIDTH) rows<2, Differences>(block, lanes, packed, begin, end);
  else rows<1, Differences>(block, lanes, packed, begin, end);
}

inline constexpr std::size_t kSoon = 480;   // rows after which distances are taken by differences where that pays

// Rows [block.begin, block.end) after those that the scratch has seen, which must all lie before them.
static void pass(const TopKBlock& block, TopKScratch& scratch) {
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
