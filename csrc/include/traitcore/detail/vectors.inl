// The vectors of one instruction set. With GCC and Clang f32 and f64 have + - * / and comparisons, elementwise;
// elsewhere they are one number. Functions:
//
//   load(p), store(p, v), set1(x)   any alignment; x in every lane
//   fma(a, b, c)                    a * b + c, with one rounding from AVX2 on
//   sum(v)                          of the lanes, by halves: (v0 + v2) + (v1 + v3)
//   widen(p), narrow(p, v)          f64 from floats and to floats
//   above(a, b)                     bits of the lanes where a > b or one of the two is NaN
//   load_columns(x0, ..., x3, p, stride)   xc[r] = p[r * stride + c]: four columns of as many rows as there are lanes
//   clamp(x, bound)                 to [-bound, bound]; a NaN stays one
//   scale2(p, y)                    p * 2^r, with r = y - 1.5 * 2^23 read from y's low bits
//   reciprocal(x)                   1 / x, to a rounding or two
//   add_rounded(p, v), floats_of(p) nearest integers of v, below 2^31, added to int32s; int32s as floats
//
// and of as many int32s (i32): set1_int(x), floats_of(v), and
//
//   add_products(sum, codes, four)  sum[r] + codes[4 r] * four[0] + ... + codes[4 r + 3] * four[3]; each two products
//                                   in a row add up to less than 2^15

#if TRAITCORE_LANES == 16
using f32 = __m512;
using f64 = __m512d;
using i32 = __m512i;
// Intrinsics are called with a full mask where their plain form starts from an "undefined" register, which gcc 12 takes
// for a use of an uninitialised one.
inline constexpr __mmask16 kAll = 0xFFFF;
inline constexpr __mmask8 kAll8 = 0xFF;

