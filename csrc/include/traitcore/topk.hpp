// Exact top-k by inner product or euclidean distance: scores and selection in one pass, no matrix of scores.
//
// A tile of 2 vectors of queries x several rows is kept in registers; what leaves it is compared with each query's k-th
// best so far and almost always dropped there; of distances the rest is measured (topk_distance.hpp). Each level has its own namespace, so that no instantiation is shared.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "parallel.hpp"
#include "simd/level.hpp"
#include "topk_heap.hpp"

// Keeps the compiler from folding pointers into one base with twelve index registers, which spill.
#if defined(__GNUC__) || defined(__clang__)
#define TK_OPAQUE(pointer) __asm__("" : "+r"(pointer))
#else
#define TK_OPAQUE(pointer) (void)(pointer)
#endif

#if defined(__GNUC__) || defined(__clang__)
#define TK_PREFETCH(pointer) __builtin_prefetch(pointer)
#else
#define TK_PREFETCH(pointer) (void)(pointer)
#endif

namespace traitcore {

namespace detail {

template <int Width>
inline constexpr std::size_t kQueries = 2 * Width;

// Rows of about 256 KiB: they stay in the second-level cache while all queries pass over them.
inline std::size_t rows_in_cache(std::size_t width) {
  const std::size_t rows = (std::size_t{1} << 16) / (width ? width : 1);
  return rows < 96 ? 96 : rows / 96 * 96;  // a multiple of every level's tiles
}

namespace topk_baseline {
#if defined(__SSE2__)
using Four = __m128;
static inline Four load(const float* p) { return _mm_loadu_ps(p); }
static inline Four set1(float a) { return _mm_set1_ps(a); }
static inline Four fma(Four a, Four b, Four c) { return _mm_add_ps(_mm_mul_ps(a, b), c); }
static inline void store(float* p, Four a) { _mm_storeu_ps(p, a); }
static inline Four sub(Four a, Four b) { return _mm_sub_ps(a, b); }
static inline unsigned passes(Four a, Four b) { return static_cast<unsigned>(_mm_movemask_ps(_mm_cmpnle_ps(a, b))); }
static inline void rows4(Four& x0, Four& x1, Four& x2, Four& x3, const float* p, std::size_t stride) {
  x0 = load(p), x1 = load(p + stride), x2 = load(p + 2 * stride), x3 = load(p + 3 * stride);
  _MM_TRANSPOSE4_PS(x0, x1, x2, x3);
}
#else
struct Four {
  float x[4];
};
static inline Four load(const float* p) { return {{p[0], p[1], p[2], p[3]}}; }
static inline Four set1(float a) { return {{a, a, a, a}}; }
static inline Four fma(Four a, Four b, Four c) {
  for (int i = 0; i < 4; ++i) c.x[i] += a.x[i] * b.x[i];
  return c;
}
static inline void store(float* p, Four a) {
  for (int i = 0; i < 4; ++i) p[i] = a.x[i];
}
static inline Four sub(Four a, Four b) {
  for (int i = 0; i < 4; ++i) a.x[i] -= b.x[i];
  return a;
}
static inline unsigned passes(Four a, Four b) {
  unsigned bits = 0;
  for (int i = 0; i < 4; ++i) bits |= static_cast<unsigned>(!(a.x[i] <= b.x[i])) << i;
  return bits;
}
static inline void rows4(Four& x0, Four& x1, Four& x2, Four& x3, const float* p, std::size_t stride) {
  for (int i = 0; i < 4; ++i, p += stride) x0.x[i] = p[0], x1.x[i] = p[1], x2.x[i] = p[2], x3.x[i] = p[3];
}
#endif
#define TK_WIDTH 4
#define TK_ROWS 4
#define TK_FEW 4
#define TK_VEC Four
#define TK_LOAD load
#define TK_SET1 set1
#define TK_ZERO() set1(0.0f)
#define TK_FMA fma
#define TK_STORE store
#define TK_SUB sub
#define TK_PASSES passes
#include "detail/topk.inl"
#undef TK_WIDTH
#undef TK_ROWS
#undef TK_FEW
#undef TK_VEC
#undef TK_LOAD
#undef TK_SET1
#undef TK_ZERO
#undef TK_FMA
#undef TK_STORE
#undef TK_SUB
#undef TK_PASSES
}  // namespace topk_baseline

#if TRAITCORE_X86
TRAITCORE_BEGIN_AVX2
namespace topk_avx2 {
static TRAITCORE_INLINE __m256 pieces(const float* p, std::size_t stride) {
  return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(p + 4 * stride), 1);
}
static TRAITCORE_INLINE void rows4(__m256& x0, __m256& x1, __m256& x2, __m256& x3, const float* p, std::size_t stride) {
  const __m256 a = pieces(p, stride), b = pieces(p + stride, stride);
  const __m256 c = pieces(p + 2 * stride, stride), d = pieces(p + 3 * stride, stride);
  const __m256d ab = _mm256_castps_pd(_mm256_unpacklo_ps(a, b)), AB = _mm256_castps_pd(_mm256_unpackhi_ps(a, b));
  const __m256d cd = _mm256_castps_pd(_mm256_unpacklo_ps(c, d)), CD = _mm256_castps_pd(_mm256_unpackhi_ps(c, d));
  x0 = _mm256_castpd_ps(_mm256_unpacklo_pd(ab, cd)), x1 = _mm256_castpd_ps(_mm256_unpackhi_pd(ab, cd));
  x2 = _mm256_castpd_ps(_mm256_unpacklo_pd(AB, CD)), x3 = _mm256_castpd_ps(_mm256_unpackhi_pd(AB, CD));
}
#define TK_WIDTH 8
#define TK_ROWS 6
#define TK_FEW 16
#define TK_VEC __m256
#define TK_LOAD _mm256_loadu_ps
#define TK_SET1 _mm256_set1_ps
#define TK_ZERO _mm256_setzero_ps
#define TK_FMA _mm256_fmadd_ps
#define TK_STORE _mm256_storeu_ps
#define TK_SUB _mm256_sub_ps
#define TK_PASSES(a, b) static_cast<unsigned>(_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_NLE_UQ)))
#include "detail/topk.inl"
#undef TK_WIDTH
#undef TK_ROWS
#undef TK_FEW
#undef TK_VEC
#undef TK_LOAD
#undef TK_SET1
#undef TK_ZERO
#undef TK_FMA
#undef TK_STORE
#undef TK_SUB
#undef TK_PASSES
}  // namespace topk_avx2
TRAITCORE_END_TARGET

TRAITCORE_BEGIN_AVX512
namespace topk_avx512 {
// The 4 floats at rows 0, 4, 8 and 12 from p, side by side.
static TRAITCORE_INLINE __m512 pieces(const float* p, std::size_t stride) {
  __m512 x = _mm512_maskz_broadcast_f32x4(0xFFFF, _mm_loadu_ps(p));
  x = _mm512_mask_broadcast_f32x4(x, 0x00F0, _mm_loadu_ps(p + 4 * stride));
  x = _mm512_mask_broadcast_f32x4(x, 0x0F00, _mm_loadu_ps(p + 8 * stride));
  return _mm512_mask_broadcast_f32x4(x, 0xF000, _mm_loadu_ps(p + 12 * stride));
}
static TRAITCORE_INLINE void rows4(__m512& x0, __m512& x1, __m512& x2, __m512& x3, const float* p, std::size_t stride) {
  constexpr __mmask16 kAll = 0xFFFF;
  constexpr __mmask8 kAll8 = 0xFF;
  const __m512 a = pieces(p, stride), b = pieces(p + stride, stride);
  const __m512 c = pieces(p + 2 * stride, stride), d = pieces(p + 3 * stride, stride);
  const __m512d ab = _mm512_castps_pd(_mm512_maskz_unpacklo_ps(kAll, a, b));
  const __m512d AB = _mm512_castps_pd(_mm512_maskz_unpackhi_ps(kAll, a, b));
  const __m512d cd = _mm512_castps_pd(_mm512_maskz_unpacklo_ps(kAll, c, d));
  const __m512d CD = _mm512_castps_pd(_mm512_maskz_unpackhi_ps(kAll, c, d));
  x0 = _mm512_castpd_ps(_mm512_maskz_unpacklo_pd(kAll8, ab, cd));
  x1 = _mm512_castpd_ps(_mm512_maskz_unpackhi_pd(kAll8, ab, cd));
  x2 = _mm512_castpd_ps(_mm512_maskz_unpacklo_pd(kAll8, AB, CD));
  x3 = _mm512_castpd_ps(_mm512_maskz_unpackhi_pd(kAll8, AB, CD));
}
#define TK_WIDTH 16
#define TK_ROWS 12
#define TK_FEW 16
#define TK_VEC __m512
#define TK_LOAD _mm512_loadu_ps
#define TK_SET1 _mm512_set1_ps
#define TK_ZERO _mm512_setzero_ps
#define TK_FMA _mm512_fmadd_ps
#define TK_STORE _mm512_storeu_ps
#define TK_SUB _mm512_sub_ps
#define TK_PASSES(a, b) static_cast<unsigned>(_mm512_cmp_ps_mask(a, b, _CMP_NLE_UQ))
#include "detail/topk.inl"
#undef TK_WIDTH
#undef TK_ROWS
#undef TK_FEW
#undef TK_VEC
#undef TK_LOAD
#undef TK_SET1
#undef TK_ZERO
#undef TK_FMA
#undef TK_STORE
#undef TK_SUB
#undef TK_PASSES
}  // namespace topk_avx512
TRAITCORE_END_TARGET
#endif

}  // namespace detail

