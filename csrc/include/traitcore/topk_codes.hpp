// Exact top-k of a single query that reads rows as 8-bit codes first: a quarter of the memory that floats take.
//
// A scan of the codes bounds every float32 score from both sides. Rows whose upper bound reaches the k-th best lower
// bound, a few more than k, are then searched by `search_top_k`: rows, scores and ties are those of a search of all.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "simd/memory.hpp"
#include "simd/vectors.hpp"
#include "topk.hpp"

namespace traitcore {

/// Rows as codes: vectors[i] is within `error` of step[i] * (codes - 128), by euclidean norm. Tiles of 16 rows hold four
/// columns of each row side by side, so that a lane sums a row.
class RowCodes {
 public:
  static constexpr std::size_t kRows = 16, kWidest = std::size_t{1} << 16;  // sums of products stay below 2^31

  /// vectors : (n_rows, width), finite, width at most kWidest.
  RowCodes(const float* vectors, std::size_t n_rows, std::size_t width)
      : rows_(n_rows),
        width_(width),
        codes_(tiles() * tile_bytes(), false),
        steps_(tiles() * kRows),
        errors_(tiles()),
        norms_(tiles()) {
    std::fill_n(codes_.data(), tiles() * tile_bytes(), std::uint8_t{128});
    for (std::size_t row = 0; row < rows_; ++row) encode(vectors + row * width_, row);
  }

  std::size_t rows() const { return rows_; }
  std::size_t width() const { return width_; }
  std::size_t tiles() const { return (rows_ + kRows - 1) / kRows; }
  std::size_t quads() const { return (width_ + 3) / 4; }
  const std::uint8_t* codes(std::size_t tile) const { return codes_.data() + tile * tile_bytes(); }
  const float* steps(std::size_t tile) const { return steps_.data() + tile * kRows; }
  /// At least the largest error, and the largest norm, of the tile's rows.
  float error(std::size_t tile) const { return errors_[tile]; }
  float norm(std::size_t tile) const { return norms_[tile]; }
  float longest() const { return longest_; }

 private:
  std::size_t tile_bytes() const { return quads() * 4 * kRows; }

  void encode(const float* row, std::size_t i) {
    const std::size_t tile = i / kRows;
    std::uint8_t* out = codes_.data() + tile * tile_bytes() + i % kRows * 4;
    float most = 0.0f;
    for (std::size_t j = 0; j < width_; ++j) most = std::max(most, std::fabs(row[j]));
    const float step = most / 127.0f;
    const double inverse = step > 0.0f ? 1.0 / step : 0.0;
    double error = 0.0, norm = 0.0;
    for (std::size_t j = 0; j < width_; ++j) {
      const double x = row[j], turned = x * inverse;
      const double code = static_cast<int>(std::max(-127.0, std::min(127.0, turned + (turned < 0 ? -0.5 : 0.5))));
      const double left = x - step * code;
      out[j / 4 * 4 * kRows + j % 4] = static_cast<std::uint8_t>(static_cast<int>(code) + 128);
      error += left * left;
      norm += x * x;
    }
    steps_[i] = step;
    errors_[tile] = std::max(errors_[tile], above(std::sqrt(error)));
    norms_[tile] = std::max(norms_[tile], above(std::sqrt(norm)));
    longest_ = std::max(longest_, norms_[tile]);
  }

  /// A float above x, though x was rounded a few times.
  static float above(double x) {
    return static_cast<float>(x * (1.0 + 0x1p-20)) + std::numeric_limits<float>::denorm_min();
  }

  std::size_t rows_, width_;
  AlignedBuffer<std::uint8_t> codes_;
  std::vector<float> steps_, errors_, norms_;
  float longest_ = 0.0f;
};

namespace detail {

/// A query as codes, and what bounds the scores. With the row v = s c + (at most e), the query q = t p + (at most f),
/// |q . v - s t (c . p)| <= e |q| + (|v| + e) f. A float32 sum of d products, in any order, fused or not, is within
/// g |q| |v| of q . v (topk_distance.hpp), and the bound itself, in float32, takes fewer than 8 roundings more.
class CodedQuery {
 public:
  float step = 0.0f;
  std::int32_t offset = 0;  // -128 * the codes' sum
  float per_error = 0.0f, per_norm = 0.0f, least = 0.0f;  // a product's error: per_error * e + per_norm * |v| + least

  CodedQuery(const float* query, std::size_t width) : codes_((width + 3) / 4 * 4) {
    double square = 0.0;
    for (std::size_t j = 0; j < width; ++j) square += static_cast<double>(query[j]) * query[j];
    norm_ = std::sqrt(square);
    if (!in_range()) return;
    // Instructions sum pairs of products in 16 bits: 255 * (|p0| + |p1|) must stay below 2^15, hence 127 + a rounding.
    float most = 0.0f;
    for (std::size_t j = 0; j < width; j += 2)
      most = std::max(most, std::fabs(query[j]) + (j + 1 < width ? std::fabs(query[j + 1]) : 0.0f));
    step = most / 127.0f;
    double left = 0.0;
    for (std::size_t j = 0; j < width; ++j) {
      const double x = query[j], code = std::round(x / step);
      codes_[j] = static_cast<std::int8_t>(code);
      offset -= 128 * static_cast<std::int32_t>(code);
      left += (x - step * code) * (x - step * code);
    }
    const double f = std::sqrt(left), u = 0x1p-24, d = static_cast<double>(width) + 16.0;
    const double reach = norm_ + f, spare = 1.0 + 0x1p-18;
    per_error = static_cast<float>(reach * spare);
    per_norm = static_cast<float>((f + reach * (d * u / (1.0 - d * u))) * spare);
    least = static_cast<float>(d * 0x1p-120);
  }

