// One instruction set's form of the SGNS arithmetic.
//
// The outputs of a window (the target and its negatives) are taken in tiles of at most 6. Scores and gradients of a
// tile against two inputs A, B fill a block of 16 floats:
//     A0 A1 A2 A3   B0 B1 B2 B3   A4 A5 - -   B4 B5 - -

TRAITCORE_INLINE constexpr int lane(int output) { return output < 4 ? output : output + 4; }

inline constexpr float kBound = 29.0f;  // of scores, beyond which s(f) is 0 or 1 to a float

/// log-loss: -log s(y) = log(1 + exp(-y)) with y = f for the target and -f for a negative. The sum of logs is kept as a
/// product of these odds in each lane, whose exponent is moved out before it can overflow. A lane that stands for no
/// pair has a score of zero and odds of exactly 2: such lanes are counted, not masked, and taken out at the end.
#if defined(TRAITCORE_SGNS_NO_LOSS)  // to measure what the loss costs
struct Loss {
  TRAITCORE_INLINE void clear() {}
  TRAITCORE_INLINE void add(int, f32) {}
  TRAITCORE_INLINE void end_block() {}
  TRAITCORE_INLINE double total(std::int64_t) const { return 0; }
};
#else
struct Loss {
  std::int64_t moved;  ///< blocks whose exponents are out
  int factors;  ///< blocks since
#if TRAITCORE_LANES == 16
  f32 mantissa, exponent;
#else
  float mantissa[16];
  std::int32_t exponent[16];
#endif

  TRAITCORE_INLINE void clear() {  // not a constructor: a synthesised one would fall outside the target region
    moved = factors = 0;
#if TRAITCORE_LANES == 16
    mantissa = set1(1.0f);
    exponent = set1(0.0f);
#else
    for (int i = 0; i < 16; ++i) mantissa[i] = 1.0f, exponent[i] = 0;
#endif
  }
  /// Odds of the lanes from i on.
  TRAITCORE_INLINE void add(int i, f32 odds) {
#if TRAITCORE_LANES == 16
    (void)i;
    mantissa = mantissa * odds;
#else
    store(mantissa + i, load(mantissa + i) * odds);
#endif
  }
  /// After all lanes of a block: three factors of at most 1 + exp(29) fit a float.
  TRAITCORE_INLINE void end_block() {
    if (++factors < 3) return;
    factors = 0;
    moved += 3;
#if TRAITCORE_LANES == 16
    exponent = _mm512_add_ps(exponent, _mm512_maskz_getexp_ps(kAll, mantissa));
    mantissa = _mm512_maskz_getmant_ps(kAll, mantissa, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_src);
#else
    std::int32_t bits[16];
    float scale[16];
    __builtin_memcpy(bits, mantissa, sizeof bits);
    for (int i = 0; i < 16; ++i) {
      exponent[i] += (bits[i] >> 23) - 127;
      bits[i] = 0x7F000000 - (bits[i] & 0x7F800000);  // 2^-exponent; a NaN or infinity stays one of them
    }
    __builtin_memcpy(scale, bits, sizeof bits);
    for (int i = 0; i < 16; ++i) mantissa[i] *= scale[i];
#endif
  }
  /// \param[in] scores  lanes that stand for a pair, over all blocks
  TRAITCORE_INLINE double total(std::int64_t scores) const {
    double logs = 0, twos = static_cast<double>(scores - 16 * (moved + factors));
#if TRAITCORE_LANES == 16
    float m[16], e[16];
    store(m, mantissa);
    store(e, exponent);
#else
    const float* m = mantissa;
    const std::int32_t* e = exponent;
#endif
    for (int i = 0; i < 16; ++i) {
      logs += __builtin_log(static_cast<double>(m[i]));
      twos += static_cast<double>(e[i]);
    }
    return logs + 0.6931471805599453 * twos;
  }
};
#endif

