// Kernels that work entry by entry on stored entries only: the Kullback-Leibler loss, and Frobenius fits of partly
// observed matrices. Included after nmf_block.inl, whose helpers and conventions it shares.

// Entries are fetched this far ahead: two rounds of the widest vectors.
constexpr int kEntriesAhead = 32;

TRAITCORE_INLINE Real dot(const Real* a, const Real* b, int width) {
  Vec parts = load(a) * load(b);
  for (int c = kLanes; c < width; c += kLanes) parts += load(a + c) * load(b + c);
  return sum(parts);
}

/// y += s x
TRAITCORE_INLINE void add_scaled(Real* y, Real s, const Real* x, int width) {
  const Vec factor = set1(s);
  for (int c = 0; c < width; c += kLanes) store(y + c, load(y + c) + factor * load(x + c));
}

/// The least-squares loss of one row at w, in double: the sum of 0.5 weight (x - p)^2.
static double observed_loss(const EntryPass<Real>& pass, std::int64_t begin, std::int64_t end, const Real* w) {
  const int width = pass.width;
  double loss = 0;
  for (std::int64_t e = begin; e < end; ++e) {
    const std::int64_t j = pass.indices[e];
    const double x = pass.data[e], p = dot(w, pass.A + j * width, width), part = 0.5 * (x - p) * (x - p);
    loss += pass.column_weights ? part * pass.column_weights[j] : part;
  }
  return loss;
}

/// Natural logarithm of positive normal numbers to a few units in the last place: v = 2^e m with m about 1, and
/// log m = 2 artanh((m - 1) / (m + 1)) by its series.
TRAITCORE_INLINE Vec logarithm(Vec v) {
#if TRAITCORE_REAL_LANES == 1
  return scalar_log(v);
#else
  typedef decltype(v < v) Bits;
  constexpr bool single = sizeof(Real) == 4;
  constexpr int fraction = single ? 23 : 52, terms = single ? 5 : 11;
  constexpr long long root_half = single ? 0x3f3504f3LL : 0x3fe6a09e667f3bcdLL;
  const Bits bits = reinterpret_cast<Bits>(v);
  const Bits e = (bits - static_cast<decltype(bits[0] + 0)>(root_half)) >> fraction;
  const Vec m = reinterpret_cast<Vec>(bits - (e << fraction));
  const Vec s = (m - 1) / (m + 1), z = s * s;
  Vec series = set1(Real(1) / (2 * terms - 1));
#pragma GCC unroll 16
  for (int t = terms - 2; t >= 0; --t) series = series * z + Real(1) / (2 * t + 1);
  return __builtin_convertvector(e, Vec) * Real(0.693147180559945309) + 2 * s * series;
#endif
}

/// One look at a row's entries for the Kullback-Leibler loss, kLanes of them at a time. Adds to `above`, unless that
/// is null, the sum of weight (x / p) A[j], and to `below` the sum of weight A[j] where entries not stored are unknown.
/// With `measure` returns the loss at w, in double: the sum of weight (x log(x / p) - x + p), the p of entries not
/// stored left out.
static double poisson_entries(const EntryPass<Real>& pass, std::int64_t begin, std::int64_t end, const Real* w,
                              Real* above, Real* below, bool measure) {
  const int width = pass.width;
  const std::int64_t last = pass.indptr[pass.n] - 1;
  const Vec floor = set1(pass.floor);
  double loss = 0;
  for (std::int64_t e = begin; e < end; e += kLanes) {
    const Real* rows[kLanes];
    Real value[kLanes], weight[kLanes];
    for (int i = 0; i < kLanes; ++i) {
      const std::int64_t ahead = e + kEntriesAhead + i;
      prefetch_row<false>(pass.A, pass.indices[ahead < last ? ahead : last], width);
      // Lanes past the end repeat the last entry with neither value nor weight.
      const std::int64_t at = e + i < end ? e + i : end - 1, j = pass.indices[at];
      rows[i] = pass.A + j * width;
      value[i] = e + i < end ? pass.data[at] : 0;
      weight[i] = e + i < end ? pass.column_weights ? pass.column_weights[j] : 1 : 0;
    }
    Vec sums[kLanes];
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) sums[i] = load(w) * load(rows[i]);
    for (int c = kLanes; c < width; c += kLanes) {
      const Vec part = load(w + c);
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) sums[i] += part * load(rows[i] + c);
    }
    fold_tile(sums);
    const Vec p = sums[0], x = load(value), ratio = x / (p < floor ? floor : p);
    if (measure) {
      const Vec part = (x > zero() ? x * logarithm(ratio) - x : zero()) + (pass.column_sums ? zero() : p);
      loss += sum(load(weight) * part);
    }
    if (!above) continue;
    Real scale[kLanes];
    store(scale, load(weight) * ratio);
    for (int c = 0; c < width; c += kLanes) {
      Vec chain[4] = {load(above + c), zero(), zero(), zero()};  // four, to hide the latency of one addition
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) chain[i & 3] += set1(scale[i]) * load(rows[i] + c);
      store(above + c, chain[0] + chain[1] + (chain[2] + chain[3]));
    }
    if (!pass.column_sums)
      for (int i = 0; i < kLanes; ++i) add_scaled(below, weight[i], rows[i], width);
  }
  return loss;
}

