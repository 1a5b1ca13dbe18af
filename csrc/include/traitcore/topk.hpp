// Exact top-k by inner product or euclidean distance: scores and selection in one pass, no matrix of scores.
//
// The scores of a tile, 2 vectors of queries by several rows, are summed in registers and compared with each query's
// k-th best so far, which drops nearly all of them. The distances of the others are computed in double (topk_distance.hpp).
#pragma once
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "parallel.hpp"
#include "simd/memory.hpp"
#include "simd/vectors.hpp"
#include "topk_heap.hpp"

namespace traitcore {

namespace detail {

// Rows of about 256 KiB: they stay in the second-level cache while all queries pass over them.
inline std::size_t rows_in_cache(std::size_t width) {
  const std::size_t rows = (std::size_t{1} << 16) / (width ? width : 1);
  return rows < 96 ? 96 : rows / 96 * 96;  // a multiple of every level's tiles
}

namespace topk {
#define TRAITCORE_KERNEL <traitcore/detail/topk.inl>
#include "simd/foreach_level.hpp"

inline std::size_t tile_queries() {
  const SimdLevel level = simd_level();
  return TRAITCORE_AT_LEVEL(level, kTileQueries);
}

inline void search(const TopKBlock& block, TopKScratch& scratch) {
  const SimdLevel level = simd_level();
  TRAITCORE_AT_LEVEL(level, search(block, scratch));
}
}  // namespace topk

}  // namespace detail

/// Search rows [begin, end) for every query of the block; one thread, no allocation that grows with the rows.
/// Each score is summed in the same order whatever the block, so cutting queries or rows changes no result.
/// `poll`, if any, is called some ten times a second; it may throw to end the search.
inline void search_top_k(const TopKBlock& block, const TopKOutput& out, const std::function<void()>& poll = {}) {
  detail::TopKScratch scratch(block, detail::topk::tile_queries());
  const std::size_t whole = detail::rows_in_cache(block.width);
  const std::size_t tenth = (std::size_t{1} << 32) / (std::max<std::size_t>(block.n_queries * block.width, 1) * whole);
  const std::size_t step = std::max<std::size_t>(tenth, 1) * whole;
  for (TopKBlock part = block; part.begin < block.end; part.begin = part.end) {
    part.end = std::min(part.begin + step, block.end);
    detail::topk::search(part, scratch);
    if (poll && part.end < block.end) poll();
  }
  scratch.sort();
  detail::write_top_k({&scratch}, out);
}

/// The same by `workers` threads, the calling one among them, that take about `chunk` floats of rows at a time: for few
/// queries, which are limited by the memory's bandwidth. A second thread may then gain little, but costs nothing, because
/// no thread waits for work assigned to a slower one.
inline void search_top_k(const TopKBlock& block, const TopKOutput& out, std::size_t workers,
                         const std::function<void()>& poll = {}, std::size_t chunk = std::size_t{1} << 18) {
  const std::size_t width = block.width ? block.width : 1, least = 96;  // a multiple of every level's tile
  const std::size_t step = chunk / width < least ? least : chunk / width / least * least;
  const std::size_t chunks = block.end > block.begin ? (block.end - block.begin + step - 1) / step : 0;
  workers = std::min(workers, chunks);
  if (workers <= 1) return search_top_k(block, out, poll);
  std::vector<std::unique_ptr<detail::TopKScratch>> scratches(workers);
  std::atomic<std::size_t> next{0};
  const auto caller = std::this_thread::get_id();
  auto polled = std::chrono::steady_clock::now();
  const auto look = [&] {  // in the calling thread alone
    const auto now = std::chrono::steady_clock::now();
    if (now - polled < std::chrono::milliseconds(50)) return;
    polled = now;
    try {
      poll();
    } catch (...) {
      next = chunks;
      throw;
    }
  };
  for_each_task(static_cast<std::int64_t>(workers), static_cast<int>(workers), [&](std::int64_t w) {
    auto own = std::make_unique<detail::TopKScratch>(block, detail::topk::tile_queries());
    for (std::size_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < chunks;) {
      TopKBlock part = block;
      part.begin = block.begin + i * step;
      part.end = std::min(part.begin + step, block.end);
      detail::topk::search(part, *own);
      if (poll && std::this_thread::get_id() == caller) look();
    }
    own->sort();
    scratches[static_cast<std::size_t>(w)] = std::move(own);
  });
  std::vector<const detail::TopKScratch*> parts;
  for (const auto& one : scratches) parts.push_back(one.get());
  detail::write_top_k(parts, out);
}

}  // namespace traitcore
