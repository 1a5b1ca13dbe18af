// The inner loops of products.hpp, which includes this file once per instruction set (so no include guard), inside a
// namespace and target region that has defined V (a vector of kLanes floats), V's operations, and kTileRows.

// One row of sparse x dense for NV vectors of columns: sum over e of value[e] * B[index[e]].
// `ahead` rows of B are fetched early; `last` is the last entry of the whole matrix, so that no index beyond is read.
template <int NV, class Index>
TRAITCORE_INLINE void sparse_row(const Index* index, const float* value, std::int64_t begin, std::int64_t end,
                                 std::int64_t last, const float* B, std::int64_t ldb, V* sum) {
  for (int v = 0; v < NV; ++v) sum[v] = zero();
  for (std::int64_t e = begin; e < end; ++e) {
    const std::int64_t soon = e + kAhead < last ? e + kAhead : last;
    const char* next = reinterpret_cast<const char*>(B + static_cast<std::int64_t>(index[soon]) * ldb);
    for (int line = 0; line < NV * kLanes * 4; line += 64) prefetch(next + line);
    const float* row = B + static_cast<std::int64_t>(index[e]) * ldb;
    const V x = broadcast(value[e]);
    for (int v = 0; v < NV; ++v) sum[v] = fma(x, load(row + v * kLanes), sum[v]);
  }
}

template <int NV, class Index>
TRAITCORE_INLINE void sparse_rows(const Index* indptr, const Index* index, const float* value, std::int64_t start,
                        std::int64_t stop, std::int64_t last, const float* B, std::int64_t ldb, float alpha,
                        float beta, float* C, std::int64_t ldc) {
  const V a = broadcast(alpha), b = broadcast(beta);
  for (std::int64_t i = start; i < stop; ++i) {
    V sum[NV];
    sparse_row<NV>(index, value, indptr[i], indptr[i + 1], last, B, ldb, sum);
    float* out = C + i * ldc;
    if (beta == 0.0f)  // C may hold anything, NaN included
      for (int v = 0; v < NV; ++v) store(out + v * kLanes, mul(a, sum[v]));
    else
      for (int v = 0; v < NV; ++v) store(out + v * kLanes, fma(a, sum[v], mul(b, load(out + v * kLanes))));
  }
}

// Rows [start, stop) of C = alpha A B + beta C for `width` columns, a multiple of 16.
template <class Index>
inline void sparse_tile(const Index* indptr, const Index* index, const float* value, std::int64_t start,
                        std::int64_t stop, std::int64_t last, int width, const float* B, std::int64_t ldb, float alpha,
                        float beta, float* C, std::int64_t ldc) {
  int c = 0;
  for (; c + 2 * kLanes <= width; c += 2 * kLanes)
    sparse_rows<2>(indptr, index, value, start, stop, last, B + c, ldb, alpha, beta, C + c, ldc);
  for (; c < width; c += kLanes)
    sparse_rows<1>(indptr, index, value, start, stop, last, B + c, ldb, alpha, beta, C + c, ldc);
}

// H[r][:] += sum over rows of P[row][r] * W[row][:] for kTileRows columns of P and NV vectors of W.
template <int NV>
TRAITCORE_INLINE void gram_tile(const float* P, std::int64_t ldp, const float* W, std::int64_t ldw, std::int64_t rows, float* H,
                      std::int64_t ldh) {
  V sum[kTileRows][NV];
  for (int r = 0; r < kTileRows; ++r)
    for (int v = 0; v < NV; ++v) sum[r][v] = zero();
  for (std::int64_t i = 0; i < rows; ++i) {
    V w[NV];
    for (int v = 0; v < NV; ++v) w[v] = load(W + i * ldw + v * kLanes);
    for (int r = 0; r < kTileRows; ++r) {
      const V p = broadcast(P[i * ldp + r]);
      for (int v = 0; v < NV; ++v) sum[r][v] = fma(p, w[v], sum[r][v]);
    }
  }
  for (int r = 0; r < kTileRows; ++r)
    for (int v = 0; v < NV; ++v) store(H + r * ldh + v * kLanes, add(load(H + r * ldh + v * kLanes), sum[r][v]));
}

// Y[i][:] += sum over j < depth of P[i][j] * S[j][:] for kTileRows rows of Y and NV vectors of columns.
template <int NV>
TRAITCORE_INLINE void combine_tile(const float* P, std::int64_t ldp, const float* S, std::int64_t lds, int depth, float* Y,
                         std::int64_t ldy, int rows) {
  V sum[kTileRows][NV];
  for (int r = 0; r < kTileRows; ++r)
    for (int v = 0; v < NV; ++v) sum[r][v] = r < rows ? load(Y + r * ldy + v * kLanes) : zero();
  for (int j = 0; j < depth; ++j) {
    V s[NV];
    for (int v = 0; v < NV; ++v) s[v] = load(S + j * lds + v * kLanes);
    for (int r = 0; r < kTileRows; ++r) {
      const V p = broadcast(P[(r < rows ? r : 0) * ldp + j]);
      for (int v = 0; v < NV; ++v) sum[r][v] = fma(p, s[v], sum[r][v]);
    }
  }
  for (int r = 0; r < kTileRows; ++r)
    for (int v = 0; v < NV; ++v)
      if (r < rows) store(Y + r * ldy + v * kLanes, sum[r][v]);
}

// `rows` rows of H (b, q) += P' W; b and q are multiples of 16.
inline void gram_block(const float* P, std::int64_t b, const float* W, std::int64_t q, std::int64_t rows, float* H) {
  for (std::int64_t r = 0; r < b; r += kTileRows) {
    std::int64_t c = 0;
    for (; c + 2 * kLanes <= q; c += 2 * kLanes) gram_tile<2>(P + r, b, W + c, q, rows, H + r * q + c, q);
    for (; c < q; c += kLanes) gram_tile<1>(P + r, b, W + c, q, rows, H + r * q + c, q);
  }
}

// `rows` rows of Y (., q) += P (., b) S (b, q).
inline void combine_block(const float* P, std::int64_t b, const float* S, std::int64_t q, std::int64_t rows, float* Y) {
  for (std::int64_t i = 0; i < rows; i += kTileRows) {
    const int here = static_cast<int>(rows - i < kTileRows ? rows - i : kTileRows);
    std::int64_t c = 0;
    for (; c + 2 * kLanes <= q; c += 2 * kLanes)
      combine_tile<2>(P + i * b, b, S + c, q, static_cast<int>(b), Y + i * q + c, q, here);
    for (; c < q; c += kLanes)
      combine_tile<1>(P + i * b, b, S + c, q, static_cast<int>(b), Y + i * q + c, q, here);
  }
}
