// Compiles a kernel for every instruction set. Inside its namespace a header says
//
//     #define TRAITCORE_KERNEL <traitcore/detail/products.inl>
//     #include "simd/foreach_level.hpp"
//
// and has each function f of products.inl as baseline::f, avx2::f and avx512::f; TRAITCORE_AT_LEVEL(level, f(x)) calls
// one of them. In a kernel TRAITCORE_LANES is the number of floats in a vector (16, 8, 4, or 1 without vector types),
// and the types and functions of vectors.hpp are at hand, as are constants of the header's namespace.
//
// A kernel includes nothing but other .inl files, and uses no lambdas and no std:: templates: they may be instantiated
// outside of their target region. Standard headers come before: their inline functions, compiled for AVX-512, might be
// the ones that the linker picks for every caller. (No include guard, after Highway's foreach_target.h.)
#define TRAITCORE_LANES (TRAITCORE_VECTORS ? 4 : 1)
namespace baseline {
using namespace traitcore::simd::baseline;
#include TRAITCORE_KERNEL
}  // namespace baseline
#undef TRAITCORE_LANES

#if TRAITCORE_X86
#define TRAITCORE_LANES 8
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
namespace avx2 {
using namespace traitcore::simd::avx2;
#include TRAITCORE_KERNEL
}  // namespace avx2
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#undef TRAITCORE_LANES

#define TRAITCORE_LANES 16
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,avx512f,avx512dq,avx512bw,avx512vl"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,avx512f,avx512dq,avx512bw,avx512vl")
#endif
namespace avx512 {
using namespace traitcore::simd::avx512;
#include TRAITCORE_KERNEL
}  // namespace avx512
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#undef TRAITCORE_LANES
#endif
#undef TRAITCORE_KERNEL
