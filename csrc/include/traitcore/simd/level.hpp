// Which instruction set to run, found at run time. No build flags are needed: foreach_level.hpp compiles a kernel for
// every level.
#pragma once
#include <atomic>
#include <stdexcept>
#include <string>

#if (defined(__x86_64__) || defined(__i386__)) && (defined(__GNUC__) || defined(__clang__))
#define TRAITCORE_X86 1
#include <immintrin.h>
#else
#define TRAITCORE_X86 0
#endif

#if defined(__GNUC__) || defined(__clang__)
#define TRAITCORE_VECTORS 1  // the compiler has vector types
#define TRAITCORE_INLINE inline __attribute__((always_inline))
#define TRAITCORE_NOINLINE __attribute__((noinline))
#else
#define TRAITCORE_VECTORS 0
#define TRAITCORE_INLINE inline
#define TRAITCORE_NOINLINE
#endif

/// The call, or other expression, in the namespace of a level: baseline::f(x), avx2::f(x) or avx512::f(x).
#if TRAITCORE_X86
#define TRAITCORE_AT_LEVEL(level, ...)                            \
  ((level) == ::traitcore::SimdLevel::avx512 ? avx512::__VA_ARGS__ \
   : (level) == ::traitcore::SimdLevel::avx2 ? avx2::__VA_ARGS__   \
                                             : baseline::__VA_ARGS__)
#else
#define TRAITCORE_AT_LEVEL(level, ...) ((void)(level), baseline::__VA_ARGS__)
#endif

namespace traitcore {

/// FMA comes with AVX2 on every processor that has it but a few; the AVX-512 level asks for what every AVX-512 server
/// has (Skylake-X, Zen 4 and later).
enum class SimdLevel : int { baseline = 0, avx2 = 1, avx512 = 2 };

inline constexpr const char* simd_name(SimdLevel level) {
  return level == SimdLevel::avx512 ? "avx512" : level == SimdLevel::avx2 ? "avx2" : "baseline";
}

/// The best level this processor and operating system run.
inline SimdLevel detected_simd_level() {
#if TRAITCORE_X86
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
      return SimdLevel::avx512;
    return SimdLevel::avx2;
  }
#endif
  return SimdLevel::baseline;
}

namespace detail {
// The one piece of process-wide state in the core: the tests' override. -1: none.
inline std::atomic<int>& simd_override() {
  static std::atomic<int> level{-1};
  return level;
}
}  // namespace detail

/// The level kernels run at: the detected one, or the override.
inline SimdLevel simd_level() {
  const int forced = detail::simd_override().load(std::memory_order_relaxed);
  return forced < 0 ? detected_simd_level() : static_cast<SimdLevel>(forced);
}

/// Force a level, for tests and comparisons; std::invalid_argument where the machine lacks it.
inline void set_simd_level(SimdLevel level) {
  if (static_cast<int>(level) > static_cast<int>(detected_simd_level()))
    throw std::invalid_argument(std::string("this machine does not run simd level ") + simd_name(level));
  detail::simd_override().store(static_cast<int>(level), std::memory_order_relaxed);
}

/// Back to the detected level.
inline void reset_simd_level() { detail::simd_override().store(-1, std::memory_order_relaxed); }

}  // namespace traitcore
