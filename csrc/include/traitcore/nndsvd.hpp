// The two passes of an nndsvd start over rows of singular vectors (Boutsidis & Gallopoulos 2008, "SVD based
// initialization: a head start for nonnegative matrix factorization").
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace traitcore {

/// Adds, for rows [start, stop) of U (n, width), the squares of the positive and of the negative parts of its first k
/// columns to positive (k,) and negative (k,).
template <class T>
void part_squares(const T* U, std::int64_t width, std::int64_t start, std::int64_t stop, std::int64_t k,
                  double* positive, double* negative) {
  for (std::int64_t i = start; i < stop; ++i)
    for (std::int64_t j = 0; j < k; ++j) {
      const double x = static_cast<double>(U[i * width + j]);
      positive[j] += x > 0 ? x * x : 0.0;
      negative[j] += x < 0 ? x * x : 0.0;
    }
}

/// out (n, columns) = max(U * scale, 0) in its first k columns, for rows [start, stop); what is below `small` becomes
/// `fill`. The first column, whose sign is one throughout but for rounding, is taken by magnitude.
template <class T>
void write_parts(const T* U, std::int64_t width, std::int64_t start, std::int64_t stop, const T* scale, std::int64_t k,
                 T small, T fill, T* out, std::int64_t columns) {
  for (std::int64_t i = start; i < stop; ++i) {
    const T* from = U + i * width;
    T* to = out + i * columns;
    for (std::int64_t j = 0; j < k; ++j) {
      const T x = from[j] * scale[j];
      to[j] = x >= small ? x : fill;
    }
    const T lead = std::abs(from[0] * scale[0]);
    to[0] = lead >= small ? lead : fill;
  }
}

}  // namespace traitcore
