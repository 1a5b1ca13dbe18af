// Kernels of the Frobenius factorization, for one number type (Real) and one instruction set.
//
// Row factors are row-major, padded with zero columns to `width` (a multiple of 64 bytes). The coordinate-descent
// sweep wants one component of many rows side by side, so blocks of kBlock rows are transposed on the way in and out.

constexpr int kLanes = TRAITCORE_REAL_LANES, kBlock = 4 * kLanes;

TRAITCORE_INLINE Vec zero() { return Vec{}; }
TRAITCORE_INLINE Vec positive(Vec v) { return v > zero() ? v : zero(); }
TRAITCORE_INLINE Vec magnitude(Vec v) { return v < zero() ? -v : v; }

#include <traitcore/detail/nmf_transpose.inl>
#include <traitcore/detail/nmf_products.inl>

/// One cyclic sweep on min 0.5 w^T G w - x^T w, w >= 0, for the kBlock columns of w and x (width, kBlock) side by
/// side (Cichocki & Phan 2009, algorithm 2). Adds to `met` (4 vectors, a number per column) the projected gradient's
/// 1-norm, each component's as the sweep comes to it: scikit-learn's measure.
TRAITCORE_INLINE void sweep(Real* w, const Real* x, const Real* G, const Real* inverse,
                            const std::int32_t* order, int k, int width, Vec* met) {
  const Real rounding = sizeof(Real) == 4 ? Real(0x1p-22) : Real(0x1p-51);
  for (int s = 0; s < k; ++s) {
    const int t = order[s];
    const Real* g = G + t * width;
    Real* p = w + t * kBlock;
    Vec a[4];
#pragma GCC unroll 4
    for (int b = 0; b < 4; ++b) a[b] = load(x + t * kBlock + b * kLanes);
#pragma GCC unroll 4
    for (int r = 0; r < k; ++r) {
      const Vec c = set1(g[r]);
      const Real* u = w + r * kBlock;
#pragma GCC unroll 4
      for (int b = 0; b < 4; ++b) a[b] -= c * load(u + b * kLanes);
    }
    const Vec i = set1(inverse[t]);
#pragma GCC unroll 4
    for (int b = 0; b < 4; ++b) {
      const Vec old = load(p + b * kLanes);
      const Vec next = old + i * a[b];
      met[b] += old > zero() ? magnitude(a[b]) : positive(a[b]);
      // A step that lands within rounding of zero lands on zero, as a division instead of `inverse` would have it.
      store(p + b * kLanes, next > old * rounding ? next : zero());
    }
  }
}

/// `sweeps` sweeps; returns what the first met, over all columns, each counted `weights` (kBlock, or null) times.
static double descend(Real* w, const Real* x, const Real* G, const Real* inverse,
                      const std::int32_t* order, int k, int width, int sweeps, const Real* weights) {
  double result = 0;
  for (int n = 0; n < sweeps; ++n) {
    Vec met[4] = {zero(), zero(), zero(), zero()};
    sweep(w, x, G, inverse, order, k, width, met);
    if (n > 0) continue;
    if (weights)
      for (int b = 0; b < 4; ++b) met[b] *= load(weights + b * kLanes);
    result = sum(met[0] + met[1] + met[2] + met[3]);
  }
  return result;
}

TRAITCORE_INLINE bool halted(const Halt& halt) { return halt.asked && halt.asked(halt.context); }

TRAITCORE_INLINE void fill_zero(Real* p, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) p[i] = 0;
}
TRAITCORE_INLINE void copy(Real* to, const Real* from, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) to[i] = from[i];
}

/// total += part, in double; part = 0.
TRAITCORE_INLINE void flush(double* total, Real* part, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    total[i] += part[i];
    part[i] = 0;
  }
}

/// X[i ... i + rows) A, row-major, rows past the end zero.
static void block_product(const RowPass<Real>& pass, std::int64_t i, int rows, Real* out) {
  if (pass.dense) {
    dense_product(pass.dense + i * pass.m, pass.m, rows, pass.m, pass.A, pass.width, out);
  } else {
    for (int r = 0; r < rows; ++r)
      sparse_product(pass.indices, pass.data, pass.indptr[i + r], pass.indptr[i + r + 1], pass.indptr[pass.n] - 1,
                     pass.A, pass.width, out + r * pass.width);
  }
  fill_zero(out + rows * pass.width, static_cast<std::int64_t>(kBlock - rows) * pass.width);
}

