// What lanes do beside training, for one instruction set: draw their negatives, find where rows lie, keep and add up moves.

/// Where row r lies for every lane, or for the one that owns it.
TRAITCORE_INLINE std::int32_t place_of(const LaneView& view, std::int32_t r) {
  const std::int32_t mark = view.mark[r];
  return mark < 0 ? mark : r;
}

/// Remember that the lane uses a copy. A byte for each key: stores don't wait for each other. That of a place in the matrix
/// stands beyond the keys.
TRAITCORE_INLINE void touch(const LaneView& view, int matrix, std::int32_t place) {
  view.touched[matrix][place < 0 ? static_cast<std::uint32_t>(~place) : view.keys] = 1;
}

/// The first touched key from `key` on, or `keys`. `touched` has 8 bytes of zeros beyond keys + 1.
TRAITCORE_INLINE std::uint32_t next_touched(const std::uint8_t* touched, std::uint32_t key, std::uint32_t keys) {
  for (; key < keys; key += 8) {
    std::uint64_t eight;
    __builtin_memcpy(&eight, touched + key, 8);
    if (eight == 0) continue;
    while (touched[key] == 0) ++key;
    break;
  }
  return key < keys ? key : keys;
}

/// The place of what a random word draws, and whether the lane may draw it now. Without branches: neither is predictable.
TRAITCORE_INLINE std::int32_t candidate(const LaneView& view, std::uint64_t word, bool& good) {
  const std::uint32_t e = AliasTable::draw(view.slots, view.n_slots, word);
  const std::uint32_t in_class = view.every + ((e - view.every) << view.shift) + view.member;
  std::uint32_t at = e < view.every ? e : in_class;
  const bool inside = at < view.n_order;
  at = inside ? at : 0;
  const std::int32_t r = view.in_order ? static_cast<std::int32_t>(at) : view.order[at];
  const std::uint32_t row = r < 0 ? 0 : static_cast<std::uint32_t>(r);
  const bool hot = at < view.hot, free = (view.busy[row >> 5] >> (row & 31) & 1) == 0;
  good = static_cast<bool>(static_cast<int>(inside) & static_cast<int>(r >= 0) & (static_cast<int>(hot) | static_cast<int>(free)));
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
/// Of eight candidates those that are good, at least `wanted` of them if there are; returns their number.
TRAITCORE_INLINE int eight_candidates(const LaneView& view, std::uint64_t from, int, std::int32_t* out) {
  const __m512i steps = _mm512_setr_epi64(
      static_cast<long long>(kGolden), static_cast<long long>(2 * kGolden), static_cast<long long>(3 * kGolden),
      static_cast<long long>(4 * kGolden), static_cast<long long>(5 * kGolden), static_cast<long long>(6 * kGolden),
      static_cast<long long>(7 * kGolden), static_cast<long long>(8 * kGolden));
  const __m512i e8 = draw_from(view.slots, view.n_slots, _mm512_add_epi64(_mm512_set1_epi64(static_cast<long long>(from)), steps));
  const __m256i e = _mm512_maskz_cvtepi64_epi32(0xFF, e8);
  const __m256i every = _mm256_set1_epi32(static_cast<int>(view.every));
  const __mmask8 in_class = _mm256_cmpge_epu32_mask(e, every);
  const __m128i shift = _mm_cvtsi32_si128(static_cast<int>(view.shift));
  const __m256i first = _mm256_sll_epi32(_mm256_sub_epi32(e, every), shift);
  const __m256i at = _mm256_mask_add_epi32(e, in_class, first, _mm256_set1_epi32(static_cast<int>(view.every + view.member)));
  __mmask8 inside = _mm256_cmplt_epu32_mask(at, _mm256_set1_epi32(static_cast<int>(view.n_order)));
  __m256i r = at;
  if (!view.in_order) {
    r = _mm256_mmask_i32gather_epi32(at, inside, at, view.order, 4);
    inside = _mm256_mask_cmpge_epi32_mask(inside, r, _mm256_setzero_si256());
  }
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
TRAITCORE_INLINE int eight_candidates(const LaneView& view, std::uint64_t first, int wanted, std::int32_t* out) {
  int n = 0;
  for (int i = 1; i <= 8 && n < wanted;)
    for (const int stop = i + wanted - n < 9 ? i + wanted - n : 9; i < stop; ++i) {
      bool good;
      out[n] = candidate(view, mix64(first + static_cast<std::uint64_t>(i) * kGolden), good);
      n += good;
    }
  return n;
}
#endif

/// The places of a set's negatives: out has room for `each` + 8.
TRAITCORE_INLINE void draw_places(const SgnsTask& task, const LaneView& view, std::uint64_t key, std::int32_t target, int each,
                                  std::int32_t* out) {
  key = mix64(key);  // the sets of a window have neighbouring keys, and a set may need more words than negatives
  int got = 0;
  for (int tries = each + 8; got < each && tries > 0; --tries, key += 8 * kGolden)
    got += eight_candidates(view, key, each - got, out + got);
  for (; got < each; ++got, key += kGolden) out[got] = whatever_is_free(task, view, key, target);
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

/// Turn the rows of a chunk's batch into places, draw its negatives, and mark the copies that the lane needs.
inline void bind_lane(const SgnsTask& task, const LaneView& view, SgnsBatch& batch) {
  const int each = task.options->negative;
  const bool drawn = task.options->group_negative > 0;  // in advance, and known to the plan: groups have no classes
  SgnsBatch::reserve(batch.noise, batch.n_noise + 16);
  for (std::size_t i = 0; i < batch.n_items; ++i) {
    batch.items[i] = place_of(view, batch.items[i]);
    touch(view, 0, batch.items[i]);
  }
  if (drawn)
    for (std::size_t i = 0; i < batch.n_noise; ++i) {
      batch.noise[i] = place_of(view, batch.noise[i]);
      touch(view, 1, batch.noise[i]);
    }
  for (std::size_t q = 0; q < batch.n_jobs; ++q) {
    SgnsJob& job = batch.jobs[q];
    job.target = place_of(view, job.target);
    touch(view, 1, job.target);
    if (drawn) continue;
    const std::uint32_t sets = task.options->shared ? 1 : job.inputs;
    bool repeats = false;
    for (std::uint32_t set = 0; set < sets; ++set) {
      const std::size_t from = set * static_cast<std::size_t>(each);
      std::int32_t* const out = batch.noise.data() + job.noise + from;
      draw_places(task, view, job.key + from * kGolden, job.target, each, out);
      for (int k = 0; k < each; ++k) touch(view, 1, out[k]);
      repeats |= repeats_in(out, each, job.target);
    }
    job.repeats = repeats;
  }
  batch.jobs_ahead = batch.n_jobs;
  batch.noise_ahead = batch.n_noise;
}

/// Copy the rows that a lane will move and others may, too.
inline void copy_rows(const SgnsTask& task, const LaneView& view) {
  for (int matrix = 0; matrix < 2; ++matrix) {
    float* const from = matrix ? task.contexts : task.items;
    float* const to = matrix ? task.context_copies : task.item_copies;
    const std::uint8_t* const touched = view.touched[matrix];
    for (std::uint32_t key = next_touched(touched, 0, view.keys); key < view.keys; key = next_touched(touched, key + 1, view.keys)) {
      const float* const row = row_of(from, nullptr, view.rows[key], task.stride);
      float* const copy = row_of<true>(nullptr, to, ~static_cast<std::int32_t>(key), task.stride);
      for (std::size_t k = 0; k < task.stride; k += kF32Lanes) store(copy + k, load(row + k));
    }
  }
}

/// Add what a row moved to the thread's sum, in fixed point: whole numbers have the same sum in any order. A move is cut at
/// `most`, so that the sum over all lanes fits. False for a move that is not a number.
TRAITCORE_INLINE bool keep_move(std::int32_t* sum_of, const float* copy, const float* row, float most, std::size_t stride) {
  f32 nans = set1(0.0f);
  for (std::size_t k = 0; k < stride; k += kF32Lanes) {
    const f32 move = load(copy + k) - load(row + k);
    nans = fma(move, set1(0.0f), nans);
    add_rounded(sum_of + k, clamp(move, most) * set1(kFixedOne));
  }
  return sum(nans) == 0.0f;
}

/// Add the moves of a lane's copies to the sums of its thread, (2, keys, stride), and count them in (2, keys).
inline bool keep_moves(const SgnsTask& task, const LaneView& view, float most, std::int32_t* sums, std::uint8_t* counts) {
  bool finite = true;
  for (std::uint32_t matrix = 0; matrix < 2; ++matrix) {
    float* const rows = matrix ? task.contexts : task.items;
    float* const copies = matrix ? task.context_copies : task.item_copies;
    const std::uint8_t* const touched = view.touched[matrix];
    for (std::uint32_t key = next_touched(touched, 0, view.keys); key < view.keys; key = next_touched(touched, key + 1, view.keys)) {
      const std::size_t at = static_cast<std::size_t>(matrix) * view.keys + key;
      std::int32_t* const sum_of = sums + at * task.stride;
      if (counts[at]++ == 0) __builtin_memset(sum_of, 0, task.stride * sizeof *sum_of);
      finite &= keep_move(sum_of, row_of<true>(nullptr, copies, ~static_cast<std::int32_t>(key), task.stride),
                          row_of(rows, nullptr, view.rows[key], task.stride), most, task.stride);
    }
  }
  return finite;
}

/// row += share * the sum of n threads' sums.
inline void merge_moves(float* row, const std::int32_t* const* sums, int n, float share, std::size_t stride) {
  const f32 scale = set1(share / kFixedOne);
  for (std::size_t k = 0; k < stride; k += kF32Lanes) {
    std::int32_t total[kF32Lanes];
    __builtin_memcpy(total, sums[0] + k, sizeof total);
    for (int i = 1; i < n; ++i)
#pragma GCC unroll 16
      for (int j = 0; j < kF32Lanes; ++j) total[j] += sums[i][k + static_cast<std::size_t>(j)];
    store(row + k, fma(floats_of(total), scale, load(row + k)));
  }
}
