// What top-k keeps of each query: its best rows so far, and what a float32 score must exceed to be looked at.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "simd/memory.hpp"
#include "topk_distance.hpp"

namespace traitcore {

/// score(query, row) = scale[row] * <query, vectors[row]> + bias[row]; a bias of -infinity hides a row. Where
/// `euclidean` is set the score is the distance instead; the scale must be 1 and the bias `euclidean_biases`.
struct TopKBlock {
  const float* queries;           ///< (n_queries, width), row-major
  std::size_t n_queries;
  const float* vectors;           ///< (n_rows, width), row-major
  std::size_t width;
  std::size_t begin, end;         ///< rows to search
  const float* scale;             ///< (n_rows,)
  const float* bias;              ///< (n_rows,)
  const std::int64_t* excluded;   ///< rows, rising within each query
  const std::int64_t* first;      ///< (n_queries + 1,) where a query's rows begin in `excluded`; null: none
  std::size_t k;
  bool euclidean = false;
};

/// Best first, ties by row; row -1 and score NaN where fewer than k rows qualify.
struct TopKOutput {
  float* scores;       ///< (n_queries, k)
  std::int64_t* rows;  ///< (n_queries, k)
};

/// |row|^2 in double of each of n rows; no overflow or underflow for any floats.
inline void squared_norms(const float* vectors, std::size_t n, std::size_t width, double* out) {
  for (std::size_t i = 0; i < n; ++i) {
    constexpr std::size_t kParts = 8;
    double part[kParts] = {};
    const float* row = vectors + i * width;
    std::size_t j = 0;
    for (; j + kParts <= width; j += kParts)
      for (std::size_t p = 0; p < kParts; ++p) part[p] += static_cast<double>(row[j + p]) * row[j + p];
    for (std::size_t p = 0; j < width; ++p, ++j) part[p] += static_cast<double>(row[j]) * row[j];
    out[i] = ((part[0] + part[4]) + (part[2] + part[6])) + ((part[1] + part[5]) + (part[3] + part[7]));
  }
}

/// The biases of a euclidean search, of the rows' squared norms.
inline void euclidean_biases(const double* squared, std::size_t n, std::size_t width, float* out) {
  const detail::DistanceBounds bounds(width);
  for (std::size_t i = 0; i < n; ++i) out[i] = bounds.row_bias(squared[i]);
}

namespace detail {

struct ScoredRow {
  float score;
  std::int64_t row;
};

struct MeasuredRow {
  SquaredDistance distance;
  std::int64_t row;
};

/// Does `a` stand behind `b` in the answer?
struct LowerScore {
  bool operator()(const ScoredRow& a, const ScoredRow& b) const {
    return a.score < b.score || (a.score == b.score && a.row > b.row);
  }
};

/// The same of distances from a query; where the measured ones are too near to tell, they are compared exactly.
struct Farther {
  const TopKBlock* block;
  const float* query;
  bool operator()(const MeasuredRow& a, const MeasuredRow& b) const {
    const double gap = a.distance.value - b.distance.value, error = a.distance.error + b.distance.error;
    if (gap > error) return true;
    if (gap < -error) return false;
    if (error == 0.0) return a.row > b.row;
    const auto at = [&](std::int64_t row) { return block->vectors + static_cast<std::size_t>(row) * block->width; };
    const int order = compare_distances(query, at(a.row), at(b.row), block->width);
    return order > 0 || (order == 0 && a.row > b.row);
  }
};

/// Put an entry in place of the root of a heap of n, whose root is the worst.
template <class Entry, class Worse>
void sink(Entry* heap, std::size_t n, const Entry& entry, const Worse& worse) {
  std::size_t i = 0;
  for (;;) {
    std::size_t child = 2 * i + 1;
    if (child >= n) break;
    if (child + 1 < n && worse(heap[child + 1], heap[child])) ++child;
    if (!worse(heap[child], entry)) break;
    heap[i] = heap[child];
    i = child;
  }
  heap[i] = entry;
}

/// Keep an entry among the best k, where it is one of them.
template <class Entry, class Worse>
void keep(Entry* heap, std::size_t& n, std::size_t k, const Entry& entry, const Worse& worse) {
  if (n == k) {
    if (worse(heap[0], entry)) sink(heap, n, entry, worse);
    return;
  }
  std::size_t i = n++;
  for (; i > 0 && worse(entry, heap[(i - 1) / 2]); i = (i - 1) / 2) heap[i] = heap[(i - 1) / 2];
  heap[i] = entry;
}

/// Heap to best-first order.
template <class Entry, class Worse>
void sort_heap(Entry* heap, std::size_t n, const Worse& worse) {
  for (; n > 1; --n) {
    const Entry last = heap[n - 1];
    heap[n - 1] = heap[0];
    sink(heap, n - 1, last, worse);
  }
}

/// The k best of each of up to 32 queries, as heaps whose root is the worst: least key, then largest row.
struct TopKLane {
  static constexpr int kMax = 32;
  alignas(64) float threshold[kMax];  // scores at or below it are dropped; +infinity in lanes without a query
  const TopKBlock* block;
  const DistanceBounds* bounds;
  bool by_difference = false;   // the tiles sum (query - row)^2, not query * row
  std::size_t queries = 0;      // lanes in use
  std::size_t measured = 0;     // distances
  std::size_t pairs = 0;        // queries x rows seen
  ScoredRow* scored[kMax];
  MeasuredRow* near[kMax];      // of a euclidean search
  std::size_t filled[kMax];
  std::size_t query[kMax];
  double squared_norm[kMax];

