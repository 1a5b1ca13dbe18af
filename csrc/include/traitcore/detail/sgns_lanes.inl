// What lanes do beside training, for one instruction set: draw their negatives, find where rows lie, keep and add up moves.

// Which rows a lane shares can't be predicted: what looks at each of them has no branches.

/// a where `sign` is -1, b where it is 0.
TRAITCORE_INLINE std::int32_t choose(std::int32_t sign, std::int32_t a, std::int32_t b) { return b ^ ((a ^ b) & sign); }

/// ~key of a row that is shared, or the row.
TRAITCORE_INLINE std::int32_t key_or_row(const LaneView& view, std::int32_t r) {
  const std::int32_t mark = view.mark[r];
  return choose(mark >> 31, mark, r);
}

/// Gives places to keys, the next one to each that has none yet, and lists these keys.
struct PlaceGiver {
  std::int32_t *places, *keys;
  std::int32_t none, next;  ///< the place that is no key's; ~i of the copy to come

  /// ~i of copy i for a key, a row as it is.
  TRAITCORE_INLINE std::int32_t operator()(std::int32_t key_or_row) {
    const std::int32_t shared = key_or_row >> 31, key = choose(shared, key_or_row ^ -1, none);
    const std::int32_t had = places[key], added = shared & -static_cast<std::int32_t>(had == 0), place = had | (next & added);
    places[key] = place;
    *keys = key;
    keys -= added;
    next += added;
    return choose(shared, place, key_or_row);
  }
};

/// The place of what a random word draws, and whether the lane may draw it now. Without branches: neither is predictable.
TRAITCORE_INLINE std::int32_t candidate(const LaneView& view, std::uint64_t word, bool& good) {
  const std::uint32_t e = AliasTable::draw(view.slots, view.n_slots, word), member = e < view.hot ? 0 : view.member;
  const LaneClass of = view.classes[e];
  const bool inside = member < of.size;
  const std::uint32_t at = of.first + (inside ? member : 0);
  const std::int32_t r = view.in_order ? static_cast<std::int32_t>(at) : view.order[at];
  const auto row = static_cast<std::uint32_t>(r);
  const bool hot = at < view.hot, free = (view.busy[row >> 5] >> (row & 31) & 1) == 0;
  good = static_cast<bool>(static_cast<int>(inside) & (static_cast<int>(hot) | static_cast<int>(free)));
  return hot ? ~static_cast<std::int32_t>(at) : r;
}

/// For a lane that finds its class busy (windows that hold most of the items): any row that it may use. The target, which
/// is no negative, where there is none.
inline std::int32_t whatever_is_free(const SgnsTask& task, const LaneView& view, std::uint64_t key, std::int32_t target) {
  for (std::uint64_t i = 0; i < 64; ++i) {
    const std::int32_t r = task.noise->draw(mix64(~key - i * kGolden)), mark = view.mark[r];
    if (mark < 0) return mark;
    if (mark == view.lane + 1) return r;
  }
  return target;
}

