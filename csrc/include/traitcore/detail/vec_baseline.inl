// Four floats in registers that every x86-64 and aarch64 has (SSE2, NEON), through GCC's and Clang's vector types; one
// float elsewhere. Under TRAITCORE_RELAXED_ATOMICS every access to a shared row is a relaxed atomic: no data race in
// the language's sense, at a price in speed.
#if defined(__GNUC__) || defined(__clang__)
using vf = float __attribute__((vector_size(16)));
using vi = std::int32_t __attribute__((vector_size(16)));
inline constexpr int kWidth = 4;

TRAITCORE_INLINE vf set1(float x) { return vf{x, x, x, x}; }
#if defined(TRAITCORE_RELAXED_ATOMICS)
TRAITCORE_INLINE vf load(const float* p) {
  vf v;
  for (int i = 0; i < 4; ++i) {
    float x;
    __atomic_load(p + i, &x, __ATOMIC_RELAXED);
    v[i] = x;
  }
  return v;
}
TRAITCORE_INLINE void store(float* p, vf v) {
  for (int i = 0; i < 4; ++i) {
    float x = v[i];
    __atomic_store(p + i, &x, __ATOMIC_RELAXED);
  }
}
#else
TRAITCORE_INLINE vf load(const float* p) {
  vf v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
TRAITCORE_INLINE void store(float* p, vf v) { __builtin_memcpy(p, &v, sizeof v); }
#endif
TRAITCORE_INLINE float sum(vf v) { return (v[0] + v[2]) + (v[1] + v[3]); }
TRAITCORE_INLINE vf clamp(vf x, float bound) {
  const vf high = set1(bound), low = set1(-bound);
  const vi over = x > high, under = x < low;
  x = (vf)(((vi)high & over) | ((vi)x & ~over));
  return (vf)(((vi)low & under) | ((vi)x & ~under));
}
/// p * 2^r, with r = y - 1.5 * 2^23 read from y's low bits.
TRAITCORE_INLINE vf scale2(vf p, vf y) { return (vf)((vi)p + ((vi)y << 23)); }
#else
using vf = float;
inline constexpr int kWidth = 1;

TRAITCORE_INLINE vf set1(float x) { return x; }
TRAITCORE_INLINE vf load(const float* p) { return *p; }
TRAITCORE_INLINE void store(float* p, vf v) { *p = v; }
TRAITCORE_INLINE float sum(vf v) { return v; }
TRAITCORE_INLINE vf clamp(vf x, float bound) { return x > bound ? bound : x < -bound ? -bound : x; }
TRAITCORE_INLINE vf scale2(vf p, vf y) {
  std::int32_t a, b;
  std::memcpy(&a, &p, 4);
  std::memcpy(&b, &y, 4);
  a += static_cast<std::int32_t>(static_cast<std::uint32_t>(b) << 23);
  std::memcpy(&p, &a, 4);
  return p;
}
#endif
TRAITCORE_INLINE vf fma(vf a, vf b, vf c) { return a * b + c; }
TRAITCORE_INLINE vf reciprocal(vf x) { return set1(1.0f) / x; }
