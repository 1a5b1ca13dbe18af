// Sixteen floats, AVX-512.
using vf = __m512;
inline constexpr int kWidth = 16;
// Intrinsics are called with a full mask where their plain form starts from an "undefined" register, which gcc 12 takes
// for a use of an uninitialised one.
inline constexpr __mmask16 kAll = 0xFFFF;

TRAITCORE_INLINE vf set1(float x) { return _mm512_set1_ps(x); }
TRAITCORE_INLINE vf load(const float* p) { return _mm512_loadu_ps(p); }
TRAITCORE_INLINE void store(float* p, vf v) { _mm512_storeu_ps(p, v); }
// x last: min and max give their second operand when one is NaN, and a NaN must stay one.
TRAITCORE_INLINE vf clamp(vf x, float bound) {
  return _mm512_maskz_max_ps(kAll, set1(-bound), _mm512_maskz_min_ps(kAll, set1(bound), x));
}
/// p * 2^r, with r = y - 1.5 * 2^23 read from y's low bits.
TRAITCORE_INLINE vf scale2(vf p, vf y) {
  return _mm512_castsi512_ps(
      _mm512_maskz_add_epi32(kAll, _mm512_castps_si512(p), _mm512_maskz_slli_epi32(kAll, _mm512_castps_si512(y), 23)));
}
TRAITCORE_INLINE vf fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
TRAITCORE_INLINE vf reciprocal(vf x) {  // one Newton step from 14 bits; shorter than a division
  const vf r = _mm512_maskz_rcp14_ps(kAll, x);
  return _mm512_mul_ps(r, _mm512_fnmadd_ps(x, r, set1(2.0f)));
}
