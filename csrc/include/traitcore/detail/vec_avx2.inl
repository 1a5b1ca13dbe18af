// Eight floats, AVX2 with FMA.
using vf = __m256;
inline constexpr int kWidth = 8;

TRAITCORE_INLINE vf set1(float x) { return _mm256_set1_ps(x); }
TRAITCORE_INLINE vf load(const float* p) { return _mm256_loadu_ps(p); }
TRAITCORE_INLINE void store(float* p, vf v) { _mm256_storeu_ps(p, v); }
TRAITCORE_INLINE float sum(vf v) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}
// x last: min and max give their second operand when one is NaN, and a NaN must stay one.
TRAITCORE_INLINE vf clamp(vf x, float bound) {
  return _mm256_max_ps(set1(-bound), _mm256_min_ps(set1(bound), x));
}
/// p * 2^r, with r = y - 1.5 * 2^23 read from y's low bits.
TRAITCORE_INLINE vf scale2(vf p, vf y) {
  return _mm256_castsi256_ps(
      _mm256_add_epi32(_mm256_castps_si256(p), _mm256_slli_epi32(_mm256_castps_si256(y), 23)));
}
TRAITCORE_INLINE vf fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
TRAITCORE_INLINE vf reciprocal(vf x) { return _mm256_div_ps(set1(1.0f), x); }