/// 1 + exp(x): 2^r by exponent bits times a polynomial of degree 5 for the rest (relative error 8e-8).
TRAITCORE_INLINE f32 odds_of(f32 x) {
  const f32 t = clamp(x, kBound) * set1(1.44269504f);
  const f32 magic = set1(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  const f32 y = t + magic;
  const f32 f = t - (y - magic);
  f32 p = fma(f, set1(0.001327647129073739f), set1(0.009675540961325169f));
  p = fma(p, f, set1(0.05550713092088699f));
  p = fma(p, f, set1(0.24022120237350464f));
  p = fma(p, f, set1(0.6931469440460205f));
  p = fma(p, f, set1(1.0000001192092896f));
  return scale2(p, y) + set1(1.0f);
}

/// Dot products of NT outputs with inputs a and b, in block order.
#if TRAITCORE_LANES == 16
TRAITCORE_INLINE f32 add_halves(f32 a, f32 b) {  // a's upper half onto its lower | the same of b
  return _mm512_maskz_shuffle_f32x4(kAll, a, b, 0x44) + _mm512_maskz_shuffle_f32x4(kAll, a, b, 0xEE);
}
TRAITCORE_INLINE f32 add_pairs(f32 x, f32 y) {
  return _mm512_maskz_unpacklo_ps(kAll, x, y) + _mm512_maskz_unpackhi_ps(kAll, x, y);
}
TRAITCORE_INLINE f32 add_quads(f32 x, f32 y) {
  return _mm512_maskz_shuffle_ps(kAll, x, y, 0x44) + _mm512_maskz_shuffle_ps(kAll, x, y, 0xEE);
}
#endif

template <int NT, std::size_t Stride>
TRAITCORE_INLINE void scores(float* const* out, const float* a, const float* b, std::size_t stride, float* block) {
  f32 p[6], q[6];
#pragma GCC unroll 6
  for (int t = 0; t < 6; ++t) p[t] = q[t] = set1(0.0f);
#pragma GCC unroll 8
  for (std::size_t k = 0; k < (Stride ? Stride : stride); k += kF32Lanes) {
    const f32 x = load(a + k), y = load(b + k);
#pragma GCC unroll 6
    for (int t = 0; t < NT; ++t) {
      const f32 o = load(out[t] + k);
      p[t] = fma(o, x, p[t]);
      q[t] = fma(o, y, q[t]);
    }
  }
#if TRAITCORE_LANES == 16
#pragma GCC unroll 6
  for (int t = 0; t < NT; ++t) p[t] = add_halves(p[t], q[t]);
  const f32 low = add_quads(add_pairs(p[0], p[1]), add_pairs(p[2], p[3]));
  const f32 high = NT > 4 ? add_quads(add_pairs(p[4], p[5]), set1(0.0f)) : set1(0.0f);
  store(block,
        _mm512_maskz_shuffle_f32x4(kAll, low, high, 0x88) + _mm512_maskz_shuffle_f32x4(kAll, low, high, 0xDD));
#else
#pragma GCC unroll 6
  for (int t = 0; t < NT; ++t) {
    block[lane(t)] = sum(p[t]);
    block[lane(t) + 4] = sum(q[t]);
  }
#endif
}

/// Gradients of a tile, g = weight * (1 - s(y)) with a negative's weight below zero, into 128 floats; with the target's
/// tile also `scale`, 128 floats in the same order: see update().
template <int NT, std::size_t Stride, bool First>
TRAITCORE_INLINE void gradients(const SgnsWindow& w, int tile, std::size_t stride, Loss& loss) {
  float* const* out = w.out + 6 * tile;
  float* gradient = w.gradient + 128 * tile;
  const float* weight = w.weight + 16 * tile;
  alignas(64) static constexpr float kSign[16] = {-1, 1, 1, 1, -1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};  // of -y / f
  for (int j = 0; j < w.n_in; j += 2) {
    float* g = gradient + j * 8;
    scores<NT, Stride>(out, w.in[j], w.in[j + 1], stride, g);
#if TRAITCORE_LANES != 16
    float f[16] = {0};
#pragma GCC unroll 6
    for (int t = 0; t < NT; ++t) {
      f[lane(t)] = g[lane(t)];
      f[lane(t) + 4] = g[lane(t) + 4];
    }
#else
    const float* f = g;
#endif
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += kF32Lanes) {
      const f32 x = load(f + i), o = odds_of(First ? x * load(kSign + i) : x);
      const f32 step = (set1(1.0f) - reciprocal(o)) * load(weight + i);
      store(g + i, step);
      if (First) store(w.scale + j * 8 + i, set1(1.0f) - set1(0.5f) * step * step);
      loss.add(i, o);
    }
    loss.end_block();
  }
}