  const float* row_of(std::int64_t row) const { return block->vectors + static_cast<std::size_t>(row) * block->width; }
  Farther farther(int lane) const { return {block, block->queries + query[lane] * block->width}; }

  bool is_excluded(std::size_t q, std::int64_t row) const {
    if (!block->first) return false;
    std::int64_t low = block->first[q], high = block->first[q + 1];
    while (low < high) {
      const std::int64_t middle = low + (high - low) / 2;
      if (block->excluded[middle] < row) low = middle + 1;
      else high = middle;
    }
    return low < block->first[q + 1] && block->excluded[low] == row;
  }

  // Out of line: with its body in the tiles' loops their sums don't stay in registers.
  TRAITCORE_NOINLINE void offer(int lane, float score, std::int64_t row) {
    // The threshold may have risen since the tile compared: rows of one tile are offered one by one.
    if (block->euclidean) return offer_distance(lane, score, row);
    if (!(score > threshold[lane]) || is_excluded(query[lane], row)) return;
    keep(scored[lane], filled[lane], block->k, {score, row}, LowerScore{});
    if (filled[lane] == block->k) threshold[lane] = scored[lane][0].score;
  }

  void offer_distance(int lane, float score, std::int64_t row) {
    // Of large numbers the score may be NaN; the row is measured like any that isn't ruled out.
    if (score <= threshold[lane] || block->bias[row] == -std::numeric_limits<float>::infinity()) return;
    const Farther worse = farther(lane);
    const float* vector = row_of(row);
    // A copy of the k-th best row is as near, and later. Tables may hold one vector (zeros) many thousand times.
    if (filled[lane] == block->k) {
      const std::int64_t root = near[lane][0].row;
      if (block->bias[row] == block->bias[root] &&  // equal norms, the cheaper test
          std::memcmp(vector, row_of(root), block->width * sizeof(float)) == 0)
        return;
    }
    if (is_excluded(query[lane], row)) return;
    keep(near[lane], filled[lane], block->k, {squared_distance(worse.query, vector, block->width), row}, worse);
    ++measured;
    if (filled[lane] == block->k) set_distance_threshold(lane);
  }

  void set_distance_threshold(int lane) {
    const bool full = filled[lane] == block->k;
    if (full && near[lane][0].distance.value == 0.0) {  // later rows can be as near, but not nearer
      threshold[lane] = std::numeric_limits<float>::infinity();
      return;
    }
    const SquaredDistance worst = full ? near[lane][0].distance : SquaredDistance{};
    const double far = full ? worst.value + worst.error : std::numeric_limits<double>::infinity();
    threshold[lane] = by_difference ? bounds->by_difference(far) : bounds->by_product(squared_norm[lane], far);
  }

  /// Count rows that all lanes have seen. Where products rule out too few (clouds far from the origin, neighbours nearer
  /// than |q|^2 resolves) the tiles go on by differences, which cost up to twice as much and resolve all. On ordinary
  /// data about k (1 + log(rows / k)) distances of a query are measured; one costs as much as some 70 to 500 pairs.
  void count(std::size_t rows) {
    pairs += rows * queries;
    if (!block->euclidean || by_difference || measured < pairs / 256 + 16 * queries * block->k) return;
    by_difference = true;
    for (int lane = 0; lane < static_cast<int>(queries); ++lane) set_distance_threshold(lane);
  }

  void sort(int lane) {
    if (block->euclidean) sort_heap(near[lane], filled[lane], farther(lane));
    else sort_heap(scored[lane], filled[lane], LowerScore{});
  }
};

/// Queries packed by column for broadcasting rows against them, and their heaps.
class TopKScratch {
 public:
  /// `tile`: queries of a tile, which is twice the level's width.
  TopKScratch(const TopKBlock& block, std::size_t tile)
      : block_(block),
        bounds_(block.width),
        tile_(tile),
        room_(std::min(block.k, block.end > block.begin ? block.end - block.begin : 0)),
        packed_((block.n_queries + tile - 1) / tile * tile * block.width),
        scored_(block.euclidean ? 0 : block.n_queries * room_),
        near_(block.euclidean ? block.n_queries * room_ : 0),
        lanes_((block.n_queries + tile - 1) / tile) {
    for (std::size_t t = 0; t < tiles(); ++t) {
      TopKLane& lanes = lanes_[t];
      lanes.block = &block_;
      lanes.bounds = &bounds_;
      for (std::size_t lane = 0; lane < TopKLane::kMax; ++lane) prepare(lanes, t, lane);
    }
  }
  TopKScratch(const TopKScratch&) = delete;  // its lanes point into it
  TopKScratch& operator=(const TopKScratch&) = delete;