  const std::int8_t* codes() const { return codes_.data(); }
  /// Do the bounds hold: does nothing overflow, and nothing but products underflow?
  bool bounds(const RowCodes& rows) const { return in_range() && norm_ * rows.longest() < 0x1p100; }

 private:
  bool in_range() const { return norm_ > 0x1p-60 && norm_ < 0x1p100; }
  std::vector<std::int8_t> codes_;  // zeros past the width
  double norm_ = 0.0;
};

/// Rows that may be among the k best, by rising row, and the k-th best lower bound so far.
class CodedRows {
 public:
  float threshold = -std::numeric_limits<float>::infinity();  // rows whose upper bound is at or below it are dropped

  explicit CodedRows(std::size_t k) : k_(k), most_(4 * k + 1024) { best_.resize(k); }

  TRAITCORE_NOINLINE void offer(float lower, float upper, std::int64_t row) {
    if (upper <= threshold) return;  // the k rows found are better, or as good and before it
    if (found_.size() == most_) {
      drop();
      if (found_.size() > most_ / 2) many_ = true;
      if (many_) return;
    }
    found_.push_back({upper, row});
    if (!(lower > threshold)) return;  // NaN, too
    keep(best_.data(), filled_, k_, {lower, row}, LowerScore{});
    if (filled_ == k_) threshold = best_[0].score;
  }
  /// Whether so many rows were left that a search of all is quicker.
  bool many() const { return many_; }
  const std::vector<ScoredRow>& found() {
    drop();
    return found_;
  }

 private:
  void drop() {  // a row at the threshold may come before the one that set it
    found_.erase(std::remove_if(found_.begin(), found_.end(), [&](const ScoredRow& r) { return r.score < threshold; }),
                 found_.end());
  }
  std::size_t k_, most_, filled_ = 0;
  bool many_ = false;
  std::vector<ScoredRow> best_, found_;
};

namespace topk_codes {
#define TRAITCORE_KERNEL <traitcore/detail/topk_codes.inl>
#include "simd/foreach_level.hpp"

inline void scan(const RowCodes& rows, const CodedQuery& query, const TopKLane& lane, CodedRows& found) {
  const SimdLevel level = simd_level();
  TRAITCORE_AT_LEVEL(level, scan(rows, query, lane, found));
}
}  // namespace topk_codes
}  // namespace detail

/// `search_top_k` of a single query, the same bytes; `rows` are the codes of block.vectors, scales are >= 0. The rows in
/// block.excluded are not left out but have the biases `other`, where it is given.
inline void search_top_k(const TopKBlock& block, const RowCodes& rows, const float* other, const TopKOutput& out,
                         const std::function<void()>& poll = {}) {
  const detail::CodedQuery query(block.queries, block.width);
  const std::int64_t n_other = block.first && other ? block.first[1] - block.first[0] : 0;
  detail::CodedRows found(block.k);
  bool all = block.k == 0 || block.k > rows.rows() / 8 || !query.bounds(rows);
  if (!all) {
    detail::TopKLane lane;  // knows the rows listed in block.excluded
    lane.block = &block;
    lane.query[0] = 0;
    detail::topk_codes::scan(rows, query, lane, found);
    all = found.many();
  }
  if (all && n_other == 0) return search_top_k(block, out, poll);
  TopKBlock part = block;
  part.excluded = part.first = nullptr;
  std::vector<float> vectors, scale, bias;
  if (all) {
    bias.assign(block.bias, block.bias + rows.rows());
    for (std::int64_t i = 0; i < n_other; ++i) bias[static_cast<std::size_t>(block.excluded[i])] = other[i];
    part.bias = bias.data();
    return search_top_k(part, out, poll);
  }
  std::vector<detail::ScoredRow> few;  // with their biases
  for (const auto& one : found.found()) few.push_back({block.bias[one.row], one.row});
  for (std::int64_t i = 0; i < n_other; ++i) few.push_back({other[i], block.excluded[i]});
  std::sort(few.begin(), few.end(), [](const auto& a, const auto& b) { return a.row < b.row; });
  for (const auto& one : few) {
    const float* row = block.vectors + static_cast<std::size_t>(one.row) * block.width;
    vectors.insert(vectors.end(), row, row + block.width);
    scale.push_back(block.scale[one.row]);
    bias.push_back(one.score);
  }
  part.vectors = vectors.data(), part.scale = scale.data(), part.bias = bias.data(), part.end = few.size();
  search_top_k(part, out);
  for (std::size_t i = 0; i < block.k; ++i)
    if (out.rows[i] >= 0) out.rows[i] = few[static_cast<std::size_t>(out.rows[i])].row;
}

}  // namespace traitcore
