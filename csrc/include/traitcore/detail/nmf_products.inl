// Products of a block of rows with the other factor, and of its transpose: the half of nmf_block.inl, which includes
// this file, that knows what X looks like.

/// out (R rows, columns c ... c + Z vectors) = X[R rows] A, X dense with rows `stride` apart.
TRAITCORE_INLINE void dense_tile(const int R, const int Z, const Real* X, std::int64_t stride, std::int64_t m,
                                 const Real* A, int width, Real* out) {
  Vec acc[8][2];
#pragma GCC unroll 8
  for (int u = 0; u < R; ++u)
#pragma GCC unroll 2
    for (int z = 0; z < Z; ++z) acc[u][z] = zero();
  for (std::int64_t j = 0; j < m; ++j) {
    Vec a[2];
#pragma GCC unroll 2
    for (int z = 0; z < Z; ++z) a[z] = load(A + j * width + z * kLanes);
#pragma GCC unroll 8
    for (int u = 0; u < R; ++u) {
      const Vec x = set1(X[u * stride + j]);
#pragma GCC unroll 2
      for (int z = 0; z < Z; ++z) acc[u][z] += x * a[z];
    }
  }
#pragma GCC unroll 8
  for (int u = 0; u < R; ++u)
#pragma GCC unroll 2
    for (int z = 0; z < Z; ++z) store(out + u * width + z * kLanes, acc[u][z]);
}

// Accumulators that fit the register file: 32 registers with AVX-512, 16 below.
constexpr int kTile = TRAITCORE_LANES == 16 ? 8 : 4;

/// out (rows, width) = X[rows] A.
static void dense_product(const Real* X, std::int64_t stride, int rows, std::int64_t m, const Real* A,
                          int width, Real* out) {
  int r = 0;
  for (; r + kTile <= rows; r += kTile) {
    int c = 0;
    for (; c + 2 * kLanes <= width; c += 2 * kLanes)
      dense_tile(kTile, 2, X + r * stride, stride, m, A + c, width, out + r * width + c);
    for (; c < width; c += kLanes)
      dense_tile(kTile, 1, X + r * stride, stride, m, A + c, width, out + r * width + c);
  }
  for (; r < rows; ++r)
    for (int c = 0; c < width; c += kLanes)
      dense_tile(1, 1, X + r * stride, stride, m, A + c, width, out + r * width + c);
}

/// C (R columns of X, Z vectors) += X[rows]^T B, B (rows, width).
TRAITCORE_INLINE void dense_transposed_tile(const int R, const int Z, const Real* X, std::int64_t stride, int rows,
                                            const Real* B, int width, Real* C) {
  Vec acc[8][2];
#pragma GCC unroll 8
  for (int u = 0; u < R; ++u)
#pragma GCC unroll 2
    for (int z = 0; z < Z; ++z) acc[u][z] = load(C + u * width + z * kLanes);
  for (int r = 0; r < rows; ++r) {
    Vec b[2];
#pragma GCC unroll 2
    for (int z = 0; z < Z; ++z) b[z] = load(B + r * width + z * kLanes);
#pragma GCC unroll 8
    for (int u = 0; u < R; ++u) {
      const Vec x = set1(X[r * stride + u]);
#pragma GCC unroll 2
      for (int z = 0; z < Z; ++z) acc[u][z] += x * b[z];
    }
  }
#pragma GCC unroll 8
  for (int u = 0; u < R; ++u)
#pragma GCC unroll 2
    for (int z = 0; z < Z; ++z) store(C + u * width + z * kLanes, acc[u][z]);
}

/// C (m, width) += X[rows]^T B.
static void dense_transposed_product(const Real* X, std::int64_t stride, int rows, std::int64_t m,
                                     const Real* B, int width, Real* C) {
  std::int64_t j = 0;
  for (; j + kTile <= m; j += kTile) {
    int c = 0;
    for (; c + 2 * kLanes <= width; c += 2 * kLanes)
      dense_transposed_tile(kTile, 2, X + j, stride, rows, B + c, width, C + j * width + c);
    for (; c < width; c += kLanes)
      dense_transposed_tile(kTile, 1, X + j, stride, rows, B + c, width, C + j * width + c);
  }
  for (; j < m; ++j)
    for (int c = 0; c < width; c += kLanes)
      dense_transposed_tile(1, 1, X + j, stride, rows, B + c, width, C + j * width + c);
}