  std::size_t tiles() const { return lanes_.size(); }
  const float* packed(std::size_t t) { return packed_.data() + t * tile_ * block_.width; }
  TopKLane* lanes(std::size_t t) { return &lanes_[t]; }
  const TopKLane& lanes_of(std::size_t q) const { return lanes_[q / tile_]; }
  int lane_of(std::size_t q) const { return static_cast<int>(q % tile_); }
  const TopKBlock& block() const { return block_; }
  void sort() {
    for (std::size_t q = 0; q < block_.n_queries && block_.k > 0; ++q) lanes_[q / tile_].sort(lane_of(q));
  }

 private:
  void prepare(TopKLane& lanes, std::size_t t, std::size_t lane) {
    const std::size_t q = t * tile_ + lane;
    const bool used = lane < tile_ && q < block_.n_queries && block_.k > 0;
    lanes.threshold[lane] = (used ? -1.0f : 1.0f) * std::numeric_limits<float>::infinity();
    lanes.query[lane] = q;
    lanes.filled[lane] = 0;
    if (!used) return;
    ++lanes.queries;
    if (block_.euclidean) lanes.near[lane] = near_.data() + q * room_;
    else lanes.scored[lane] = scored_.data() + q * room_;
    const float* query = block_.queries + q * block_.width;
    for (std::size_t j = 0; j < block_.width; ++j) packed_.data()[t * tile_ * block_.width + j * tile_ + lane] = query[j];
    if (!block_.euclidean) return;
    squared_norms(query, 1, block_.width, &lanes.squared_norm[lane]);
    lanes.set_distance_threshold(static_cast<int>(lane));
  }
  TopKBlock block_;
  DistanceBounds bounds_;
  std::size_t tile_, room_;
  AlignedBuffer<float> packed_;  // so that no load is split
  std::vector<ScoredRow> scored_;
  std::vector<MeasuredRow> near_;
  std::vector<TopKLane> lanes_;
};

inline float shown_score(const ScoredRow& entry, double&) { return entry.score; }

/// A distance in float32; `farthest` is the largest square so far, for measured ones may be out of order by a rounding.
inline float shown_score(const MeasuredRow& entry, double& farthest) {
  farthest = std::max(farthest, entry.distance.value);
  const double distance = std::sqrt(farthest);
  return distance < 0x1p128 ? static_cast<float>(distance) : std::numeric_limits<float>::infinity();
}

/// The best k of several sorted lists of the entries of one query.
template <class Entry, class Worse>
void merge(const std::vector<const Entry*>& lists, const std::vector<std::size_t>& lengths, const Worse& worse,
           std::size_t k, float* scores, std::int64_t* rows) {
  std::vector<std::size_t> at(lists.size(), 0);
  double farthest = 0.0;
  for (std::size_t i = 0; i < k; ++i) {
    std::size_t best = lists.size();
    for (std::size_t p = 0; p < lists.size(); ++p) {
      if (at[p] == lengths[p]) continue;
      if (best == lists.size() || worse(lists[best][at[best]], lists[p][at[p]])) best = p;
    }
    const bool found = best < lists.size();
    scores[i] = found ? shown_score(lists[best][at[best]], farthest) : std::numeric_limits<float>::quiet_NaN();
    rows[i] = found ? lists[best][at[best]++].row : -1;
  }
}

/// The best k of each query among the sorted entries of several scratches of one block.
inline void write_top_k(const std::vector<const TopKScratch*>& parts, TopKOutput out) {
  const TopKBlock& block = parts[0]->block();
  std::vector<const ScoredRow*> scored(parts.size());
  std::vector<const MeasuredRow*> near(parts.size());
  std::vector<std::size_t> lengths(parts.size());
  for (std::size_t q = 0; q < block.n_queries && block.k > 0; ++q) {
    const int lane = parts[0]->lane_of(q);
    for (std::size_t p = 0; p < parts.size(); ++p) {
      const TopKLane& lanes = parts[p]->lanes_of(q);
      lengths[p] = lanes.filled[lane];
      if (block.euclidean) near[p] = lanes.near[lane];
      else scored[p] = lanes.scored[lane];
    }
    float* scores = out.scores + q * block.k;
    std::int64_t* rows = out.rows + q * block.k;
    if (block.euclidean) merge(near, lengths, parts[0]->lanes_of(q).farther(lane), block.k, scores, rows);
    else merge(scored, lengths, LowerScore{}, block.k, scores, rows);
  }
}

}  // namespace detail

}  // namespace traitcore
