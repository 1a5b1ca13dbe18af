// The inner loops of pooling.hpp, for one instruction set.

constexpr int kTile = 8;  // vectors of columns at a time

// sum += weight * row over the events [begin, end), for NV vectors of columns from `first` on.
template <int NV, bool ByToken, bool ByEvent>
TRAITCORE_INLINE void add_run(const Pooling& p, std::int64_t begin, std::int64_t end, std::int64_t first, f64* sum) {
  const float* columns = p.vectors + first;
  for (std::int64_t e = begin; e < end; ++e) {
    // Beyond the run lies, as a rule, the owner's next run or the next owner.
    const std::int64_t soon = e + kAhead < p.n_events ? e + kAhead : p.n_events - 1;
    const float* next = columns + static_cast<std::int64_t>(p.tokens[soon]) * p.width;
    for (int line = 0; line < NV * kF64Lanes; line += 16) prefetch(next + line);
    const float* row = columns + static_cast<std::int64_t>(p.tokens[e]) * p.width;
    if (ByToken || ByEvent) {
      const f64 w = set1(weight_of<ByToken, ByEvent>(p, e));
      for (int v = 0; v < NV; ++v) sum[v] = fma(w, widen(row + v * kF64Lanes), sum[v]);
    } else {
      for (int v = 0; v < NV; ++v) sum[v] = sum[v] + widen(row + v * kF64Lanes);
    }
  }
}

// An owner's mean in the columns [first, first + NV * kF64Lanes).
template <int NV, bool ByToken, bool ByEvent>
TRAITCORE_INLINE void pool_columns(const Pooling& p, std::int64_t owner, double mass, std::int64_t first, float* out) {
  f64 sum[NV];
  for (int v = 0; v < NV; ++v) sum[v] = set1(0.0);
  for (std::int64_t r = p.first[owner]; r < p.first[owner + 1]; ++r)
    add_run<NV, ByToken, ByEvent>(p, p.starts[r], p.stops[r], first, sum);
  const f64 total = set1(mass);
  for (int v = 0; v < NV; ++v) narrow(out + first + v * kF64Lanes, sum[v] / total);
}

// A mean in each of p.width columns. Sums of columns don't touch, so the last vector may lie over the one before.
template <bool ByToken, bool ByEvent>
inline void pool_row(const Pooling& p, std::int64_t owner, double mass, float* out) {
  std::int64_t c = 0;
  for (; c + kTile * kF64Lanes <= p.width; c += kTile * kF64Lanes) {
    pool_columns<kTile, ByToken, ByEvent>(p, owner, mass, c, out);
    if (p.poll) (*p.poll)();
  }
  for (; c + 2 * kF64Lanes <= p.width; c += 2 * kF64Lanes) {
    pool_columns<2, ByToken, ByEvent>(p, owner, mass, c, out);
    if (p.poll) (*p.poll)();
  }
  if (c == p.width) return;
  if (p.width >= 2 * kF64Lanes) {
    pool_columns<2, ByToken, ByEvent>(p, owner, mass, p.width - 2 * kF64Lanes, out);
    return;
  }
  for (; c < p.width; ++c) out[c] = pool_column<ByToken, ByEvent>(p, owner, mass, c);
}