/// The totals of U^T B and of B's columns, and C += X[i ... i + rows)^T B where there is a C.
static void block_accumulate(const RowPass<Real>& pass, std::int64_t i, int rows, const Real* U,
                             const Real* B, Real* gram, Real* sums, Real* C) {
  const int width = pass.width;
  gram_product(U, B, rows, width, gram);
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < width; c += kLanes) store(sums + c, load(sums + c) + load(B + r * width + c));
  if (!C) return;
  if (pass.dense) {
    dense_transposed_product(pass.dense + i * pass.m, pass.m, rows, pass.m, B, width, C);
  } else {
    for (int r = 0; r < rows; ++r)
      sparse_scatter(pass.indices, pass.data, pass.indptr[i + r], pass.indptr[i + r + 1], pass.indptr[pass.n] - 1,
                     B + r * width, width, C);
  }
}

/// One strip of the fused pass; see RowPass and run_rows. `scratch` has pass_scratch(width) numbers.
static void row_pass(const RowPass<Real>& pass, std::int64_t begin, std::int64_t end, Real* scratch,
                     Real* C, double* C_total, Sums& totals) {
  const int width = pass.width;
  const std::int64_t size = static_cast<std::int64_t>(kBlock) * width;
  Real *rows = scratch, *xt = rows + size, *wt = xt + size, *weighted = wt + size, *gram = weighted + size;
  Real* sums = gram + width * width;
  fill_zero(gram, width * width + width);
  if (C) fill_zero(C, pass.m * width);
  if (C_total)
    for (std::int64_t q = 0; q < pass.m * width; ++q) C_total[q] = 0;
  int unflushed = 0;
  for (std::int64_t i = begin; i < end && !halted(pass.halt); i += kBlock) {
    const int count = static_cast<int>(end - i < kBlock ? end - i : kBlock);
    const std::int64_t used = static_cast<std::int64_t>(count) * width;
    const Real* use = pass.project ? rows : pass.start + i * width;
    if (pass.project) {
      block_product(pass, i, count, rows);
      if (pass.out) copy(pass.out + i * width, rows, used);
    } else if (pass.sweeps > 0) {
      block_product(pass, i, count, rows);
      to_columns(rows, width, pass.l1, xt);
      copy(rows, use, used);
      to_columns(rows, width, 0, wt);
      Real times[kBlock] = {};
      if (pass.row_weights) copy(times, pass.row_weights + i, count);
      totals.violation += descend(wt, xt, pass.G, pass.inverse, pass.order, pass.k, width, pass.sweeps,
                                  pass.row_weights ? times : nullptr);
      to_rows(wt, width, rows);
      use = rows;
      if (pass.extrapolated) {
        const Real* previous = pass.previous + i * width;
        Real* out = pass.extrapolated + i * width;
        const Vec beta = set1(pass.beta);
        for (std::int64_t q = 0; q < used; q += kLanes) {
          const Vec w = load(rows + q);
          store(out + q, positive(w + beta * (w - load(previous + q))));
        }
        use = out;
      }
      copy(pass.out + i * width, rows, used);
    }
    if (!C && !pass.project) continue;
    const Real* B = use;
    if (pass.row_weights) {
      for (int r = 0; r < count; ++r) {
        const Vec s = set1(pass.row_weights[i + r]);
        for (int c = 0; c < width; c += kLanes)
          store(weighted + r * width + c, s * load(use + r * width + c));
      }
      B = weighted;
    }
    block_accumulate(pass, i, count, use, B, gram, sums, C);
    // Sums of a few hundred rows are exact enough in Real; longer ones are not.
    if (++unflushed == 8 || i + count == end) {
      flush(totals.gram, gram, width * width);
      flush(totals.sums, sums, width);
      if (C_total) flush(C_total, C, pass.m * width);
      unflushed = 0;
    }
  }
}