/// Gram (width, width) += P^T Q in the upper triangle, P and Q (rows, width).
static void gram_product(const Real* P, const Real* Q, int rows, int width, Real* gram) {
  for (int t = 0; t < width; t += kTile) {
    int c = t / kLanes * kLanes;
    for (; c + 2 * kLanes <= width; c += 2 * kLanes)
      dense_transposed_tile(kTile, 2, P + t, width, rows, Q + c, width, gram + t * width + c);
    for (; c < width; c += kLanes)
      dense_transposed_tile(kTile, 1, P + t, width, rows, Q + c, width, gram + t * width + c);
  }
}

constexpr int kAhead = 16;

/// Bring in the first lines of row `index` of a table.
template <bool Write>
TRAITCORE_INLINE void prefetch_row(const Real* table, std::int32_t index, int width) {
  const Real* row = table + static_cast<std::int64_t>(index) * width;
  const int lines = width * static_cast<int>(sizeof(Real)) / 64;
  for (int line = 0; line < lines && line < 4; ++line) prefetch<Write>(row + line * (64 / sizeof(Real)));
}

TRAITCORE_INLINE void sparse_tile(const int Z, const std::int32_t* index, const Real* value, std::int64_t begin,
                                  std::int64_t end, std::int64_t last, const Real* A, int width, int column,
                                  Real* out) {
  Vec acc[8];
#pragma GCC unroll 8
  for (int z = 0; z < Z; ++z) acc[z] = zero();
  for (std::int64_t e = begin; e < end; ++e) {
    const std::int64_t ahead = e + kAhead < last ? e + kAhead : last;
    prefetch_row<false>(A, index[ahead], width);
    const Real* row = A + static_cast<std::int64_t>(index[e]) * width + column;
    const Vec x = set1(value[e]);
#pragma GCC unroll 8
    for (int z = 0; z < Z; ++z) acc[z] += x * load(row + z * kLanes);
  }
#pragma GCC unroll 8
  for (int z = 0; z < Z; ++z) store(out + column + z * kLanes, acc[z]);
}

/// out (width) = one sparse row times A; `last` is the last stored entry of the matrix.
static void sparse_product(const std::int32_t* index, const Real* value, std::int64_t begin, std::int64_t end,
                           std::int64_t last, const Real* A, int width, Real* out) {
  int c = 0;
  for (; c + 8 * kLanes <= width; c += 8 * kLanes)
    sparse_tile(8, index, value, begin, end, last, A, width, c, out);
  for (; c + 4 * kLanes <= width; c += 4 * kLanes)
    sparse_tile(4, index, value, begin, end, last, A, width, c, out);
  if (width - c == 3 * kLanes) {
    sparse_tile(3, index, value, begin, end, last, A, width, c, out);
    return;
  }
  for (; c + 2 * kLanes <= width; c += 2 * kLanes)
    sparse_tile(2, index, value, begin, end, last, A, width, c, out);
  for (; c < width; c += kLanes) sparse_tile(1, index, value, begin, end, last, A, width, c, out);
}

/// C[index] += value * b for each entry of one sparse row, b (width).
static void sparse_scatter(const std::int32_t* index, const Real* value, std::int64_t begin, std::int64_t end,
                           std::int64_t last, const Real* b, int width, Real* C) {
  for (std::int64_t e = begin; e < end; ++e) {
    const std::int64_t ahead = e + kAhead < last ? e + kAhead : last;
    prefetch_row<true>(C, index[ahead], width);
    Real* row = C + static_cast<std::int64_t>(index[e]) * width;
    const Vec x = set1(value[e]);
    for (int c = 0; c < width; c += kLanes) store(row + c, load(row + c) + x * load(b + c));
  }
}
