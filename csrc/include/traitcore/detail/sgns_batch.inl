// The loops over a batch's windows, for one instruction set.

#include <traitcore/detail/sgns_level.inl>

#if TRAITCORE_LANES == 16
/// Eight random words, as mix64.
TRAITCORE_INLINE __m512i mix_words(__m512i z) {
  z = _mm512_mullo_epi64(_mm512_xor_si512(z, _mm512_maskz_srli_epi64(0xFF, z, 30)),
                         _mm512_set1_epi64(static_cast<long long>(0xBF58476D1CE4E5B9ull)));
  z = _mm512_mullo_epi64(_mm512_xor_si512(z, _mm512_maskz_srli_epi64(0xFF, z, 27)),
                         _mm512_set1_epi64(static_cast<long long>(0x94D049BB133111EBull)));
  return _mm512_xor_si512(z, _mm512_maskz_srli_epi64(0xFF, z, 31));
}

/// What eight words draw from an alias table, each from mix64 of one of `keys`.
TRAITCORE_INLINE __m512i draw_from(const AliasTable::Slot* slots, std::size_t n, __m512i keys) {
  const __m512i word = mix_words(keys);
  const __m512i size = _mm512_set1_epi64(static_cast<long long>(n));
  const __m512i place = _mm512_maskz_srli_epi64(
      0xFF, _mm512_maskz_mul_epu32(0xFF, _mm512_maskz_srli_epi64(0xFF, word, 32), size), 32);
  const __m512i slot = _mm512_mask_i64gather_epi64(_mm512_setzero_si512(), 0xFF, place, slots, 8);
  const __m512i low = _mm512_set1_epi64(0xFFFFFFFFll);
  const __mmask8 own = _mm512_cmplt_epu64_mask(_mm512_and_si512(word, low), _mm512_and_si512(slot, low));
  return _mm512_mask_mov_epi64(_mm512_maskz_srli_epi64(0xFF, slot, 32), own, place);
}

/// Whether among the first n of eight rows one is the target or another one's equal.
TRAITCORE_INLINE bool any_repeats(__m256i drawn, int n, std::int32_t target) {
  // Lanes not in use get values that no row has, each its own.
  const __m256i nobody = _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(0x7FFFFFF0));
  const __m256i v = _mm256_mask_mov_epi32(nobody, static_cast<__mmask8>((1u << n) - 1), drawn);
  const __m256i turn = _mm256_setr_epi32(1, 2, 3, 4, 5, 6, 7, 0);
  const __m256i v1 = _mm256_maskz_permutexvar_epi32(0xFF, turn, v), v2 = _mm256_maskz_permutexvar_epi32(0xFF, turn, v1);
  const __m256i v3 = _mm256_maskz_permutexvar_epi32(0xFF, turn, v2), v4 = _mm256_maskz_permutexvar_epi32(0xFF, turn, v3);
  return (_mm256_cmpeq_epi32_mask(v, _mm256_set1_epi32(target)) | _mm256_cmpeq_epi32_mask(v, v1) |
          _mm256_cmpeq_epi32_mask(v, v2) | _mm256_cmpeq_epi32_mask(v, v3) | _mm256_cmpeq_epi32_mask(v, v4)) != 0;
}

/// Eight draws at once for every job: the same values as draw_set().
TRAITCORE_INLINE bool draw_eight(const AliasTable& table, int n, std::int32_t target, std::uint64_t key,
                                 std::int32_t* out) {
  const __m512i steps = _mm512_setr_epi64(
      static_cast<long long>(kGolden), static_cast<long long>(2 * kGolden), static_cast<long long>(3 * kGolden),
      static_cast<long long>(4 * kGolden), static_cast<long long>(5 * kGolden), static_cast<long long>(6 * kGolden),
      static_cast<long long>(7 * kGolden), static_cast<long long>(8 * kGolden));
  const __m512i keys = _mm512_add_epi64(_mm512_set1_epi64(static_cast<long long>(key)), steps);
  const __m256i v = _mm512_maskz_cvtepi64_epi32(0xFF, draw_from(table.slots(), table.size(), keys));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), v);
  return any_repeats(v, n, target);
}
#endif

/// Draw the negatives of every job of the batch.
inline void draw_noise(const SgnsTask& task, SgnsBatch& batch) {
  const SgnsOptions& options = *task.options;
  const auto each = static_cast<std::size_t>(options.negative);
  SgnsBatch::reserve(batch.noise, batch.n_noise + 8);
  for (std::size_t q = 0; q < batch.n_jobs; ++q) {
    SgnsJob& job = batch.jobs[q];
    const std::uint32_t sets = options.shared ? 1 : job.inputs;
    bool repeats = false;
    for (std::uint32_t set = 0; set < sets; ++set) {
      const std::uint64_t key = job.key + set * each * kGolden;
      std::int32_t* out = batch.noise.data() + job.noise + set * each;
#if TRAITCORE_LANES == 16
      if (each <= 8 && options.group_negative == 0) {
        repeats |= draw_eight(task.noise->all(), options.negative, job.target, key, out);
        continue;
      }
#endif
      repeats |= draw_set(options, *task.noise, job.target, key, out);
    }
    job.repeats = repeats;
  }
}