#if TRAITCORE_LANES == 16
/// Of eight candidates those that are good; returns their number.
TRAITCORE_INLINE int eight_candidates(const LaneView& view, std::uint64_t from, std::int32_t* out) {
  const __m512i steps = _mm512_setr_epi64(
      static_cast<long long>(kGolden), static_cast<long long>(2 * kGolden), static_cast<long long>(3 * kGolden),
      static_cast<long long>(4 * kGolden), static_cast<long long>(5 * kGolden), static_cast<long long>(6 * kGolden),
      static_cast<long long>(7 * kGolden), static_cast<long long>(8 * kGolden));
  const __m512i e8 = draw_from(view.slots, view.n_slots, _mm512_add_epi64(_mm512_set1_epi64(static_cast<long long>(from)), steps));
  const __m512i of = _mm512_mask_i64gather_epi64(_mm512_setzero_si512(), 0xFF, e8, view.classes, 8);
  const __mmask8 in_class = _mm512_cmpge_epu64_mask(e8, _mm512_set1_epi64(view.hot));
  const __m256i first = _mm512_maskz_cvtepi64_epi32(0xFF, of);
  const __m256i size = _mm512_maskz_cvtepi64_epi32(0xFF, _mm512_maskz_srli_epi64(0xFF, of, 32));
  const __m256i member = _mm256_maskz_set1_epi32(in_class, static_cast<int>(view.member));
  const __mmask8 inside = _mm256_cmplt_epu32_mask(member, size);
  const __m256i at = _mm256_add_epi32(first, member);
  __m256i r = at;
  if (!view.in_order) r = _mm256_mmask_i32gather_epi32(at, inside, at, view.order, 4);
  const __mmask8 hot = _mm256_cmplt_epu32_mask(at, _mm256_set1_epi32(static_cast<int>(view.hot)));
  const __m256i words = _mm256_mmask_i32gather_epi32(_mm256_setzero_si256(), static_cast<__mmask8>(inside & ~hot),
                                                     _mm256_srli_epi32(r, 5), view.busy, 4);
  const __m256i bits = _mm256_srlv_epi32(words, _mm256_and_si256(r, _mm256_set1_epi32(31)));
  const auto good = static_cast<__mmask8>(_mm256_mask_testn_epi32_mask(inside, bits, _mm256_set1_epi32(1)));
  const __m256i place = _mm256_mask_xor_epi32(r, hot, at, _mm256_set1_epi32(-1));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm256_maskz_compress_epi32(good, place));
  return __builtin_popcount(good);
}
#else
TRAITCORE_INLINE int eight_candidates(const LaneView& view, std::uint64_t from, std::int32_t* out) {
  int n = 0;
  for (int i = 1; i <= 8; ++i) {
    bool good;
    out[n] = candidate(view, mix64(from + static_cast<std::uint64_t>(i) * kGolden), good);
    n += good;
  }
  return n;
}
#endif

/// The negatives of a lane's sets, one after the other: keys or rows. Drawn in one go, as sets end anywhere among eight
/// candidates; the key is that of the first set.
inline void draw_places(const SgnsTask& task, const LaneView& view, SgnsBatch& batch) {
  SgnsBatch::reserve(batch.noise, batch.n_noise + 16);
  std::int32_t* const out = batch.noise.data();
  std::uint64_t key = mix64(batch.jobs[0].key);
  std::size_t got = 0;
  for (std::size_t tries = batch.n_noise + 8; got < batch.n_noise && tries > 0; --tries, key += 8 * kGolden)
    got += static_cast<std::size_t>(eight_candidates(view, key, out + got));
  for (std::size_t q = batch.n_jobs; got < batch.n_noise && q-- > 0;)
    for (std::size_t i = q + 1 < batch.n_jobs ? batch.jobs[q + 1].noise : batch.n_noise; i > got && i-- > batch.jobs[q].noise;)
      out[i] = whatever_is_free(task, view, key + i * kGolden, key_or_row(view, batch.jobs[q].target));
}

TRAITCORE_INLINE bool repeats_in(const std::int32_t* drawn, int n, std::int32_t target) {
#if TRAITCORE_LANES == 16
  if (n <= 8) return any_repeats(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(drawn)), n, target);
#endif
  bool repeats = false;
  for (int k = 0; k < n; ++k) {
    repeats |= drawn[k] == target;
    for (int i = 0; i < k; ++i) repeats |= drawn[k] == drawn[i];
  }
  return repeats;
}

