// The inner loops of eigen.hpp, for one instruction set: plain loops of fixed width, which the compiler puts into that
// instruction set's registers.

/// sum of a[k] b[k], in eight sums side by side.
inline double dot(const double* a, const double* b, std::int64_t n) {
  double part[8] = {0, 0, 0, 0, 0, 0, 0, 0};
  std::int64_t k = 0;
  for (; k + 8 <= n; k += 8)
    for (int u = 0; u < 8; ++u) part[u] += a[k + u] * b[k + u];
  double sum = 0;
  for (; k < n; ++k) sum += a[k] * b[k];
  for (int u = 0; u < 8; ++u) sum += part[u];
  return sum;
}

/// y += s x.
inline void add_scaled(double* __restrict y, double s, const double* __restrict x, std::int64_t n) {
  for (std::int64_t k = 0; k < n; ++k) y[k] += s * x[k];
}

/// row -= a w + b u.
inline void subtract_rank_two(double* __restrict row, double a, const double* __restrict w, double b,
                              const double* __restrict u, std::int64_t n) {
  for (std::int64_t k = 0; k < n; ++k) row[k] -= a * w[k] + b * u[k];
}

/// A (n, n, lower triangle) to the tridiagonal (d, e) by reflections I - beta[i] v v', v kept in row i left of the
/// diagonal (Golub & Van Loan 2013, algorithm 8.3.1, from the last row up). Each pass over the triangle subtracts the
/// last reflection's part and multiplies by the next vector. `work` has 3 n numbers.
inline void reduce(double* A, std::int64_t n, double* d, double* e, double* beta, double* work) {
  double *p = work, *w = work + n, *next = w + n;
  const double* u = nullptr;  // the reflection whose part is still to be subtracted, with w
  for (std::int64_t i = n - 1; i >= 0; --i) {
    double* v = A + i * n;
    if (u) subtract_rank_two(v, u[i], w, w[i], u, i + 1);
    d[i] = v[i];
    beta[i] = 0;
    if (i == 0) break;
    const double alpha = v[i - 1], rest = dot(v, v, i - 1);
    e[i - 1] = alpha;
    // A row that is zero but for what is left of a rounding error's square (rank lost exactly) needs no reflection, and
    // has none: the reciprocal below would overflow.
    if (rest > 1e-140) {
      const double norm = std::sqrt(alpha * alpha + rest);
      e[i - 1] = alpha > 0 ? -norm : norm;
      v[i - 1] = alpha - e[i - 1];
      beta[i] = 2 / (rest + v[i - 1] * v[i - 1]);
    }
    for (std::int64_t j = 0; j < i; ++j) p[j] = 0;
    for (std::int64_t j = 0; j < i; ++j) {
      double* row = A + j * n;
      if (u) subtract_rank_two(row, u[j], w, w[j], u, j + 1);
      if (beta[i] == 0) continue;
      p[j] += dot(row, v, j) + row[j] * v[j];
      add_scaled(p, v[j], row, j);
    }
    u = nullptr;
    if (beta[i] == 0) continue;
    const double half = beta[i] * beta[i] / 2 * dot(p, v, i);
    for (std::int64_t j = 0; j < i; ++j) next[j] = beta[i] * p[j] - half * v[j];
    double* free = w;
    w = next, next = free;
    u = v;
  }
}

/// Rows (count, n) times the reflections that reduce() kept in A.
inline void reflect_rows(const double* A, std::int64_t n, const double* beta, double* rows, std::int64_t count) {
  for (std::int64_t i = n - 1; i > 0; --i) {
    if (beta[i] == 0) continue;
    const double* v = A + i * n;
    for (std::int64_t r = 0; r < count; ++r) add_scaled(rows + r * n, -beta[i] * dot(rows + r * n, v, i), v, i);
  }
}

/// One sweep's rotations of columns high, high - 1, ..., low with their right neighbours, on kStrip rows side by side.
inline void rotate(double* columns, std::int64_t low, std::int64_t high, const double* c, const double* s) {
  double right[kStrip];
  for (int r = 0; r < kStrip; ++r) right[r] = columns[(high + 1) * kStrip + r];
  for (std::int64_t i = high; i >= low; --i, ++c, ++s) {
    double* here = columns + i * kStrip;
    double* out = here + kStrip;
    const double cosine = *c, sine = *s;
    for (int r = 0; r < kStrip; ++r) {
      const double left = here[r];
      out[r] = sine * left + cosine * right[r];
      right[r] = cosine * left - sine * right[r];
    }
  }
  for (int r = 0; r < kStrip; ++r) columns[low * kStrip + r] = right[r];
}
