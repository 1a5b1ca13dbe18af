// One level's tiles of topk.hpp; included once for each instruction set, with these defined:
//   TK_WIDTH floats in a vector, TK_ROWS rows in a tile, TK_VEC the vector type,
//   TK_LOAD(p), TK_SET1(x), TK_ZERO(), TK_FMA(a, b, c) = a * b + c, TK_STORE(p, v), TK_ABOVE(a, b) = bits where a > b.
// No include guard: that is the point.

// Lanes are queries: a row's value is broadcast against 2 vectors of queries, so rows are read as they lie and no sum
// runs across lanes. `halves` is 1 or 2 (a tile of up to TK_WIDTH, or 2 * TK_WIDTH queries), known at every call.
template <int Halves, int Rows>
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
      for (int h = 0; h < Halves; ++h) acc[r][h] = TK_FMA(x, q[h], acc[r][h]);
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
      acc[r][h] = TK_FMA(acc[r][h], TK_SET1(b.scale[row + r]), TK_SET1(b.bias[row + r]));
      any |= TK_ABOVE(acc[r][h], threshold);
    }
  }
  if (!any) return;
  float score[TK_WIDTH];
  for (int r = 0; r < Rows; ++r)
    for (int h = 0; h < Halves; ++h) {
      unsigned bits = TK_ABOVE(acc[r][h], TK_LOAD(lanes->threshold + h * TK_WIDTH));
      if (!bits) continue;
      TK_STORE(score, acc[r][h]);
      for (int lane = 0; bits; ++lane, bits >>= 1)
        if (bits & 1u) lanes->offer(h * TK_WIDTH + lane, score[lane], static_cast<std::int64_t>(row) + r);
    }
}

template <int Halves>
static void rows(const TopKBlock& b, TopKLane* lanes, const float* packed, std::size_t begin, std::size_t end) {
  std::size_t row = begin;
  for (; row + TK_ROWS <= end; row += TK_ROWS) tile<Halves, TK_ROWS>(b, lanes, packed, row);
  for (; row < end; ++row) tile<Halves, 1>(b, lanes, packed, row);
}

static void search(const TopKBlock& block, const TopKOutput& out) {
  constexpr std::size_t kTile = kQueries<TK_WIDTH>;
  const std::size_t tiles = (block.n_queries + kTile - 1) / kTile;
  TopKScratch scratch(block, out, tiles, kTile);
  const std::size_t step = rows_in_cache(block.width);
  for (std::size_t begin = block.begin; begin < block.end; begin += step) {
    const std::size_t end = begin + step < block.end ? begin + step : block.end;
    for (std::size_t t = 0; t < tiles; ++t) {
      const float* packed = scratch.packed(t);
      if (block.n_queries - t * kTile > TK_WIDTH)
        rows<2>(block, scratch.lanes(t), packed, begin, end);
      else
        rows<1>(block, scratch.lanes(t), packed, begin, end);
    }
  }
  scratch.finish();
}