/// Turn the rows of a chunk's batch into places, draw its negatives, and count the copies that the lane needs.
inline void bind_lane(const SgnsTask& task, const LaneView& view, LaneCopies& copies, SgnsBatch& batch) {
  const int each = task.options->negative;
  const bool drawn = task.options->group_negative > 0;  // in advance, and known to the plan: groups have no classes
  if (!drawn) draw_places(task, view, batch);
  std::int32_t* const noise = batch.noise.data();
  for (std::size_t i = 0; drawn && i < batch.n_noise; ++i) noise[i] = key_or_row(view, noise[i]);
  for (std::size_t q = 0; q < batch.n_jobs; ++q) {
    SgnsJob& job = batch.jobs[q];
    job.target = key_or_row(view, job.target);
    if (drawn) continue;
    job.repeats = false;
    for (std::uint32_t set = 0; set < (task.options->shared ? 1 : job.inputs); ++set)
      job.repeats |= repeats_in(noise + job.noise + set * static_cast<std::size_t>(each), each, job.target);
  }
  LaneCopies::Side *const items = copies.sides, *const contexts = items + 1;
  PlaceGiver place{items->places.data(), items->keys.data(), static_cast<std::int32_t>(view.keys), -1};
  for (std::size_t i = 0; i < batch.n_items; ++i) batch.items[i] = place(key_or_row(view, batch.items[i]));
  items->n = ~place.next;
  place = {contexts->places.data(), contexts->keys.data(), place.none, -1};
  for (std::size_t q = 0; q < batch.n_jobs; ++q) batch.jobs[q].target = place(batch.jobs[q].target);
  for (std::size_t i = 0; i < batch.n_noise; ++i) noise[i] = place(noise[i]);
  contexts->n = ~place.next;
  batch.jobs_ahead = batch.n_jobs;
  batch.noise_ahead = batch.n_noise;
}

/// Fetch what the first windows need that is no copy: run_jobs() looks ahead from there on.
inline void fetch_first(const SgnsTask& task, const SgnsBatch& batch) {
  constexpr std::size_t kItems = 20, kJobs = 4;
  for (std::size_t i = 0; i < batch.n_items && i < kItems; ++i)
    if (batch.items[i] >= 0) prefetch_row<0>(row_of<false>(task.items, batch.items[i], task.stride), task.stride);
  for (std::size_t q = 0; q < batch.n_jobs && q < kJobs; ++q) {
    const std::int32_t* const noise = batch.noise.data() + batch.jobs[q].noise;
    for (int k = -1; k < task.options->negative; ++k)
      if (const std::int32_t i = k < 0 ? batch.jobs[q].target : noise[k]; i >= 0)
        prefetch_row<0>(row_of<false>(task.contexts, i, task.stride), task.stride);
  }
}

/// Copy the rows that a lane will move and others may, too.
inline void copy_rows(const SgnsTask& task, const LaneView& view, const LaneCopies& copies, const SgnsBatch& batch) {
  fetch_first(task, batch);
  for (int matrix = 0; matrix < 2; ++matrix) {
    float* const* const bases = matrix ? task.contexts : task.items;
    const std::int32_t *const keys = copies.sides[matrix].keys.data(), n = copies.sides[matrix].n;
    for (std::int32_t i = 0; i < n; ++i) {
      if (i + 6 < n) prefetch_row<0>(row_of<false>(bases, view.rows[keys[i + 6]], task.stride), task.stride);
      const float* const row = row_of<false>(bases, view.rows[keys[i]], task.stride);
      float* const copy = row_of<true>(bases, ~i, task.stride);
      for (std::size_t k = 0; k < task.stride; k += kF32Lanes) store(copy + k, load(row + k));
    }
  }
}

/// row += share * the sum of n copies' moves, in their order. False for moves that are no numbers.
inline bool merge_moves(float* row, const float* const* copies, int n, float share, std::size_t stride) {
  f32 nans = set1(0.0f);
  for (std::size_t k = 0; k < stride; k += kF32Lanes) {
    const f32 was = load(row + k);
    f32 moves = load(copies[0] + k) - was;
    for (int i = 1; i < n; ++i) moves = moves + (load(copies[i] + k) - was);
    nans = fma(moves, set1(0.0f), nans);
    store(row + k, fma(moves, set1(share), was));
  }
  return sum(nans) == 0.0f;
}
