// Eigenvalues of a small symmetric matrix, and as many rows of its eigenvectors as are asked for: Householder's
// reduction, then implicit QL (Bowdler, Martin, Reinsch & Wilkinson 1968), whose rotations are kept and applied
// afterwards to strips of rows, each in cache, on several threads.
//
// A search such as Lanczos' asks for the last rows again and again, and for all of them once. And it is ours: the
// BLAS' threads spin for a while after every call, on cores that the next product needs.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "parallel.hpp"
#include "simd/vectors.hpp"

namespace traitcore {
namespace eigen {

constexpr int kStrip = 32;

#define TRAITCORE_KERNEL <traitcore/detail/eigen.inl>
#include "simd/foreach_level.hpp"

/// The rotations of all sweeps: sweep t turns columns high[t] ... low[t] with their right neighbours.
struct Rotations {
  std::vector<std::int64_t> low, high;
  std::vector<double> cosine, sine;
};

/// Implicit QL on the tridiagonal (d, e), e of length n with a last entry of no meaning; d becomes the eigenvalues.
inline void diagonalise(std::vector<double>& d, std::vector<double>& e, Rotations& turns) {
  const auto n = static_cast<std::int64_t>(d.size());
  constexpr double eps = std::numeric_limits<double>::epsilon();
  constexpr int kMost = 80;
  e[static_cast<std::size_t>(n - 1)] = 0;
  double *D = d.data(), *E = e.data();
  for (std::int64_t l = 0; l < n; ++l)
    if (!std::isfinite(D[l]) || !std::isfinite(E[l])) throw std::runtime_error("the matrix is not finite");
  for (std::int64_t l = 0; l < n; ++l) {
    for (int sweep = 0;; ++sweep) {
      std::int64_t m = l;
      while (m + 1 < n && std::abs(E[m]) > eps * (std::abs(D[m]) + std::abs(D[m + 1])) + 1e-290) ++m;
      if (m == l) break;
      if (sweep == kMost) throw std::runtime_error("the QL iteration did not converge");
      double g = (D[l + 1] - D[l]) / (2 * E[l]);
      double r = std::sqrt(g * g + 1);
      g = D[m] - D[l] + E[l] / (g + std::copysign(r, g));
      double s = 1, c = 1, p = 0;
      const std::size_t begin = turns.cosine.size();
      std::int64_t i = m - 1;
      for (; i >= l; --i) {
        const double f = s * E[i], b = c * E[i];
        r = std::sqrt(f * f + g * g);
        E[i + 1] = r;
        if (r == 0) {  // the matrix has come apart: this sweep ends here
          D[i + 1] -= p;
          E[m] = 0;
          break;
        }
        s = f / r, c = g / r;
        g = D[i + 1] - p;
        const double t = (D[i] - g) * s + 2 * c * b;
        p = s * t;
        D[i + 1] = g + p;
        g = c * t - b;
        turns.cosine.push_back(c);
        turns.sine.push_back(s);
      }
      if (turns.cosine.size() > begin) {
        turns.high.push_back(m - 1);
        turns.low.push_back(i + 1);
      }
      if (i >= l) continue;
      D[l] -= p;
      E[l] = g;
      E[m] = 0;
    }
  }
}

/// Brings A's lower triangle near 1 by a power of two, unless it is so already; returns the exponent to undo it. The
/// reduction multiplies four entries at a time.
inline int scale(double* A, std::int64_t n) {
  double largest = 0;
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j <= i; ++j) largest = std::max(largest, std::abs(A[i * n + j]));
  if (largest == 0 || !std::isfinite(largest)) return 0;
  const int exponent = std::ilogb(largest);
  if (exponent > -64 && exponent < 64) return 0;
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j <= i; ++j) A[i * n + j] = std::ldexp(A[i * n + j], -exponent);
  return exponent;
}

}  // namespace eigen

/// Eigenvalues (n), rising, of the symmetric A (n, n), of which the lower triangle is read and all is used up, and rows
/// first ... n - 1 of the eigenvectors (n - first, n), a column each. std::runtime_error where A is not
/// finite. The same bytes for any number of workers.
inline void symmetric_eigen(double* A, std::int64_t n, std::int64_t first, double* values, double* rows, int workers) {
  using namespace eigen;
  if (n == 0) return;
  const SimdLevel level = simd_level();
  const auto size = static_cast<std::size_t>(n);
  std::vector<double> d(size), e(size), beta(size), work(3 * size);
  const int exponent = scale(A, n);
  TRAITCORE_AT_LEVEL(level, reduce(A, n, d.data(), e.data(), beta.data(), work.data()));
  Rotations turns;
  diagonalise(d, e, turns);
  std::vector<std::int64_t> order(size);
  std::iota(order.begin(), order.end(), std::int64_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    return d[static_cast<std::size_t>(a)] < d[static_cast<std::size_t>(b)];
  });
  for (std::int64_t j = 0; j < n; ++j)
    values[j] = std::ldexp(d[static_cast<std::size_t>(order[static_cast<std::size_t>(j)])], exponent);
  const std::int64_t strips = (n - first + kStrip - 1) / kStrip;
  for_each_task(strips, workers, [&](std::int64_t strip) {
    const std::int64_t begin = first + strip * kStrip, count = std::min<std::int64_t>(kStrip, n - begin);
    double* out = rows + (begin - first) * n;
    std::fill(out, out + count * n, 0.0);
    for (std::int64_t r = 0; r < count; ++r) out[r * n + begin + r] = 1;
    TRAITCORE_AT_LEVEL(level, reflect_rows(A, n, beta.data(), out, count));
    std::vector<double> columns(size * kStrip, 0.0);
    for (std::int64_t r = 0; r < count; ++r)
      for (std::int64_t j = 0; j < n; ++j) columns[static_cast<std::size_t>(j * kStrip + r)] = out[r * n + j];
    std::size_t at = 0;
    for (std::size_t t = 0; t < turns.low.size(); ++t) {
      TRAITCORE_AT_LEVEL(level, rotate(columns.data(), turns.low[t], turns.high[t], turns.cosine.data() + at,
                                       turns.sine.data() + at));
      at += static_cast<std::size_t>(turns.high[t] - turns.low[t] + 1);
    }
    for (std::int64_t r = 0; r < count; ++r)
      for (std::int64_t j = 0; j < n; ++j)
        out[r * n + j] = columns[static_cast<std::size_t>(order[static_cast<std::size_t>(j)] * kStrip + r)];
  });
}

}  // namespace traitcore
