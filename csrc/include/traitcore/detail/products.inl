// The inner loops of products.hpp, for one instruction set.

constexpr int kTileRows = TRAITCORE_LANES == 16 ? 8 : 4;

// One row of sparse x dense for NV vectors of columns: sum over e of value[e] * B[index[e]], in several sums by turns
// so that none waits for the one before. With `kFetch`, rows of B are fetched kAhead entries early; `last` is the last
// entry of the whole matrix, so that no index beyond is read.
template <int NV, bool kFetch, class Index>
TRAITCORE_INLINE void sparse_row(const Index* index, const float* value, std::int64_t begin, std::int64_t end,
                                 std::int64_t last, const float* B, std::int64_t ldb, f32* sum) {
  constexpr int kChains = NV == 1 ? 4 : 2;
  f32 part[kChains][NV];
  for (int u = 0; u < kChains; ++u)
    for (int v = 0; v < NV; ++v) part[u][v] = f32{};
  std::int64_t e = begin;
  for (; e + kChains <= end; e += kChains) {
    if (kFetch) {
      const std::int64_t soon = e + kAhead + kChains - 2 < last ? e + kAhead : last + 1 - kChains;
      for (int u = 0; u < kChains; ++u) {
        const float* next = B + static_cast<std::int64_t>(index[soon + u]) * ldb;
        for (int line = 0; line < NV * kF32Lanes; line += 16) prefetch(next + line);
      }
    }
#pragma GCC unroll 4
    for (int u = 0; u < kChains; ++u) {
      const float* row = B + static_cast<std::int64_t>(index[e + u]) * ldb;
      const f32 x = set1(value[e + u]);
      for (int v = 0; v < NV; ++v) part[u][v] = fma(x, load(row + v * kF32Lanes), part[u][v]);
    }
  }
  for (; e < end; ++e) {
    const float* row = B + static_cast<std::int64_t>(index[e]) * ldb;
    const f32 x = set1(value[e]);
    for (int v = 0; v < NV; ++v) part[0][v] = fma(x, load(row + v * kF32Lanes), part[0][v]);
  }
  for (int v = 0; v < NV; ++v) {
    sum[v] = part[0][v];
    for (int u = 1; u < kChains; ++u) sum[v] = sum[v] + part[u][v];
  }
}

template <int NV, bool kFetch, class Index>
inline void sparse_rows(const Index* indptr, const Index* index, const float* value, std::int64_t start,
                        std::int64_t stop, std::int64_t last, const float* B, std::int64_t ldb, float alpha,
                        float beta, float* C, std::int64_t ldc) {
  const f32 a = set1(alpha), b = set1(beta);
  for (std::int64_t i = start; i < stop; ++i) {
    f32 sum[NV];
    sparse_row<NV, kFetch>(index, value, indptr[i], indptr[i + 1], last, B, ldb, sum);
    float* out = C + i * ldc;
    if (beta == 0.0f)  // C may hold anything, NaN included
      for (int v = 0; v < NV; ++v) store(out + v * kF32Lanes, a * sum[v]);
    else
      for (int v = 0; v < NV; ++v) store(out + v * kF32Lanes, fma(a, sum[v], b * load(out + v * kF32Lanes)));
  }
}

// Is every index in [0, columns)?
template <class Index>
inline bool all_within(const Index* index, std::int64_t count, std::int64_t columns) {
  int outside = 0;
  for (std::int64_t e = 0; e < count; ++e) outside |= (index[e] < 0) | (static_cast<std::int64_t>(index[e]) >= columns);
  return !outside;
}

// Rows [start, stop) of C = alpha A B + beta C for `width` columns, a multiple of 16.
template <class Index>
inline void sparse_tile(const Index* indptr, const Index* index, const float* value, std::int64_t start,
                        std::int64_t stop, std::int64_t last, bool fetch, int width, const float* B, std::int64_t ldb,
                        float alpha, float beta, float* C, std::int64_t ldc) {
  int c = 0;
  for (; c + 4 * kF32Lanes <= width; c += 4 * kF32Lanes)
    sparse_rows<4, true>(indptr, index, value, start, stop, last, B + c, ldb, alpha, beta, C + c, ldc);
  for (; c + 2 * kF32Lanes <= width; c += 2 * kF32Lanes)
    sparse_rows<2, true>(indptr, index, value, start, stop, last, B + c, ldb, alpha, beta, C + c, ldc);
  for (; c < width; c += kF32Lanes)
    if (fetch)
      sparse_rows<1, true>(indptr, index, value, start, stop, last, B + c, ldb, alpha, beta, C + c, ldc);
    else
      sparse_rows<1, false>(indptr, index, value, start, stop, last, B + c, ldb, alpha, beta, C + c, ldc);
}