/// Move S vectors of the tile's outputs and of the inputs, from place k on. Outputs move by their gradients; inputs by
/// the outputs' values before the move, but by the target's value halfway through its move: that is the mean over all
/// orders in which the window's pairs could have been taken one by one, and it matters for a target seen seldom, whose
/// vector starts at zero. An input must not meet its own half step (it would grow without end): `scale` takes it out.
template <int NT, int S, bool First, bool Last>
TRAITCORE_INLINE void update(const SgnsWindow& w, int tile, std::size_t k) {
  float* const* out = w.out + 6 * tile;
  const float* gradient = w.gradient + 128 * tile;
  f32 o[NT][S], d[NT][S];
#pragma GCC unroll 6
  for (int t = 0; t < NT; ++t)
#pragma GCC unroll 2
    for (int s = 0; s < S; ++s) o[t][s] = d[t][s] = load(out[t] + k + s * kF32Lanes);
  if (First) {
    f32 step[S];
#pragma GCC unroll 2
    for (int s = 0; s < S; ++s) step[s] = set1(0.0f);
    for (int j = 0; j < w.n_in; ++j) {
      const f32 g = set1(gradient[(j >> 1) * 16 + (j & 1) * 4]);
#pragma GCC unroll 2
      for (int s = 0; s < S; ++s) step[s] = fma(g, load(w.in[j] + k + s * kF32Lanes), step[s]);
    }
#pragma GCC unroll 2
    for (int s = 0; s < S; ++s) {
      d[0][s] = o[0][s] + step[s];
      o[0][s] = fma(set1(0.5f), step[s], o[0][s]);
    }
  }
  for (int j = 0; j < w.n_in; ++j) {
    const float* g = gradient + (j >> 1) * 16 + (j & 1) * 4;
    float* row = w.in[j] + k;
    float* move = w.moves + j * S * kF32Lanes;
    f32 h[S], e[S];
#pragma GCC unroll 2
    for (int s = 0; s < S; ++s) {
      h[s] = load(row + s * kF32Lanes);
      if (First) {
        const f32 scale = set1(w.scale[(j >> 1) * 16 + (j & 1) * 4]);
        e[s] = Last ? h[s] * scale : h[s] * (scale - set1(1.0f));
      } else {
        e[s] = Last ? h[s] + load(move + s * kF32Lanes) : load(move + s * kF32Lanes);
      }
    }
#pragma GCC unroll 6
    for (int t = 0; t < NT; ++t) {
      const f32 gt = set1(g[lane(t)]);
#pragma GCC unroll 2
      for (int s = 0; s < S; ++s) {
        e[s] = fma(gt, o[t][s], e[s]);
        if (!First || t > 0) d[t][s] = fma(gt, h[s], d[t][s]);
      }
    }
#pragma GCC unroll 2
    for (int s = 0; s < S; ++s) store((Last ? row : move) + s * kF32Lanes, e[s]);
  }
#pragma GCC unroll 6
  for (int t = 0; t < NT; ++t)
#pragma GCC unroll 2
    for (int s = 0; s < S; ++s) store(out[t] + k + s * kF32Lanes, d[t][s]);
}

/// A window whose outputs fill one tile, in rows of a length known to the compiler: the usual case.
template <int NT, std::size_t Stride>
TRAITCORE_INLINE void train_tile(const SgnsWindow& w, bool move, Loss& loss) {
  gradients<NT, Stride, true>(w, 0, Stride, loss);
  if (!move) return;
  constexpr int S = kF32Lanes == 16 && Stride % 32 == 0 ? 2 : 1;  // two vectors of each row at a time fill 24 registers
  for (std::size_t k = 0; k < Stride; k += S * kF32Lanes) update<NT, S, true, true>(w, 0, k);
}

template <bool First>
TRAITCORE_RACY void gradients_of(const SgnsWindow& w, int tile, std::size_t stride, Loss& loss) {
  switch (w.n_out - 6 * tile) {
    case 1: return gradients<1, 0, First>(w, tile, stride, loss);
    case 2: return gradients<2, 0, First>(w, tile, stride, loss);
    case 3: return gradients<3, 0, First>(w, tile, stride, loss);
    case 4: return gradients<4, 0, First>(w, tile, stride, loss);
    case 5: return gradients<5, 0, First>(w, tile, stride, loss);
    default: return gradients<6, 0, First>(w, tile, stride, loss);
  }
}

template <int S, bool First, bool Last>
TRAITCORE_RACY void update_of(const SgnsWindow& w, int tile, std::size_t k) {
  switch (w.n_out - 6 * tile) {
    case 1: return update<1, S, First, Last>(w, tile, k);
    case 2: return update<2, S, First, Last>(w, tile, k);
    case 3: return update<3, S, First, Last>(w, tile, k);
    case 4: return update<4, S, First, Last>(w, tile, k);
    case 5: return update<5, S, First, Last>(w, tile, k);
    default: return update<6, S, First, Last>(w, tile, k);
  }
}

template <int S>
TRAITCORE_RACY void update_slice(const SgnsWindow& w, std::size_t k) {
  const int last = (w.n_out - 1) / 6;
  if (last == 0) return update_of<S, true, true>(w, 0, k);
  update_of<S, true, false>(w, 0, k);
  for (int tile = 1; tile < last; ++tile) update_of<S, false, false>(w, tile, k);
  update_of<S, false, true>(w, last, k);
}

/// Any window, any row length.
TRAITCORE_RACY inline void train_window(const SgnsWindow& w, std::size_t stride, bool move, Loss& loss) {
  gradients_of<true>(w, 0, stride, loss);
  for (int tile = 1; 6 * tile < w.n_out; ++tile) gradients_of<false>(w, tile, stride, loss);
  if (!move) return;
  std::size_t k = 0;
  if (kF32Lanes == 16)
    for (; k + 2 * kF32Lanes <= stride; k += 2 * kF32Lanes) update_slice<2>(w, k);
  for (; k < stride; k += kF32Lanes) update_slice<1>(w, k);
}