/// Multiplicative updates of one row (Lee & Seung 2001, theorem 2), `sweeps` of them while its entries are near;
/// returns the loss before them, if measured. Each goes to the least point of the auxiliary function with the penalties
/// in it, so the objective never rises.
static double poisson_row(const EntryPass<Real>& pass, std::int64_t begin, std::int64_t end, Real* w,
                          Real* above, Real* below) {
  if (pass.sweeps == 0) return poisson_entries(pass, begin, end, w, nullptr, nullptr, pass.measure);
  const int width = pass.width;
  // Weights that fade never reach zero by themselves: they would end as denormal numbers, a hundred times slower.
  const Vec vanished = set1(sizeof(Real) == 4 ? Real(1e-30) : Real(1e-200)), floor = set1(pass.floor);
  double loss = 0;
  for (int sweep = 0; sweep < pass.sweeps; ++sweep) {
    for (int c = 0; c < width; ++c) above[c] = 0, below[c] = pass.column_sums ? pass.column_sums[c] : 0;
    loss += poisson_entries(pass, begin, end, w, above, below, pass.measure && sweep == 0);
    for (int c = 0; c < width; c += kLanes) {
      const Vec target = load(above + c) * load(w + c);
      if (pass.l2 > 0)
        for (int i = c; i < c + kLanes; ++i) {
          const Real d = below[i] + pass.l1;
          below[i] = (d + square_root(d * d + 4 * pass.l2 * above[i] * w[i])) / 2 - pass.l1;
        }
      const Vec divisor = load(below + c) + pass.l1, next = target / (divisor > zero() ? divisor : floor);
      store(w + c, next > vanished ? next : zero());
    }
  }
  return loss;
}

/// Coordinate descent on one row's own least-squares problem over its stored entries; returns the 1-norm of the
/// projected gradient of the first sweep. G (width, width), rest (width) are scratch.
static double observed_row(const EntryPass<Real>& pass, std::int64_t begin, std::int64_t end, Real* w,
                           Real* rest, Real* G) {
  const int width = pass.width, k = pass.k;
  fill_zero(G, static_cast<std::int64_t>(k) * width);
  fill_zero(rest, width);
  for (std::int64_t e = begin; e < end; ++e) {
    const std::int64_t j = pass.indices[e];
    const Real* row = pass.A + j * width;
    const Real weight = pass.column_weights ? pass.column_weights[j] : 1;
    add_scaled(rest, weight * pass.data[e], row, width);
    for (int t = 0; t < k; ++t) add_scaled(G + t * width, weight * row[t], row, width);
  }
  for (int t = 0; t < k; ++t) {
    rest[t] -= pass.l1;
    G[t * width + t] += pass.l2;
  }
  for (int t = 0; t < k; ++t) add_scaled(rest, -w[t], G + t * width, width);
  double violation = 0;
  for (int sweep = 0; sweep < pass.sweeps; ++sweep)
    for (int t = 0; t < k; ++t) {
      const Real hess = G[t * width + t], a = rest[t];
      if (sweep == 0) violation += w[t] > 0 || a > 0 ? (a < 0 ? -a : a) : 0;
      if (!(hess > 0)) continue;
      const Real moved = w[t] + a / hess, next = moved > 0 ? moved : 0, delta = next - w[t];
      w[t] = next;
      if (delta != 0) add_scaled(rest, -delta, G + t * width, width);
    }
  return violation;
}

/// Rows [begin, end) of a factor; see EntryPass. `scratch` has entry_scratch(width) numbers.
static void entry_pass(const EntryPass<Real>& pass, std::int64_t begin, std::int64_t end, Real* scratch,
                       Sums& totals) {
  const int width = pass.width;
  Real *w = scratch, *above = w + width, *below = above + width, *G = below + width;
  for (std::int64_t i = begin; i < end && !halted(pass.halt); ++i) {
    const std::int64_t first = pass.indptr[i], stop = pass.indptr[i + 1];
    copy(w, pass.start + i * width, width);
    const double weight = pass.row_weights ? pass.row_weights[i] : 1;
    if (pass.poisson) {
      totals.cross += weight * poisson_row(pass, first, stop, w, above, below);
    } else {
      if (pass.measure) totals.cross += weight * observed_loss(pass, first, stop, w);
      if (pass.sweeps > 0) totals.violation += weight * observed_row(pass, first, stop, w, above, G);
    }
    if (pass.sweeps > 0) copy(pass.out + i * width, w, width);
  }
}

/// Rows [begin, end) of X against the product of `start` and A, in double: the sum of weight 0.5 (x - p)^2 over every
/// entry (dense X), or of weight (0.5 (x - p)^2 - 0.5 p^2) over the stored ones.
static void residual(const EntryPass<Real>& pass, const Real* dense, std::int64_t begin, std::int64_t end,
                     Sums& totals) {
  const int width = pass.width;
  for (std::int64_t i = begin; i < end && !halted(pass.halt); ++i) {
    const Real* w = pass.start + i * width;
    const double weight = pass.row_weights ? pass.row_weights[i] : 1;
    double sum = 0;
    if (dense) {
      for (std::int64_t j = 0; j < pass.m; ++j) {
        const double d = static_cast<double>(dense[i * pass.m + j]) - dot(w, pass.A + j * width, width);
        sum += 0.5 * d * d;
      }
    } else {
      for (std::int64_t e = pass.indptr[i]; e < pass.indptr[i + 1]; ++e) {
        const double x = pass.data[e], p = dot(w, pass.A + static_cast<std::int64_t>(pass.indices[e]) * width, width);
        sum += 0.5 * x * (x - 2 * p);
      }
    }
    totals.cross += weight * sum;
  }
}

static const Kernels<Real>& kernels() {
  static const Kernels<Real> table{row_pass, solve_pass, column_pass, entry_pass, residual, kBlock};
  return table;
}