// H[r][:] += sum over rows of P[row][r] * W[row][:] for kTileRows columns of P and NV vectors of W. With `kFetch`, rows
// of `next`, as long as P's, are fetched on the way, a line of each.
template <int NV, bool kFetch>
TRAITCORE_INLINE void gram_tile(const float* P, std::int64_t ldp, const float* W, std::int64_t ldw, std::int64_t rows,
                                float* H, std::int64_t ldh, const float* next) {
  f32 sum[kTileRows][NV];
  for (int r = 0; r < kTileRows; ++r)
    for (int v = 0; v < NV; ++v) sum[r][v] = f32{};
  for (std::int64_t i = 0; i < rows; ++i) {
    f32 w[NV];
    for (int v = 0; v < NV; ++v) w[v] = load(W + i * ldw + v * kF32Lanes);
    if (kFetch) prefetch(next + i * ldp);
    for (int r = 0; r < kTileRows; ++r) {
      const f32 p = set1(P[i * ldp + r]);
      for (int v = 0; v < NV; ++v) sum[r][v] = fma(p, w[v], sum[r][v]);
    }
  }
  for (int r = 0; r < kTileRows; ++r)
    for (int v = 0; v < NV; ++v) store(H + r * ldh + v * kF32Lanes, load(H + r * ldh + v * kF32Lanes) + sum[r][v]);
}

// Y[i][:] += sum over j < depth of P[i][j] * S[j][:] for kTileRows rows of Y and NV vectors of columns. With `kFetch`,
// kTileRows rows of `next`, `depth` long, are fetched on the way.
template <int NV, bool kFetch>
TRAITCORE_INLINE void combine_tile(const float* P, std::int64_t ldp, const float* S, std::int64_t lds, int depth,
                                   float* Y, std::int64_t ldy, int rows, const float* next) {
  f32 sum[kTileRows][NV];
  for (int r = 0; r < kTileRows; ++r)
    for (int v = 0; v < NV; ++v) sum[r][v] = r < rows ? load(Y + r * ldy + v * kF32Lanes) : f32{};
  for (int j = 0; j < depth; ++j) {
    f32 s[NV];
    for (int v = 0; v < NV; ++v) s[v] = load(S + j * lds + v * kF32Lanes);
    if (kFetch && 16 * j < depth * kTileRows) prefetch(next + 16 * j);
    for (int r = 0; r < kTileRows; ++r) {
      const f32 p = set1(P[(r < rows ? r : 0) * ldp + j]);
      for (int v = 0; v < NV; ++v) sum[r][v] = fma(p, s[v], sum[r][v]);
    }
  }
  for (int r = 0; r < kTileRows; ++r)
    for (int v = 0; v < NV; ++v)
      if (r < rows) store(Y + r * ldy + v * kF32Lanes, sum[r][v]);
}

// `rows` rows of H (b, q) += P' W; b and q are multiples of 16. As many rows of `next` are fetched on the way: of the
// panels' many streams the processor follows none by itself.
inline void gram_block(const float* P, std::int64_t b, const float* W, std::int64_t q, std::int64_t rows, float* H,
                       const float* next) {
  for (std::int64_t r = 0; r < b; r += kTileRows) {
    std::int64_t c = 0;
    if (r % 16 == 0 && q >= 2 * kF32Lanes) {
      gram_tile<2, true>(P + r, b, W, q, rows, H + r * q, q, next + r);
      c = 2 * kF32Lanes;
    }
    for (; c + 2 * kF32Lanes <= q; c += 2 * kF32Lanes)
      gram_tile<2, false>(P + r, b, W + c, q, rows, H + r * q + c, q, next);
    for (; c < q; c += kF32Lanes) gram_tile<1, false>(P + r, b, W + c, q, rows, H + r * q + c, q, next);
  }
}

// `rows` rows of `width` columns of Y (., q) += P (., b) S (b, q); as many rows of `next` are fetched on the way.
inline void combine_block(const float* P, std::int64_t b, const float* S, std::int64_t q, std::int64_t width,
                          std::int64_t rows, float* Y, const float* next) {
  const int depth = static_cast<int>(b);
  for (std::int64_t i = 0; i < rows; i += kTileRows) {
    const int here = static_cast<int>(rows - i < kTileRows ? rows - i : kTileRows);
    std::int64_t c = 0;
    if (width >= 2 * kF32Lanes) {
      combine_tile<2, true>(P + i * b, b, S, q, depth, Y + i * q, q, here, next + i * b);
      c = 2 * kF32Lanes;
    }
    for (; c + 2 * kF32Lanes <= width; c += 2 * kF32Lanes)
      combine_tile<2, false>(P + i * b, b, S + c, q, depth, Y + i * q + c, q, here, next);
    for (; c < width; c += kF32Lanes)
      combine_tile<1, false>(P + i * b, b, S + c, q, depth, Y + i * q + c, q, here, next);
  }
}
