// Products of a sparse matrix and of tall panels with narrow dense blocks: C = alpha A B + beta C for a CSR matrix A,
// and the two products of block Gram-Schmidt, H = P'W and Y = beta Y + alpha P S, for panels P of many rows and few
// columns.
//
// Rows are cut into blocks by their number alone, each output row is written by one thread, and sums over rows are
// added up in the blocks' order: results don't depend on the number of threads.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "matrix.hpp"
#include "parallel.hpp"
#include "simd/memory.hpp"
#include "simd/vectors.hpp"

namespace traitcore {
namespace products {

// Entries between a fetch of a row of B and its use: about the latency of memory over the work of an entry.
constexpr std::int64_t kAhead = 24;
// Rows that stay in the first-level cache with their part of W or Y.
constexpr std::int64_t kPanelRows = 128;

#define TRAITCORE_KERNEL <traitcore/detail/products.inl>
#include "simd/foreach_level.hpp"

}  // namespace products

/// A CSR matrix as it lies in memory: indptr (rows + 1), index and value (entries).
template <class Index>
struct CsrView {
  const Index* indptr;
  const Index* index;
  const float* value;
  std::int64_t rows;
  std::int64_t entries;
};

namespace products {

// Columns go in groups, so that the rows of B lie close together: in cache, and on few pages.
constexpr std::int64_t kGroup = 64, kRows = 512;
// A block of B of this size waits in the last-level cache, whose latency the processor hides by itself when a row is
// one line long; fetching ahead then costs more than it saves.
constexpr std::int64_t kNearBytes = std::int64_t{1} << 24;

/// Rows [start, stop) of `width` columns of B (., k) side by side, each row beginning on a cache line, zeros up to the
/// stride.
inline void pack(const float* B, std::int64_t k, std::int64_t width, std::int64_t stride, std::int64_t start,
                 std::int64_t stop, float* packed) {
  for (std::int64_t j = start; j < stop; ++j) {
    float* row = packed + j * stride;
    std::memcpy(row, B + j * k, static_cast<std::size_t>(width) * sizeof(float));
    std::fill(row + width, row + stride, 0.0f);
  }
}

/// Room for (rows, stride) numbers from a cache line on: from the heap, where it is likely to be warm from the last call
/// (new pages cost as much as the copy), and on huge pages where it is large.
class Copy {
 public:
  Copy(std::int64_t rows, std::int64_t stride) {
    const auto n = static_cast<std::size_t>(rows), width = static_cast<std::size_t>(stride);
    if (rows * stride * static_cast<std::int64_t>(sizeof(float)) > kNearBytes)
      large_ = Matrix(n, width);
    else if (stride)
      small_ = AlignedBuffer<float>(n * width, false);
  }
  float* data() { return large_.data() ? large_.data() : small_.data(); }

 private:
  Matrix large_;
  AlignedBuffer<float> small_;
};

template <class Index>
void check_rows(const CsrView<Index>& A) {
  bool good = A.indptr[0] == 0 && static_cast<std::int64_t>(A.indptr[A.rows]) <= A.entries;
  for (std::int64_t i = 0; i < A.rows; ++i) good &= A.indptr[i] <= A.indptr[i + 1];
  if (!good) throw std::out_of_range("indptr must rise from 0 to at most the number of entries");
}

template <class Index>
void check_indices(const CsrView<Index>& A, std::int64_t start, std::int64_t stop, std::int64_t columns,
                   SimdLevel level) {
  const std::int64_t begin = A.indptr[start], count = A.indptr[stop] - begin;
  if (!TRAITCORE_AT_LEVEL(level, all_within(A.index + begin, count, columns)))
    throw std::out_of_range("an index of A lies outside of B's rows");
}

inline std::int64_t rounded(std::int64_t width) { return (width + 15) / 16 * 16; }

/// What the blocks of one product share; see sparse_times_dense.
template <class Index>
struct Product {
  const CsrView<Index>& A;
  std::int64_t columns, k;
  float alpha, beta;
  float* C;
  std::int64_t last;  ///< entry of A
  SimdLevel level;