TRAITCORE_INLINE f32 set1(float x) { return _mm512_set1_ps(x); }
TRAITCORE_INLINE f64 set1(double x) { return _mm512_set1_pd(x); }
TRAITCORE_INLINE f32 load(const float* p) { return _mm512_loadu_ps(p); }
TRAITCORE_INLINE f64 load(const double* p) { return _mm512_loadu_pd(p); }
TRAITCORE_INLINE void store(float* p, f32 v) { _mm512_storeu_ps(p, v); }
TRAITCORE_INLINE void store(double* p, f64 v) { _mm512_storeu_pd(p, v); }
TRAITCORE_INLINE f32 fma(f32 a, f32 b, f32 c) { return _mm512_fmadd_ps(a, b, c); }
TRAITCORE_INLINE f64 fma(f64 a, f64 b, f64 c) { return _mm512_fmadd_pd(a, b, c); }
TRAITCORE_INLINE f64 widen(const float* p) { return _mm512_maskz_cvtps_pd(kAll8, _mm256_loadu_ps(p)); }
TRAITCORE_INLINE void narrow(float* p, f64 v) { _mm256_storeu_ps(p, _mm512_maskz_cvtpd_ps(kAll8, v)); }
TRAITCORE_INLINE unsigned above(f32 a, f32 b) { return _mm512_cmp_ps_mask(a, b, _CMP_NLE_UQ); }
// x last: min and max give their second operand when one is NaN.
TRAITCORE_INLINE f32 clamp(f32 x, float bound) {
  return _mm512_maskz_max_ps(kAll, set1(-bound), _mm512_maskz_min_ps(kAll, set1(bound), x));
}
TRAITCORE_INLINE f32 scale2(f32 p, f32 y) {
  return _mm512_castsi512_ps(
      _mm512_maskz_add_epi32(kAll, _mm512_castps_si512(p), _mm512_maskz_slli_epi32(kAll, _mm512_castps_si512(y), 23)));
}
TRAITCORE_INLINE f32 reciprocal(f32 x) {  // one Newton step from 14 bits; shorter than a division
  const f32 r = _mm512_maskz_rcp14_ps(kAll, x);
  return _mm512_mul_ps(r, _mm512_fnmadd_ps(x, r, set1(2.0f)));
}
TRAITCORE_INLINE void add_rounded(std::int32_t* p, f32 v) {
  _mm512_storeu_si512(p, _mm512_add_epi32(_mm512_loadu_si512(p), _mm512_maskz_cvtps_epi32(kAll, v)));
}
TRAITCORE_INLINE i32 set1_int(std::int32_t x) { return _mm512_set1_epi32(x); }
TRAITCORE_INLINE f32 floats_of(i32 v) { return _mm512_maskz_cvtepi32_ps(kAll, v); }
TRAITCORE_INLINE f32 floats_of(const std::int32_t* p) { return floats_of(_mm512_loadu_si512(p)); }
TRAITCORE_INLINE i32 add_products(i32 sum, const std::uint8_t* codes, const std::int8_t* four) {
  std::int32_t same;
  __builtin_memcpy(&same, four, 4);
  const __m512i pairs = _mm512_maddubs_epi16(_mm512_loadu_si512(codes), _mm512_set1_epi32(same));
  return _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
}
// The 4 floats at rows 0, 4, 8 and 12 from p, side by side.
TRAITCORE_INLINE f32 load_quarters(const float* p, std::size_t stride) {
  f32 x = _mm512_maskz_broadcast_f32x4(kAll, _mm_loadu_ps(p));
  x = _mm512_mask_broadcast_f32x4(x, 0x00F0, _mm_loadu_ps(p + 4 * stride));
  x = _mm512_mask_broadcast_f32x4(x, 0x0F00, _mm_loadu_ps(p + 8 * stride));
  return _mm512_mask_broadcast_f32x4(x, 0xF000, _mm_loadu_ps(p + 12 * stride));
}
TRAITCORE_INLINE void load_columns(f32& x0, f32& x1, f32& x2, f32& x3, const float* p, std::size_t stride) {
  const f32 a = load_quarters(p, stride), b = load_quarters(p + stride, stride);
  const f32 c = load_quarters(p + 2 * stride, stride), d = load_quarters(p + 3 * stride, stride);
  const f64 ab = _mm512_castps_pd(_mm512_maskz_unpacklo_ps(kAll, a, b));
  const f64 AB = _mm512_castps_pd(_mm512_maskz_unpackhi_ps(kAll, a, b));
  const f64 cd = _mm512_castps_pd(_mm512_maskz_unpacklo_ps(kAll, c, d));
  const f64 CD = _mm512_castps_pd(_mm512_maskz_unpackhi_ps(kAll, c, d));
  x0 = _mm512_castpd_ps(_mm512_maskz_unpacklo_pd(kAll8, ab, cd));
  x1 = _mm512_castpd_ps(_mm512_maskz_unpackhi_pd(kAll8, ab, cd));
  x2 = _mm512_castpd_ps(_mm512_maskz_unpacklo_pd(kAll8, AB, CD));
  x3 = _mm512_castpd_ps(_mm512_maskz_unpackhi_pd(kAll8, AB, CD));
}

#elif TRAITCORE_LANES == 8
using f32 = __m256;
using f64 = __m256d;
using i32 = __m256i;