template <std::size_t Stride>
TRAITCORE_INLINE void prefetch_row(const float* row, std::size_t stride) {
#pragma GCC unroll 8
  for (std::size_t k = 0; k < (Stride ? Stride : stride); k += 16) prefetch<true>(row + k);
}

/// Row i of a matrix; with Lanes, for i < 0, a lane's copy: see SgnsTask. The base comes from memory: which of the two it is
/// can't be predicted, and compilers make branches of a choice.
template <bool Lanes>
TRAITCORE_INLINE float* row_of(float* const* bases, std::int32_t i, std::size_t stride) {
  return bases[Lanes ? static_cast<std::uint32_t>(i) >> 31 : 0] + static_cast<std::ptrdiff_t>(i) * static_cast<std::ptrdiff_t>(stride);
}
template <bool Lanes>
TRAITCORE_INLINE float* item_row(const SgnsTask& task, std::int32_t i, std::size_t stride) {
  return row_of<Lanes>(task.items, i, stride);
}
template <bool Lanes>
TRAITCORE_INLINE float* context_row(const SgnsTask& task, std::int32_t i, std::size_t stride) {
  return row_of<Lanes>(task.contexts, i, stride);
}

TRAITCORE_INLINE void set_weight(SgnsScratch& s, int output, float weight) {
  float* w = s.weight + output / 6 * 16 + lane(output % 6);
  w[0] = w[4] = weight;
}

/// Rows of the target and of its negatives, each once: a negative drawn m times gets weight -m * alpha, one that is the
/// target is left out. Returns their number.
template <bool Lanes>
TRAITCORE_INLINE int gather(const SgnsTask& task, const SgnsJob& job, const std::int32_t* noise, SgnsScratch& s) {
  int n = 1;
  s.out[0] = context_row<Lanes>(task, job.target, task.stride);
  for (float* w = s.weight; w < s.gradient; ++w) *w = 0.0f;
  set_weight(s, 0, job.alpha);
  for (int i = 0; i < task.options->negative; ++i) {
    float* row = context_row<Lanes>(task, noise[i], task.stride);
    int same = 0;
    while (same < n && s.out[static_cast<std::size_t>(same)] != row) ++same;
    if (same == 0) continue;
    int& repeats = s.repeats[static_cast<std::size_t>(same)];
    repeats = same < n ? repeats + 1 : 0;
    if (same == n) s.out[static_cast<std::size_t>(n++)] = row;
    set_weight(s, same, -job.alpha * static_cast<float>(repeats + 1));
  }
  return n;
}

/// The loss of repeated negatives beyond their first, which Loss has counted, from the gradients.
TRAITCORE_INLINE double repeated_loss(const SgnsWindow& w, const int* repeats) {
  double loss = 0;
  for (int t = 1; t < w.n_out; ++t)
    for (int j = 0; j < w.n_in && repeats[t] > 0; ++j) {
      const float g = w.gradient[t / 6 * 128 + (j >> 1) * 16 + (j & 1) * 4 + lane(t % 6)];
      const double rest = 1.0 - static_cast<double>(g / w.weight[t / 6 * 16 + lane(t % 6)]);  // g = weight * s(f)
      loss -= repeats[t] * __builtin_log(rest > 1e-7 ? rest : 1e-7);
    }
  return loss;
}

/// The largest weight of an output: the learning rate, times how often a negative has been drawn.
TRAITCORE_INLINE float heaviest(const SgnsWindow& w, float alpha) {
  float most = alpha;
  for (int t = 1; t < w.n_out; ++t) {
    const float weight = -w.weight[t / 6 * 16 + lane(t % 6)];
    most = weight > most ? weight : most;
  }
  return most;
}

/// How far an output may go at once, in sums of weights. Each input moves an output by its weight, at scores from
/// before any move: one after the other they would see each other's moves and stop where the score is right; too many
/// at once overshoot, further each time. 16 inputs at a rate of 0.05 are no more than this.
inline constexpr float kMostAtOnce = 0.8f;

/// Train a window some inputs at a time, and where one alone is too much (a small vocabulary, whose negatives are drawn
/// again and again) in several smaller steps. Returns the loss of repeated negatives that Loss doesn't count.
TRAITCORE_RACY inline double train_in_parts(const SgnsTask& task, const SgnsWindow& whole, float weight,
                                            SgnsScratch& s, bool repeats, Loss& loss) {
  SgnsWindow part = whole;
  const int most = static_cast<int>(kMostAtOnce / weight), together = most < 2 ? 1 : most & ~1;  // taken two at a time
  const float parts = weight > kMostAtOnce ? weight / kMostAtOnce : 1.0f;
  const int steps = parts < 1000 ? static_cast<int>(parts + 0.999f) : 1000;
  if (steps > 1)
    for (float* w = s.weight; w < s.gradient; ++w) *w /= static_cast<float>(steps);
  double more_loss = 0;
  for (int from = 0; from < whole.n_in; from += together) {
    if (together == 1) s.alone[0] = whole.in[from];
    part.in = together == 1 ? s.alone : whole.in + from;
    part.n_in = whole.n_in - from < together ? whole.n_in - from : together;
    train_window(part, task.stride, task.update, loss);
    if (repeats) more_loss += repeated_loss(part, s.repeats.data());
    Loss again;  // a pair's loss is that before its first step
    for (int step = 1; step < steps && task.update; ++step) {
      again.clear();
      train_window(part, task.stride, true, again);
    }
  }
  return more_loss;
}