  /// Rows [start, stop) of columns [c, c + width) of C, by the group of B's columns whose rows lie side by side.
  void multiply(std::int64_t start, std::int64_t stop, std::int64_t c, std::int64_t width, const float* group) const {
    constexpr std::int64_t kSome = 32;  // rows looked at, or held in `scratch`, at a time
    const std::int64_t padded = rounded(width);
    const bool fetch = columns * padded * static_cast<std::int64_t>(sizeof(float)) > kNearBytes;
    const bool whole = width == padded;
    float scratch[kSome * kGroup];  // so that no store passes the end of a row of C
    for (std::int64_t i = start; i < stop; i += kSome) {
      const std::int64_t some = std::min(kSome, stop - i);
      if (c == 0) check_indices(A, i, i + some, columns, level);
      TRAITCORE_AT_LEVEL(level, sparse_tile(A.indptr + i, A.index, A.value, 0, some, last, fetch,
                                            static_cast<int>(padded), group, padded, alpha, whole ? beta : 0.0f,
                                            whole ? C + i * k + c : scratch, whole ? k : padded));
      if (whole) continue;
      for (std::int64_t r = 0; r < some; ++r)
        for (std::int64_t j = 0; j < width; ++j) {
          float& out = C[(i + r) * k + c + j];
          out = scratch[r * padded + j] + (beta == 0.0f ? 0.0f : beta * out);
        }
    }
  }
};

}  // namespace products

/// C (rows, k) = alpha A B + beta C, row-major, B (columns, k); with beta = 0, C may be uninitialised.
/// std::out_of_range where A's pointers or indices lead outside: looked at a few rows before they are used, when they
/// have to come into the nearest cache anyway.
template <class Index>
void sparse_times_dense(const CsrView<Index>& A, std::int64_t columns, const float* B, std::int64_t k, float alpha,
                        float beta, float* C, int workers) {
  using namespace products;
  check_rows(A);
  const std::int64_t last = A.indptr[A.rows] - 1;
  const bool aligned = reinterpret_cast<std::uintptr_t>(B) % 64 == 0;
  // A row across one more line than it needs costs more than the copy, unless rows are used but a few times.
  const bool copied = !aligned && last >= 8 * columns;
  const auto packs = [&](std::int64_t width) { return copied || k != rounded(width); };
  const Product<Index> product{A, columns, k, alpha, beta, C, last, simd_level()};
  std::int64_t room = 0;
  std::vector<std::int64_t> tasks;  // of the phases: copying a group of columns, multiplying by it
  for (std::int64_t c = 0; c < k; c += kGroup) {
    const std::int64_t width = std::min(kGroup, k - c);
    if (packs(width)) room = std::max(room, rounded(width));
    tasks.push_back(packs(width) ? (columns + kRows - 1) / kRows : 0);
    tasks.push_back((A.rows + kRows - 1) / kRows);
  }
  Copy copy(columns, room);
  const std::int64_t most = (std::max(A.rows, columns) + kRows - 1) / kRows;
  for_each_phase(tasks, static_cast<int>(std::min<std::int64_t>(workers, most)), [&](std::size_t phase, std::int64_t block) {
    const std::int64_t c = static_cast<std::int64_t>(phase) / 2 * kGroup, width = std::min(kGroup, k - c);
    const std::int64_t start = block * kRows;
    if (phase % 2 == 0)
      pack(B + c, k, width, rounded(width), start, std::min(start + kRows, columns), copy.data());
    else
      product.multiply(start, std::min(start + kRows, A.rows), c, width, packs(width) ? copy.data() : B + c);
  });
}

/// Panels (count, rows, b) end to end, each row-major; b is a multiple of 16.
struct PanelsView {
  const float* data;
  std::int64_t count, rows, b;
  const float* at(std::int64_t panel, std::int64_t row) const { return data + (panel * rows + row) * b; }
  /// The block of as many rows whose turn it is after this one; at the end, this one.
  const float* after(std::int64_t panel, std::int64_t row, std::int64_t height) const {
    if (panel + 1 < count) return at(panel + 1, row);
    return row + 2 * height <= rows ? at(0, row + height) : at(panel, row);
  }
};

/// H (count b, q) = [P_0 P_1 ...]' W for W (rows, q), q a multiple of 16: summed in float32 over some thousand rows, in
/// float64 beyond.
inline void panels_gram(const PanelsView& P, const float* W, std::int64_t q, double* H, int workers) {
  using namespace products;
  const SimdLevel level = simd_level();
  const std::int64_t size = P.count * P.b * q;
  const std::int64_t span = std::max<std::int64_t>(2048, (P.rows / 32 + kPanelRows) / kPanelRows * kPanelRows);
  const std::int64_t spans = (P.rows + span - 1) / span;
  std::vector<float> parts(static_cast<std::size_t>(spans * size), 0.0f);
  for_each_task(spans, workers, [&](std::int64_t s) {
    float* part = parts.data() + s * size;
    const std::int64_t stop = std::min((s + 1) * span, P.rows);
    for (std::int64_t i = s * span; i < stop; i += kPanelRows) {
      const std::int64_t rows = std::min(kPanelRows, stop - i);
      for (std::int64_t p = 0; p < P.count; ++p)
        TRAITCORE_AT_LEVEL(level, gram_block(P.at(p, i), P.b, W + i * q, q, rows, part + p * P.b * q,
                                             P.after(p, i, rows)));
    }
  });
  constexpr std::int64_t kSums = 4096;
  for_each_task((size + kSums - 1) / kSums, workers, [&](std::int64_t block) {
    const std::int64_t start = block * kSums, stop = std::min(start + kSums, size);
    std::fill(H + start, H + stop, 0.0);
    for (std::int64_t s = 0; s < spans; ++s)
      for (std::int64_t j = start; j < stop; ++j) H[j] += parts[static_cast<std::size_t>(s * size + j)];
  });
}

/// Y (rows, q) = [P_0 P_1 ...] S, added to what Y holds unless `fresh`; S (count b, q), q a multiple of 16.
inline void panels_combine(const PanelsView& P, const float* S, std::int64_t q, bool fresh, float* Y, int workers) {
  using namespace products;
  const SimdLevel level = simd_level();
  const std::int64_t blocks = (P.rows + kPanelRows - 1) / kPanelRows;
  constexpr std::int64_t kColumns = 32;  // of Y at a time, so that its part stays in the nearest cache
  for_each_task(blocks, workers, [&](std::int64_t block) {
    const std::int64_t i = block * kPanelRows, rows = std::min(kPanelRows, P.rows - i);
    if (fresh) std::memset(Y + i * q, 0, static_cast<std::size_t>(rows * q) * sizeof(float));
    for (std::int64_t c = 0; c < q; c += kColumns)
      for (std::int64_t p = 0; p < P.count; ++p)
        TRAITCORE_AT_LEVEL(level, combine_block(P.at(p, i), P.b, S + p * P.b * q + c, q, std::min(kColumns, q - c),
                                                rows, Y + i * q + c, P.after(p, i, rows)));
  });
}

}  // namespace traitcore
