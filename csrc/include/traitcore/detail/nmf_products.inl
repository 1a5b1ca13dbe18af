// Products of a block of rows with the other factor, and of its transpose: the half of nmf_block.inl, which includes
// this file, that knows what X looks like. TC_TILE, TC_PREFETCH and TC_AHEAD are undefined by nmf_entries.inl.

/// out (R rows, columns c ... c + Z vectors) = X[R rows] A, X dense with rows `stride` apart.
TRAITCORE_INLINE void dense_tile(const int R, const int Z, const TC_REAL* X, std::int64_t stride, std::int64_t m,
                                 const TC_REAL* A, int width, TC_REAL* out) {
  Vec acc[8][2];
#pragma GCC unroll 8
  for (int u = 0; u < R; ++u)
#pragma GCC unroll 2
    for (int z = 0; z < Z; ++z) acc[u][z] = zero();
  for (std::int64_t j = 0; j < m; ++j) {
    Vec a[2];
#pragma GCC unroll 2
    for (int z = 0; z < Z; ++z) a[z] = load(A + j * width + z * TC_LANES);
#pragma GCC unroll 8
    for (int u = 0; u < R; ++u) {
      const Vec x = splat(X[u * stride + j]);
#pragma GCC unroll 2
      for (int z = 0; z < Z; ++z) acc[u][z] += x * a[z];
    }
  }
#pragma GCC unroll 8
  for (int u = 0; u < R; ++u)
#pragma GCC unroll 2
    for (int z = 0; z < Z; ++z) store(out + u * width + z * TC_LANES, acc[u][z]);
}

// Accumulators that fit the register file: 32 registers with AVX-512, 16 below.
#if defined(TC_WIDE)
#define TC_TILE 8
#else
#define TC_TILE 4
#endif

/// out (rows, width) = X[rows] A.
static void dense_product(const TC_REAL* X, std::int64_t stride, int rows, std::int64_t m, const TC_REAL* A,
                          int width, TC_REAL* out) {
  int r = 0;
  for (; r + TC_TILE <= rows; r += TC_TILE) {
    int c = 0;
    for (; c + 2 * TC_LANES <= width; c += 2 * TC_LANES)
      dense_tile(TC_TILE, 2, X + r * stride, stride, m, A + c, width, out + r * width + c);
    for (; c < width; c += TC_LANES)
      dense_tile(TC_TILE, 1, X + r * stride, stride, m, A + c, width, out + r * width + c);
  }
  for (; r < rows; ++r)
    for (int c = 0; c < width; c += TC_LANES)
      dense_tile(1, 1, X + r * stride, stride, m, A + c, width, out + r * width + c);
}

/// C (R columns of X, Z vectors) += X[rows]^T B, B (rows, width).
TRAITCORE_INLINE void dense_transposed_tile(const int R, const int Z, const TC_REAL* X, std::int64_t stride, int rows,
                                            const TC_REAL* B, int width, TC_REAL* C) {
  Vec acc[8][2];
#pragma GCC unroll 8
  for (int u = 0; u < R; ++u)
#pragma GCC unroll 2
    for (int z = 0; z < Z; ++z) acc[u][z] = load(C + u * width + z * TC_LANES);
  for (int r = 0; r < rows; ++r) {
    Vec b[2];
#pragma GCC unroll 2
    for (int z = 0; z < Z; ++z) b[z] = load(B + r * width + z * TC_LANES);
#pragma GCC unroll 8
    for (int u = 0; u < R; ++u) {
      const Vec x = splat(X[r * stride + u]);
#pragma GCC unroll 2
      for (int z = 0; z < Z; ++z) acc[u][z] += x * b[z];
    }
  }
#pragma GCC unroll 8
  for (int u = 0; u < R; ++u)
#pragma GCC unroll 2
    for (int z = 0; z < Z; ++z) store(C + u * width + z * TC_LANES, acc[u][z]);
}

/// C (m, width) += X[rows]^T B.
static void dense_transposed_product(const TC_REAL* X, std::int64_t stride, int rows, std::int64_t m,
                                     const TC_REAL* B, int width, TC_REAL* C) {
  std::int64_t j = 0;
  for (; j + TC_TILE <= m; j += TC_TILE) {
    int c = 0;
    for (; c + 2 * TC_LANES <= width; c += 2 * TC_LANES)
      dense_transposed_tile(TC_TILE, 2, X + j, stride, rows, B + c, width, C + j * width + c);
    for (; c < width; c += TC_LANES)
      dense_transposed_tile(TC_TILE, 1, X + j, stride, rows, B + c, width, C + j * width + c);
  }
  for (; j < m; ++j)
    for (int c = 0; c < width; c += TC_LANES)
      dense_transposed_tile(1, 1, X + j, stride, rows, B + c, width, C + j * width + c);
}