TRAITCORE_INLINE f32 set1(float x) { return _mm256_set1_ps(x); }
TRAITCORE_INLINE f64 set1(double x) { return _mm256_set1_pd(x); }
TRAITCORE_INLINE f32 load(const float* p) { return _mm256_loadu_ps(p); }
TRAITCORE_INLINE f64 load(const double* p) { return _mm256_loadu_pd(p); }
TRAITCORE_INLINE void store(float* p, f32 v) { _mm256_storeu_ps(p, v); }
TRAITCORE_INLINE void store(double* p, f64 v) { _mm256_storeu_pd(p, v); }
TRAITCORE_INLINE f32 fma(f32 a, f32 b, f32 c) { return _mm256_fmadd_ps(a, b, c); }
TRAITCORE_INLINE f64 fma(f64 a, f64 b, f64 c) { return _mm256_fmadd_pd(a, b, c); }
TRAITCORE_INLINE float sum(f32 v) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}
TRAITCORE_INLINE f64 widen(const float* p) { return _mm256_cvtps_pd(_mm_loadu_ps(p)); }
TRAITCORE_INLINE void narrow(float* p, f64 v) { _mm_storeu_ps(p, _mm256_cvtpd_ps(v)); }
TRAITCORE_INLINE unsigned above(f32 a, f32 b) {
  return static_cast<unsigned>(_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_NLE_UQ)));
}
// x last: min and max give their second operand when one is NaN.
TRAITCORE_INLINE f32 clamp(f32 x, float bound) {
  return _mm256_max_ps(set1(-bound), _mm256_min_ps(set1(bound), x));
}
TRAITCORE_INLINE f32 scale2(f32 p, f32 y) {
  return _mm256_castsi256_ps(
      _mm256_add_epi32(_mm256_castps_si256(p), _mm256_slli_epi32(_mm256_castps_si256(y), 23)));
}
TRAITCORE_INLINE f32 reciprocal(f32 x) { return _mm256_div_ps(set1(1.0f), x); }
TRAITCORE_INLINE void add_rounded(std::int32_t* p, f32 v) {
  __m256i* const to = reinterpret_cast<__m256i*>(p);
  _mm256_storeu_si256(to, _mm256_add_epi32(_mm256_loadu_si256(to), _mm256_cvtps_epi32(v)));
}
TRAITCORE_INLINE i32 set1_int(std::int32_t x) { return _mm256_set1_epi32(x); }
TRAITCORE_INLINE f32 floats_of(i32 v) { return _mm256_cvtepi32_ps(v); }
TRAITCORE_INLINE f32 floats_of(const std::int32_t* p) {
  return floats_of(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
TRAITCORE_INLINE i32 add_products(i32 sum, const std::uint8_t* codes, const std::int8_t* four) {
  std::int32_t same;
  __builtin_memcpy(&same, four, 4);
  const __m256i rows = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes));
  const __m256i pairs = _mm256_maddubs_epi16(rows, _mm256_set1_epi32(same));
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
// The 4 floats at rows 0 and 4 from p, side by side.
TRAITCORE_INLINE f32 load_halves(const float* p, std::size_t stride) {
  return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(p + 4 * stride), 1);
}
TRAITCORE_INLINE void load_columns(f32& x0, f32& x1, f32& x2, f32& x3, const float* p, std::size_t stride) {
  const f32 a = load_halves(p, stride), b = load_halves(p + stride, stride);
  const f32 c = load_halves(p + 2 * stride, stride), d = load_halves(p + 3 * stride, stride);
  const f64 ab = _mm256_castps_pd(_mm256_unpacklo_ps(a, b)), AB = _mm256_castps_pd(_mm256_unpackhi_ps(a, b));
  const f64 cd = _mm256_castps_pd(_mm256_unpacklo_ps(c, d)), CD = _mm256_castps_pd(_mm256_unpackhi_ps(c, d));
  x0 = _mm256_castpd_ps(_mm256_unpacklo_pd(ab, cd)), x1 = _mm256_castpd_ps(_mm256_unpackhi_pd(ab, cd));
  x2 = _mm256_castpd_ps(_mm256_unpacklo_pd(AB, CD)), x3 = _mm256_castpd_ps(_mm256_unpackhi_pd(AB, CD));
}

#elif TRAITCORE_LANES == 4  // registers that every x86-64 and aarch64 has (SSE2, NEON)
using i32 = std::int32_t __attribute__((vector_size(16)));
#if defined(__SSE2__)
using f32 = __m128;
using f64 = __m128d;

TRAITCORE_INLINE f64 load(const double* p) { return _mm_loadu_pd(p); }
TRAITCORE_INLINE void store(double* p, f64 v) { _mm_storeu_pd(p, v); }
TRAITCORE_INLINE f64 widen(const float* p) {
  double two;
  __builtin_memcpy(&two, p, sizeof two);
  return _mm_cvtps_pd(_mm_castpd_ps(_mm_set_sd(two)));
}
TRAITCORE_INLINE void narrow(float* p, f64 v) {
  const double two = _mm_cvtsd_f64(_mm_castps_pd(_mm_cvtpd_ps(v)));
  __builtin_memcpy(p, &two, sizeof two);
}
TRAITCORE_INLINE unsigned above(f32 a, f32 b) { return static_cast<unsigned>(_mm_movemask_ps(_mm_cmpnle_ps(a, b))); }
#else
using f32 = float __attribute__((vector_size(16)));
using f64 = double __attribute__((vector_size(16)));

