// Kernels that work entry by entry on stored entries only: the Kullback-Leibler loss, and Frobenius fits of partly
// observed matrices. Included by nmf.hpp after nmf_block.inl, whose helpers and conventions it shares.

TRAITCORE_INLINE TC_REAL dot(const TC_REAL* a, const TC_REAL* b, int width) {
  Vec sum = load(a) * load(b);
  for (int c = TC_LANES; c < width; c += TC_LANES) sum += load(a + c) * load(b + c);
  return lane_sum(sum);
}

/// y += s x
TRAITCORE_INLINE void add_scaled(TC_REAL* y, TC_REAL s, const TC_REAL* x, int width) {
  const Vec factor = splat(s);
  for (int c = 0; c < width; c += TC_LANES) store(y + c, load(y + c) + factor * load(x + c));
}

/// The loss of one row at w, in double: sum of weight (x log(x / p) - x + p), the p of entries not stored left out, or
/// of 0.5 weight (x - p)^2.
static double row_loss(const EntryPass<TC_REAL>& pass, std::int64_t begin, std::int64_t end, const TC_REAL* w) {
  const int width = pass.width;
  double loss = 0;
  for (std::int64_t e = begin; e < end; ++e) {
    const std::int64_t j = pass.indices[e];
    const double x = pass.data[e], p = dot(w, pass.A + j * width, width);
    double part;
    if (pass.poisson) {
      const double q = p < pass.floor ? pass.floor : p;
      part = (x > 0 ? x * TC_LOG(static_cast<TC_REAL>(x / q)) - x : 0) + (pass.column_sums ? 0 : p);
    } else {
      part = 0.5 * (x - p) * (x - p);
    }
    loss += pass.column_weights ? part * pass.column_weights[j] : part;
  }
  return loss;
}

/// Multiplicative updates of one row (Lee & Seung 2001, theorem 2), `sweeps` of them while its entries are near. Each
/// goes to the least point of the auxiliary function with the penalties in it, so the objective never rises.
static void poisson_row(const EntryPass<TC_REAL>& pass, std::int64_t begin, std::int64_t end, TC_REAL* w,
                        TC_REAL* above, TC_REAL* below) {
  const int width = pass.width;
  const std::int64_t last = pass.indptr[pass.n] - 1;
  // Weights that fade never reach zero by themselves: they would end as denormal numbers, a hundred times slower.
  const TC_REAL vanished = sizeof(TC_REAL) == 4 ? TC_REAL(1e-30) : TC_REAL(1e-200);
  for (int sweep = 0; sweep < pass.sweeps; ++sweep) {
    for (int c = 0; c < width; ++c) above[c] = 0, below[c] = pass.column_sums ? pass.column_sums[c] : 0;
    for (std::int64_t e = begin; e < end; ++e) {
      const std::int64_t ahead = e + TC_AHEAD < last ? e + TC_AHEAD : last;
      prefetch_row(pass.A, pass.indices[ahead], width, 0);
      const std::int64_t j = pass.indices[e];
      const TC_REAL* row = pass.A + j * width;
      const TC_REAL weight = pass.column_weights ? pass.column_weights[j] : 1;
      if (pass.data[e] > 0) {
        const TC_REAL p = dot(w, row, width);
        add_scaled(above, weight * pass.data[e] / (p < pass.floor ? pass.floor : p), row, width);
      }
      if (!pass.column_sums) add_scaled(below, weight, row, width);
    }
    for (int c = 0; c < pass.k; ++c) {
      const TC_REAL d = below[c] + pass.l1, target = above[c] * w[c];
      const TC_REAL divisor = pass.l2 > 0 ? (d + TC_SQRT(d * d + 4 * pass.l2 * target)) / 2 : d;
      const TC_REAL next = target / (divisor > 0 ? divisor : pass.floor);
      w[c] = next > vanished ? next : 0;
    }
  }
}

/// Coordinate descent on one row's own least-squares problem over its stored entries; returns the 1-norm of the
/// projected gradient of the first sweep. G (width, width), rest (width) are scratch.
static double observed_row(const EntryPass<TC_REAL>& pass, std::int64_t begin, std::int64_t end, TC_REAL* w,
                           TC_REAL* rest, TC_REAL* G) {
  const int width = pass.width, k = pass.k;
  fill_zero(G, static_cast<std::int64_t>(k) * width);
  fill_zero(rest, width);
  for (std::int64_t e = begin; e < end; ++e) {
    const std::int64_t j = pass.indices[e];
    const TC_REAL* row = pass.A + j * width;
    const TC_REAL weight = pass.column_weights ? pass.column_weights[j] : 1;
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
      const TC_REAL hess = G[t * width + t], a = rest[t];
      if (sweep == 0) violation += w[t] > 0 || a > 0 ? (a < 0 ? -a : a) : 0;
      if (!(hess > 0)) continue;
      const TC_REAL moved = w[t] + a / hess, next = moved > 0 ? moved : 0, delta = next - w[t];
      w[t] = next;
      if (delta != 0) add_scaled(rest, -delta, G + t * width, width);
    }
  return violation;
}

/// Rows [begin, end) of a factor; see EntryPass. `scratch` has entry_scratch(width) numbers.
static void entry_pass(const EntryPass<TC_REAL>& pass, std::int64_t begin, std::int64_t end, TC_REAL* scratch,
                       Sums& totals) {
  const int width = pass.width;
  TC_REAL *w = scratch, *above = w + width, *below = above + width, *G = below + width;
  for (std::int64_t i = begin; i < end; ++i) {
    const std::int64_t first = pass.indptr[i], stop = pass.indptr[i + 1];
    copy(w, pass.start + i * width, width);
    const double weight = pass.row_weights ? pass.row_weights[i] : 1;
    if (pass.measure) totals.cross += weight * row_loss(pass, first, stop, w);
    if (pass.sweeps == 0) continue;
    if (pass.poisson)
      poisson_row(pass, first, stop, w, above, below);
    else
      totals.violation += observed_row(pass, first, stop, w, above, G);
    copy(pass.out + i * width, w, width);
  }
}

/// Rows [begin, end) of X against the product of `start` and A, in double: the sum of weight 0.5 (x - p)^2 over every
/// entry (dense X), or of weight (0.5 (x - p)^2 - 0.5 p^2) over the stored ones.
static void residual(const EntryPass<TC_REAL>& pass, const TC_REAL* dense, std::int64_t begin, std::int64_t end,
                     Sums& totals) {
  const int width = pass.width;
  for (std::int64_t i = begin; i < end; ++i) {
    const TC_REAL* w = pass.start + i * width;
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

static const Kernels<TC_REAL>& kernels() {
  static const Kernels<TC_REAL> table{row_pass, solve_pass, column_pass, entry_pass, residual, TC_BLOCK};
  return table;
}

#undef TC_BLOCK
#undef TC_SHUFFLE
#undef TC_STAGE
#undef TC_TILE
#undef TC_PREFETCH
#undef TC_AHEAD