/// Gram (width, width) += P^T Q in the upper triangle, P and Q (rows, width).
static void gram_product(const TC_REAL* P, const TC_REAL* Q, int rows, int width, TC_REAL* gram) {
  for (int t = 0; t < width; t += TC_TILE) {
    int c = t / TC_LANES * TC_LANES;
    for (; c + 2 * TC_LANES <= width; c += 2 * TC_LANES)
      dense_transposed_tile(TC_TILE, 2, P + t, width, rows, Q + c, width, gram + t * width + c);
    for (; c < width; c += TC_LANES)
      dense_transposed_tile(TC_TILE, 1, P + t, width, rows, Q + c, width, gram + t * width + c);
  }
}

#if defined(__GNUC__)
#define TC_PREFETCH(p, w) __builtin_prefetch(p, w, 3)
#else
#define TC_PREFETCH(p, w) (void)(p)
#endif
#define TC_AHEAD 16

/// Bring in the first lines of row `index` of a table.
TRAITCORE_INLINE void prefetch_row(const TC_REAL* table, std::int32_t index, int width, const int write) {
  const TC_REAL* row = table + static_cast<std::int64_t>(index) * width;
  const int lines = width * static_cast<int>(sizeof(TC_REAL)) / 64;
  for (int line = 0; line < lines && line < 4; ++line) {
    if (write)
      TC_PREFETCH(row + line * (64 / sizeof(TC_REAL)), 1);
    else
      TC_PREFETCH(row + line * (64 / sizeof(TC_REAL)), 0);
  }
}

TRAITCORE_INLINE void sparse_tile(const int Z, const std::int32_t* index, const TC_REAL* value, std::int64_t begin,
                                  std::int64_t end, std::int64_t last, const TC_REAL* A, int width, int column,
                                  TC_REAL* out) {
  Vec acc[8];
#pragma GCC unroll 8
  for (int z = 0; z < Z; ++z) acc[z] = zero();
  for (std::int64_t e = begin; e < end; ++e) {
    const std::int64_t ahead = e + TC_AHEAD < last ? e + TC_AHEAD : last;
    prefetch_row(A, index[ahead], width, 0);
    const TC_REAL* row = A + static_cast<std::int64_t>(index[e]) * width + column;
    const Vec x = splat(value[e]);
#pragma GCC unroll 8
    for (int z = 0; z < Z; ++z) acc[z] += x * load(row + z * TC_LANES);
  }
#pragma GCC unroll 8
  for (int z = 0; z < Z; ++z) store(out + column + z * TC_LANES, acc[z]);
}

/// out (width) = one sparse row times A; `last` is the last stored entry of the matrix.
static void sparse_product(const std::int32_t* index, const TC_REAL* value, std::int64_t begin, std::int64_t end,
                           std::int64_t last, const TC_REAL* A, int width, TC_REAL* out) {
  int c = 0;
  for (; c + 8 * TC_LANES <= width; c += 8 * TC_LANES)
    sparse_tile(8, index, value, begin, end, last, A, width, c, out);
  for (; c + 4 * TC_LANES <= width; c += 4 * TC_LANES)
    sparse_tile(4, index, value, begin, end, last, A, width, c, out);
  if (width - c == 3 * TC_LANES) {
    sparse_tile(3, index, value, begin, end, last, A, width, c, out);
    return;
  }
  for (; c + 2 * TC_LANES <= width; c += 2 * TC_LANES)
    sparse_tile(2, index, value, begin, end, last, A, width, c, out);
  for (; c < width; c += TC_LANES) sparse_tile(1, index, value, begin, end, last, A, width, c, out);
}

/// C[index] += value * b for each entry of one sparse row, b (width).
static void sparse_scatter(const std::int32_t* index, const TC_REAL* value, std::int64_t begin, std::int64_t end,
                           std::int64_t last, const TC_REAL* b, int width, TC_REAL* C) {
  for (std::int64_t e = begin; e < end; ++e) {
    const std::int64_t ahead = e + TC_AHEAD < last ? e + TC_AHEAD : last;
    prefetch_row(C, index[ahead], width, 1);
    TC_REAL* row = C + static_cast<std::int64_t>(index[e]) * width;
    const Vec x = splat(value[e]);
    for (int c = 0; c < width; c += TC_LANES) store(row + c, load(row + c) + x * load(b + c));
  }
}