TRAITCORE_INLINE f64 load(const double* p) {
  f64 v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
TRAITCORE_INLINE void store(double* p, f64 v) { __builtin_memcpy(p, &v, sizeof v); }
TRAITCORE_INLINE f64 widen(const float* p) { return f64{p[0], p[1]}; }
TRAITCORE_INLINE void narrow(float* p, f64 v) {
  for (int i = 0; i < 2; ++i) p[i] = static_cast<float>(v[i]);
}
TRAITCORE_INLINE unsigned above(f32 a, f32 b) {
  unsigned bits = 0;
  for (int i = 0; i < 4; ++i) bits |= static_cast<unsigned>(!(a[i] <= b[i])) << i;
  return bits;
}
#endif
#if defined(TRAITCORE_RELAXED_ATOMICS)
// Every access to a row of floats is a relaxed atomic: no data race in the language's sense, at a price in speed.
TRAITCORE_INLINE f32 load(const float* p) {
  f32 v;
  for (int i = 0; i < 4; ++i) {
    float x;
    __atomic_load(p + i, &x, __ATOMIC_RELAXED);
    v[i] = x;
  }
  return v;
}
TRAITCORE_INLINE void store(float* p, f32 v) {
  for (int i = 0; i < 4; ++i) {
    float x = v[i];
    __atomic_store(p + i, &x, __ATOMIC_RELAXED);
  }
}
#elif defined(__SSE2__)
TRAITCORE_INLINE f32 load(const float* p) { return _mm_loadu_ps(p); }
TRAITCORE_INLINE void store(float* p, f32 v) { _mm_storeu_ps(p, v); }
#else
TRAITCORE_INLINE f32 load(const float* p) {
  f32 v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
TRAITCORE_INLINE void store(float* p, f32 v) { __builtin_memcpy(p, &v, sizeof v); }
#endif
TRAITCORE_INLINE f32 set1(float x) { return f32{x, x, x, x}; }
TRAITCORE_INLINE f64 set1(double x) { return f64{x, x}; }
TRAITCORE_INLINE i32 set1_int(std::int32_t x) { return i32{x, x, x, x}; }
TRAITCORE_INLINE float sum(f32 v) { return (v[0] + v[2]) + (v[1] + v[3]); }
TRAITCORE_INLINE void load_columns(f32& x0, f32& x1, f32& x2, f32& x3, const float* p, std::size_t stride) {
#if defined(__SSE2__)
  x0 = load(p), x1 = load(p + stride), x2 = load(p + 2 * stride), x3 = load(p + 3 * stride);
  _MM_TRANSPOSE4_PS(x0, x1, x2, x3);
#else
  for (int i = 0; i < 4; ++i, p += stride) x0[i] = p[0], x1[i] = p[1], x2[i] = p[2], x3[i] = p[3];
#endif
}
TRAITCORE_INLINE f32 clamp(f32 x, float bound) {
  const f32 high = set1(bound), low = set1(-bound);
  const i32 over = x > high, under = x < low;
  x = (f32)(((i32)high & over) | ((i32)x & ~over));
  return (f32)(((i32)low & under) | ((i32)x & ~under));
}
TRAITCORE_INLINE f32 scale2(f32 p, f32 y) { return (f32)((i32)p + ((i32)y << 23)); }
#if defined(__SSE2__)
TRAITCORE_INLINE void add_rounded(std::int32_t* p, f32 v) {
  __m128i* const to = reinterpret_cast<__m128i*>(p);
  _mm_storeu_si128(to, _mm_add_epi32(_mm_loadu_si128(to), _mm_cvtps_epi32(v)));
}
TRAITCORE_INLINE f32 floats_of(i32 v) { return _mm_cvtepi32_ps((__m128i)v); }
TRAITCORE_INLINE f32 floats_of(const std::int32_t* p) {
  return _mm_cvtepi32_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
TRAITCORE_INLINE i32 add_products(i32 sum, const std::uint8_t* codes, const std::int8_t* four) {
  const __m128i rows = _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes)), zero = _mm_setzero_si128();
  const __m128i same = _mm_set_epi16(four[3], four[2], four[1], four[0], four[3], four[2], four[1], four[0]);
  const __m128 low = _mm_castsi128_ps(_mm_madd_epi16(_mm_unpacklo_epi8(rows, zero), same));
  const __m128 high = _mm_castsi128_ps(_mm_madd_epi16(_mm_unpackhi_epi8(rows, zero), same));
  const __m128 even = _mm_shuffle_ps(low, high, 0x88), odd = _mm_shuffle_ps(low, high, 0xDD);
  return sum + (i32)even + (i32)odd;
}
#else
TRAITCORE_INLINE f32 floats_of(i32 v) {
  return f32{static_cast<float>(v[0]), static_cast<float>(v[1]), static_cast<float>(v[2]), static_cast<float>(v[3])};
}
TRAITCORE_INLINE i32 add_products(i32 sum, const std::uint8_t* codes, const std::int8_t* four) {
  for (int r = 0; r < 4; ++r)
    for (int c = 0; c < 4; ++c) sum[r] += codes[4 * r + c] * four[c];
  return sum;
}
TRAITCORE_INLINE void add_rounded(std::int32_t* p, f32 v) {
  for (int i = 0; i < 4; ++i) p[i] += v[i] == v[i] ? static_cast<std::int32_t>(v[i] + (v[i] < 0 ? -0.5f : 0.5f)) : 0;
}
TRAITCORE_INLINE f32 floats_of(const std::int32_t* p) {
  return f32{static_cast<float>(p[0]), static_cast<float>(p[1]), static_cast<float>(p[2]), static_cast<float>(p[3])};
}
#endif

#else
using f32 = float;
using f64 = double;
using i32 = std::int32_t;

TRAITCORE_INLINE f32 set1(float x) { return x; }
TRAITCORE_INLINE f64 set1(double x) { return x; }
TRAITCORE_INLINE f32 load(const float* p) { return *p; }
TRAITCORE_INLINE f64 load(const double* p) { return *p; }
TRAITCORE_INLINE void store(float* p, f32 v) { *p = v; }
TRAITCORE_INLINE void store(double* p, f64 v) { *p = v; }
TRAITCORE_INLINE float sum(f32 v) { return v; }
TRAITCORE_INLINE f64 widen(const float* p) { return *p; }
TRAITCORE_INLINE void narrow(float* p, f64 v) { *p = static_cast<float>(v); }
TRAITCORE_INLINE unsigned above(f32 a, f32 b) { return !(a <= b); }
TRAITCORE_INLINE void load_columns(f32& x0, f32& x1, f32& x2, f32& x3, const float* p, std::size_t) {
  x0 = p[0], x1 = p[1], x2 = p[2], x3 = p[3];
}
TRAITCORE_INLINE f32 clamp(f32 x, float bound) { return x > bound ? bound : x < -bound ? -bound : x; }
TRAITCORE_INLINE f32 scale2(f32 p, f32 y) {
  std::int32_t a, b;
  std::memcpy(&a, &p, 4);
  std::memcpy(&b, &y, 4);
  a += static_cast<std::int32_t>(static_cast<std::uint32_t>(b) << 23);
  std::memcpy(&p, &a, 4);
  return p;
}
TRAITCORE_INLINE void add_rounded(std::int32_t* p, f32 v) {
  *p += v == v ? static_cast<std::int32_t>(v + (v < 0 ? -0.5f : 0.5f)) : 0;
}
TRAITCORE_INLINE i32 set1_int(std::int32_t x) { return x; }
TRAITCORE_INLINE f32 floats_of(i32 v) { return static_cast<float>(v); }
TRAITCORE_INLINE f32 floats_of(const std::int32_t* p) { return static_cast<float>(*p); }
TRAITCORE_INLINE i32 add_products(i32 sum, const std::uint8_t* codes, const std::int8_t* four) {
  return sum + codes[0] * four[0] + codes[1] * four[1] + codes[2] * four[2] + codes[3] * four[3];
}
#endif
#if TRAITCORE_LANES <= 4
TRAITCORE_INLINE f32 fma(f32 a, f32 b, f32 c) { return a * b + c; }
TRAITCORE_INLINE f64 fma(f64 a, f64 b, f64 c) { return a * b + c; }
TRAITCORE_INLINE f32 reciprocal(f32 x) { return set1(1.0f) / x; }
#endif

inline constexpr int kF32Lanes = TRAITCORE_LANES, kF64Lanes = sizeof(f64) / sizeof(double);

template <int N, class T>
TRAITCORE_INLINE T sum_by_halves(T (&lanes)[N]) {
#pragma GCC unroll 4
  for (int half = N / 2; half; half /= 2)
#pragma GCC unroll 8
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  return lanes[0];
}
TRAITCORE_INLINE double sum(f64 v) {
  double lanes[kF64Lanes];
  store(lanes, v);
  return sum_by_halves(lanes);
}
#if TRAITCORE_LANES == 16
TRAITCORE_INLINE float sum(f32 v) {
  float lanes[kF32Lanes];
  store(lanes, v);
  return sum_by_halves(lanes);
}
#endif