namespace detail {

inline std::size_t topk_tile_queries() {
#if TRAITCORE_X86
  if (simd_level() == SimdLevel::avx512) return kQueries<16>;
  if (simd_level() == SimdLevel::avx2) return kQueries<8>;
#endif
  return kQueries<4>;
}

inline void topk_pass(const TopKBlock& block, TopKScratch& scratch) {
#if TRAITCORE_X86
  switch (simd_level()) {
    case SimdLevel::avx512: return topk_avx512::pass(block, scratch);
    case SimdLevel::avx2: return topk_avx2::pass(block, scratch);
    case SimdLevel::baseline: break;
  }
#endif
  topk_baseline::pass(block, scratch);
}

}  // namespace detail

/// Search rows [begin, end) for every query of the block; one thread, no allocation that grows with the rows.
/// Each score is summed in the same order whatever the block, so cutting queries or rows changes no result.
inline void search_top_k(const TopKBlock& block, const TopKOutput& out) {
  detail::TopKScratch scratch(block, detail::topk_tile_queries());
  detail::topk_pass(block, scratch);
  scratch.sort();
  detail::write_top_k({&scratch}, out);
}

/// The same by `workers` threads, the calling one among them, that take about `chunk` floats of rows at a time: for few
/// queries, where the rows are read as fast as the memory gives them. A second thread may then bring little or nothing;
/// handed out like this it costs nothing either, for nobody waits for a half that a late or slow thread has to do.
inline void search_top_k(const TopKBlock& block, const TopKOutput& out, std::size_t workers,
                         std::size_t chunk = std::size_t{1} << 18) {
  const std::size_t width = block.width ? block.width : 1, least = 96;  // a multiple of every level's tile
  const std::size_t step = chunk / width < least ? least : chunk / width / least * least;
  const std::size_t chunks = block.end > block.begin ? (block.end - block.begin + step - 1) / step : 0;
  workers = std::min(workers, chunks);
  if (workers <= 1) return search_top_k(block, out);
  std::vector<std::unique_ptr<detail::TopKScratch>> scratches(workers);
  std::atomic<std::size_t> next{0};
  for_each_task(static_cast<std::int64_t>(workers), static_cast<int>(workers), [&](std::int64_t w) {
    auto own = std::make_unique<detail::TopKScratch>(block, detail::topk_tile_queries());
    for (std::size_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < chunks;) {
      TopKBlock part = block;
      part.begin = block.begin + i * step;
      part.end = std::min(part.begin + step, block.end);
      detail::topk_pass(part, *own);
    }
    own->sort();
    scratches[static_cast<std::size_t>(w)] = std::move(own);
  });
  std::vector<const detail::TopKScratch*> parts;
  for (const auto& one : scratches) parts.push_back(one.get());
  detail::write_top_k(parts, out);
}

}  // namespace traitcore
