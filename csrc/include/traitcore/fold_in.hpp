// Fold-in: non-negative weights of new rows against fixed components, for any number of rows at once.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "nmf.hpp"

namespace traitcore {

struct FoldInOptions {
  double tol = 1e-6;  ///< a row is done when its projected gradient's 1-norm is at most tol times that at zero
  int sweeps = 400;   ///< most coordinate-descent sweeps of a row
  int workers = 1;
};

namespace detail {

/// The inverse of a symmetric positive definite matrix (k, k), in place, by Gauss-Jordan elimination: positive
/// definite, so no pivot is zero.
inline void invert_positive(std::vector<double>& a, std::size_t k) {
  for (std::size_t p = 0; p < k; ++p) {
    const double pivot = 1 / a[p * k + p];
    a[p * k + p] = 1;
    for (std::size_t j = 0; j < k; ++j) a[p * k + j] *= pivot;
    for (std::size_t i = 0; i < k; ++i) {
      if (i == p) continue;
      const double factor = a[i * k + p];
      a[i * k + p] = 0;
      for (std::size_t j = 0; j < k; ++j) a[i * k + j] -= factor * a[p * k + j];
    }
  }
}

}  // namespace detail

/// W >= 0 that minimises ||X - W H||_F, row by row (Franc, Hlavac & Navara 2005). A row's answer doesn't depend on the
/// other rows, nor on the number of threads.
/// \param[in]  X (n, m) row-major, of any sign
/// \param[in]  H (k, m) row-major, of any sign
/// \param[out] W (n, k) row-major
inline void fold_in(const float* X, std::int64_t n, std::int64_t m, const float* H, int k, float* W,
                    const FoldInOptions& options = {}) {
  if (n < 0 || m < 1 || k < 1) throw std::invalid_argument("n must not be negative, m and k be positive");
  if (!(options.tol >= 0) || options.sweeps < 1 || options.workers < 1)
    throw std::invalid_argument("tol must not be negative, sweeps and workers be positive");
  const auto K = static_cast<std::size_t>(k), M = static_cast<std::size_t>(m);
  const int width = (k + 15) / 16 * 16;  // whole cache lines
  const auto padded = static_cast<std::size_t>(width);
  float largest = 0;
  for (std::size_t i = 0; i < K * M; ++i) largest = std::max(largest, std::fabs(H[i]));
  if (!std::isfinite(largest)) throw std::invalid_argument("H must be finite");
  int exponent = 0;  // H is scaled to near 1, W by the inverse: products of H's entries stay in range
  if (largest > 0) std::frexp(largest, &exponent);
  AlignedBuffer<float> A(M * padded), G(padded * padded), solution(padded * padded), inverse(padded);
  std::vector<double> gram(K * K, 0.0);
  for (std::size_t t = 0; t < K; ++t)
    for (std::size_t j = 0; j < M; ++j) A.data()[j * padded + t] = std::ldexp(H[t * M + j], -exponent);
  for (std::size_t j = 0; j < M; ++j)
    for (std::size_t t = 0; t < K; ++t)
      for (std::size_t u = 0; u < K; ++u)
        gram[t * K + u] += static_cast<double>(A.data()[j * padded + t]) * A.data()[j * padded + u];
  double trace = 0;
  for (std::size_t t = 0; t < K; ++t) {
    trace += gram[t * K + t];
    const auto diagonal = static_cast<float>(gram[t * K + t]);
    const float reciprocal = diagonal > 0 ? 1 / diagonal : 0;
    inverse.data()[t] = std::isfinite(reciprocal) ? reciprocal : 0;
    for (std::size_t u = 0; u < K; ++u) G.data()[t * padded + u] = static_cast<float>(gram[t * K + u]);
  }
  if (trace > 0) {  // where rows start: the free solution, by a ridge bounded also where G is singular
    for (std::size_t t = 0; t < K; ++t) gram[t * K + t] += 1e-6 * trace / k;
    detail::invert_positive(gram, K);
    for (std::size_t t = 0; t < K; ++t)
      for (std::size_t u = 0; u < K; ++u) solution.data()[t * padded + u] = static_cast<float>(gram[t * K + u]);
  }
  std::vector<std::int32_t> order(K);
  for (int t = 0; t < k; ++t) order[static_cast<std::size_t>(t)] = t;
  nmf::RowPass<float> pass;
  AlignedBuffer<float> out(static_cast<std::size_t>(n) * padded);
  pass.n = n, pass.m = m, pass.k = k, pass.width = width;
  pass.dense = X, pass.A = A.data(), pass.G = G.data(), pass.inverse = inverse.data(), pass.order = order.data();
  pass.tol = static_cast<float>(options.tol), pass.sweeps = options.sweeps;
  pass.solution = solution.data(), pass.out = out.data();
  const std::int64_t strips = std::max<std::int64_t>(1, std::min<std::int64_t>(n, 4 * options.workers));
  std::vector<std::int64_t> edges;
  for (std::int64_t s = 0; s <= strips; ++s) edges.push_back(n / strips * s + std::min(s, n % strips));
  nmf::run_solve(pass, edges.data(), strips, options.workers);
  for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i)
    for (std::size_t t = 0; t < K; ++t) W[i * K + t] = std::ldexp(out.data()[i * padded + t], -exponent);
}

}  // namespace traitcore