/// Stride 0: any row length. Otherwise rows of that many floats, and shared negatives that fill one tile. With Lanes,
/// rows of the batch may be a lane's copies.
template <std::size_t Stride, bool Lanes>
TRAITCORE_RACY double run_jobs(const SgnsTask& task, const SgnsBatch& batch, SgnsScratch& s) {
  constexpr std::size_t kNear = 4, kFar = 12;  // jobs from prefetch to use, of outputs and of inputs
  const std::size_t stride = Stride ? Stride : task.stride;
  const auto each = static_cast<std::size_t>(task.options->negative);
  const bool shared = task.options->shared;
  alignas(64) static constexpr float kSigned[16] = {1, -1, -1, -1, 1, -1, -1, -1, -1, -1, 0, 0, -1, -1, 0, 0};
  Loss loss;
  loss.clear();
  double more_loss = 0;
  std::int64_t n_scores = static_cast<std::int64_t>(batch.pairs) * static_cast<std::int64_t>(each + 1);
  SgnsWindow window{s.in, s.out.data(), 0, 0, s.weight, s.gradient, s.scale, s.moves};
  for (std::size_t q = 0; q < batch.n_jobs; ++q) {
    const SgnsJob& job = batch.jobs[q];
    if (q + kFar < batch.jobs_ahead)
      prefetch_row<Stride>(item_row<Lanes>(task, batch.jobs[q + kFar].target, stride), stride);
    if (q + kNear < batch.jobs_ahead)
      prefetch_row<Stride>(context_row<Lanes>(task, batch.jobs[q + kNear].target, stride), stride);
    int n = 0;
    for (std::uint32_t i = job.first; i < job.last; ++i) {
      s.in[n] = item_row<Lanes>(task, batch.items[i], stride);
      n += i != job.skip;
    }
    const std::size_t sets = shared ? 1 : job.inputs;
    for (std::size_t set = 0; set < sets; ++set) {
      const std::int32_t* noise = batch.noise.data() + job.noise + set * each;
      const std::int32_t* const noise_end = batch.noise.data() + batch.noise_ahead;
      if (noise + (kNear + 1) * each <= noise_end)
        for (std::size_t k = 0; k < each; ++k)
          prefetch_row<Stride>(context_row<Lanes>(task, noise[kNear * each + k], stride), stride);
      s.alone[0] = s.in[set];
      window.in = shared ? s.in : s.alone;
      window.n_in = shared ? static_cast<int>(job.inputs) : 1;
      s.in[job.inputs] = s.alone[1];
      if (Stride && !job.repeats) {
        window.n_out = 6;
        s.out[0] = context_row<Lanes>(task, job.target, stride);
#pragma GCC unroll 5
        for (int k = 0; k < 5; ++k) s.out[static_cast<std::size_t>(k) + 1] = context_row<Lanes>(task, noise[k], stride);
#pragma GCC unroll 4
        for (int i = 0; i < 16; i += kF32Lanes) store(s.weight + i, load(kSigned + i) * set1(job.alpha));
      } else {
        window.n_out = gather<Lanes>(task, job, noise, s);
        n_scores -= window.n_in * (static_cast<std::int64_t>(each) + 1 - window.n_out);
      }
      const float weight = job.repeats ? heaviest(window, job.alpha) : job.alpha;
      if (static_cast<float>(window.n_in) * weight > kMostAtOnce * 1.001f) {
        more_loss += train_in_parts(task, window, weight, s, job.repeats, loss);
      } else if (Stride && !job.repeats) {
        train_tile<6, Stride ? Stride : 16>(window, task.update, loss);
      } else {
        train_window(window, stride, task.update, loss);
        if (job.repeats) more_loss += repeated_loss(window, s.repeats.data());
      }
    }
  }
  return loss.total(n_scores) + more_loss;
}

template <bool Lanes>
double run_batch(const SgnsTask& task, const SgnsBatch& batch, SgnsScratch& scratch) {
  if (task.options->negative == 5) {
    if (task.stride == 64) return run_jobs<64, Lanes>(task, batch, scratch);
    if (task.stride == 128) return run_jobs<128, Lanes>(task, batch, scratch);
  }
  return run_jobs<0, Lanes>(task, batch, scratch);
}

#include <traitcore/detail/sgns_lanes.inl>