/// Rows [begin, end) of X: the factor's rows with A fixed, from the free solution cut at zero, each until its projected
/// gradient has fallen to tol times that at zero, or for `sweeps` sweeps. A column of the block whose row is done takes
/// the next row, so a slow row holds nobody up, and no row's answer depends on its neighbours.
static void solve_pass(const RowPass<Real>& pass, std::int64_t begin, std::int64_t end, Real* scratch) {
  const int width = pass.width, k = pass.k;
  const std::int64_t size = static_cast<std::int64_t>(kBlock) * width;
  Real *products = scratch, *x = products + size, *w = x + size, *guess = w + size;
  Real limit[kBlock], met[kBlock];
  std::int64_t row[kBlock];
  int age[kBlock];
  fill_zero(x, 2 * size);
  for (int b = 0; b < kBlock; ++b) row[b] = -1;
  std::int64_t next = begin, known = begin;  // rows next ... known - 1 have their products
  int active = 0;
  bool first = true;
  while ((first || active) && !halted(pass.halt)) {
    for (int b = 0; b < kBlock; ++b) {
      if (!first && (row[b] < 0 || (met[b] > limit[b] && age[b] < pass.sweeps))) continue;
      if (row[b] >= 0) {
        for (int t = 0; t < k; ++t) pass.out[row[b] * width + t] = w[t * kBlock + b];
        row[b] = -1;
        --active;
      }
      limit[b] = 0;
      for (int t = 0; t < k; ++t) w[t * kBlock + b] = x[t * kBlock + b] = 0;
      if (next == end) continue;
      if (next == known) {
        const int count = static_cast<int>(end - next < kBlock ? end - next : kBlock);
        block_product(pass, next, count, products);
        known = next + count;
      }
      const Real* product = products + (next - begin) % kBlock * width;
      fill_zero(guess, width);
      for (int t = 0; t < k; ++t) {
        const Real value = product[t] - pass.l1;
        const Vec v = set1(value);
        x[t * kBlock + b] = value;
        limit[b] += value > 0 ? value * pass.tol : 0;
        for (int c = 0; c < width; c += kLanes)
          store(guess + c, load(guess + c) + v * load(pass.solution + t * width + c));
      }
      for (int t = 0; t < k; ++t) w[t * kBlock + b] = guess[t] > 0 ? guess[t] : 0;
      row[b] = next++;
      age[b] = 0;
      ++active;
    }
    first = false;
    Vec last[4];
    for (int n = 0; n < 2; ++n) {
      for (int b = 0; b < 4; ++b) last[b] = zero();
      sweep(w, x, pass.G, pass.inverse, pass.order, k, width, last);
    }
    for (int b = 0; b < 4; ++b) store(met + b * kLanes, last[b]);
    for (int b = 0; b < kBlock; ++b)
      if (row[b] >= 0) age[b] += 2;
  }
}

/// Rows [begin, end) of the other factor: sum the strips' C in order (into strip 0), then coordinate descent.
static void column_pass(const ColumnPass<Real>& pass, std::int64_t begin, std::int64_t end, Real* scratch,
                        Sums& totals) {
  const int width = pass.width;
  const std::int64_t size = static_cast<std::int64_t>(kBlock) * width, stride = pass.m * width;
  Real *rows = scratch, *xt = rows + size, *wt = xt + size, *gram = wt + size;
  fill_zero(gram, width * width);
  for (std::int64_t i = begin; i < end && !halted(pass.halt); i += kBlock) {
    const int count = static_cast<int>(end - i < kBlock ? end - i : kBlock);
    const std::int64_t used = static_cast<std::int64_t>(count) * width;
    if (pass.C_total) {
      double* C = pass.C_total + i * width;
      for (std::int64_t q = 0; q < used; ++q) {
        for (int s = 1; s < pass.strips; ++s) C[q] += C[s * stride + q];
        rows[q] = static_cast<Real>(C[q]);
      }
    } else {
      Real* C = pass.C + i * width;
      for (std::int64_t q = 0; q < used; q += kLanes) {
        Vec sum = load(C + q);
        for (int s = 1; s < pass.strips; ++s) sum += load(C + s * stride + q);
        store(C + q, sum);
        store(rows + q, sum);
      }
    }
    if (pass.sweeps == 0) continue;
    // Past the end, rows of the block before would stand here, and their gradient would count as this block's.
    fill_zero(rows + used, size - used);
    to_columns(rows, width, pass.l1, xt);
    copy(rows, pass.start + i * width, used);
    to_columns(rows, width, 0, wt);
    totals.violation += descend(wt, xt, pass.G, pass.inverse, pass.order, pass.k, width, pass.sweeps, nullptr);
    to_rows(wt, width, rows);
    copy(pass.out + i * width, rows, used);
    gram_product(rows, rows, count, width, gram);
    flush(totals.gram, gram, width * width);
    for (int r = 0; r < count; ++r)
      for (int c = 0; c < width; ++c) {
        const std::int64_t q = (i + r) * width + c;
        const double h = rows[r * width + c];
        totals.cross += h * (pass.C_total ? pass.C_total[q] : static_cast<double>(pass.C[q]));
        totals.sums[c] += h;
      }
  }
}
