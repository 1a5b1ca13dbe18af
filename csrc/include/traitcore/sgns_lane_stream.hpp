// How a stream that comes in blocks is cut into the chunks of super-steps: the same ones whatever the blocks. See
// sgns_lanes.hpp.
#pragma once
#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "sgns_lane_sizes.hpp"
#include "sgns_sampling.hpp"

namespace traitcore::detail {

/// Cuts a stream into chunks of about as many tokens, or pairs, at the ends of sequences where they are near. A chunk's end
/// depends on its start and on the sequences from there on alone: not on how the stream comes in blocks.
class ChunkCutter {
 public:
  ChunkCutter(const SgnsOptions& options, std::int64_t tokens)
      : tokens_(tokens), weight_(tokens * LaneSizes::kPairs),
        span_(options.window == 0 ? std::int64_t{1} << 40 : options.dynamic_window ? options.window + 1 : 2 * options.window) {}

  /// The chunk that begins at a place; false where it may go on beyond these sequences.
  bool cut(const SequenceView& s, std::int64_t at, std::int64_t sequence, bool last, SgnsRange& chunk) const {
    chunk = {at, at, sequence};
    std::int64_t tokens = 0, weight = 0;
    for (std::int64_t q = sequence; q < s.n_sequences; ++q) {
      const std::int64_t left = s.offsets[q + 1] - std::max(s.offsets[q], chunk.to);
      if (left <= 0) continue;
      const std::int64_t each = 1 + std::min(span_, s.offsets[q + 1] - s.offsets[q] - 1);
      const std::int64_t fits = std::min(tokens_ - tokens, (weight_ - weight + each - 1) / each);
      if (left > fits && (tokens > tokens_ / 2 || weight > weight_ / 2)) return true;
      chunk.to += std::min(left, fits);
      tokens += std::min(left, fits);
      weight += std::min(left, fits) * each;
      if (left > fits || tokens >= tokens_ - tokens_ / 8 || weight >= weight_ - weight_ / 8) return true;
    }
    return last && chunk.to > at;
  }

 private:
  std::int64_t tokens_, weight_, span_;
};

/// The end of a stream so far: sequences from the first one whose tokens still wait for a super-step to be filled.
class WaitingTokens {
 public:
  bool empty() const { return offsets_.size() <= 1; }
  std::int64_t n_tokens() const { return static_cast<std::int64_t>(tokens_.size()); }
  std::int64_t n_sequences() const { return static_cast<std::int64_t>(offsets_.size()) - 1; }
  std::int64_t at() const { return at_; }
  void clear() { *this = WaitingTokens(); }

  /// Add sequences [from, to) of a block; the first ones added say where in the epoch they lie.
  void add(const SgnsBlock& block, std::int64_t from, std::int64_t to) {
    const SequenceView& s = block.sequences;
    if (from >= to) return;
    if (empty()) {
      whole_ = block;
      whole_.first_sequence += static_cast<std::uint64_t>(from);
      whole_.schedule.first += s.offsets[from] - s.begin();
    }
    const std::int64_t shift = n_tokens() - s.offsets[from];
    tokens_.insert(tokens_.end(), s.tokens + s.offsets[from], s.tokens + s.offsets[to]);
    for (std::int64_t q = from; q < to; ++q) {
      offsets_.push_back(s.offsets[q + 1] + shift);
      global_.push_back(block.global_context ? block.global_context[q] : -1);
    }
  }
  void start_at(std::int64_t at) { at_ = at; }

  /// As a block of their own.
  const SgnsBlock& block() {
    whole_.sequences = {tokens_.data(), offsets_.data(), n_sequences()};
    whole_.global_context = global_.data();
    return whole_;
  }

 private:
  std::vector<std::int32_t> tokens_, global_;
  std::vector<std::int64_t> offsets_{0};
  std::int64_t at_ = 0;
  SgnsBlock whole_;
};

/// A part of a stream: chunks of whole super-steps, and what is left.
class LaneStream {
 public:
  struct Chunk {
    int part;  ///< of parts()
    SgnsRange range;
  };

  LaneStream(const SgnsOptions& options, const LaneSizes& sizes)
      : cutter_(options, sizes.tokens), lanes_(static_cast<std::size_t>(sizes.lanes)),
        step_tokens_(sizes.lanes * sizes.tokens) {}

  /// The tokens that wait and a block, cut. Whole super-steps of chunks; fewer only at the epoch's end.
  void cut(const SgnsBlock& block) {
    if (!waiting_.empty() && waiting_.block().epoch != block.epoch)
      throw std::invalid_argument("tokens of another epoch wait for its last block");
    chunks_.clear();
    const SequenceView& s = block.sequences;
    parts_[0] = parts_[1] = block;
    rest_ = {s.begin(), s.begin(), 0};
    rest_waits_ = false;
    if (!waiting_.empty() && cut_waiting(block)) return;
    cut_part(1, s, block.last);
  }

  const std::vector<Chunk>& chunks() const { return chunks_; }
  const SgnsBlock* parts() const { return parts_; }

  /// Once the chunks are trained: keep what is left of the block for the next one.
  void keep_rest() {
    const SgnsBlock& block = parts_[1];
    if (block.last) return clear();
    if (!rest_waits_) {
      waiting_.clear();
      waiting_.add(block, rest_.sequence, block.sequences.n_sequences);
      if (!waiting_.empty()) waiting_.start_at(rest_.from - block.sequences.offsets[rest_.sequence]);
    }
  }
  void clear() { waiting_.clear(); }

 private:
  // Lend the waiting tokens as much of the block as fills a super-step. True when that was all of it, and what is left
  // still waits.
  bool cut_waiting(const SgnsBlock& block) {
    const SequenceView& s = block.sequences;
    const std::int64_t tokens = waiting_.n_tokens(), sequences = waiting_.n_sequences();
    std::int64_t lent = 0;
    for (std::int64_t more = 2 * step_tokens_;; more *= 2) {
      const std::int64_t from = lent;
      while (lent < s.n_sequences && s.offsets[lent] - s.offsets[from] < more) ++lent;
      waiting_.add(block, from, lent);
      const bool all = lent == s.n_sequences;
      rest_ = {waiting_.at(), waiting_.at(), 0};
      cut_part(0, waiting_.block().sequences, block.last && all);
      if (all && (block.last || chunks_.empty())) {
        parts_[0] = waiting_.block();
        return rest_waits_ = true;
      }
      if (!chunks_.empty()) break;
    }
    parts_[0] = waiting_.block();
    // The first super-step took all that had waited: go on in the block itself.
    rest_.from += s.begin() - tokens;
    rest_.sequence -= sequences;
    return false;
  }

  // Cut from rest_ on; sets it to the end of the last whole super-step.
  void cut_part(int part, const SequenceView& s, bool last) {
    SgnsRange chunk;
    std::int64_t at = rest_.from, sequence = rest_.sequence;
    std::size_t whole = chunks_.size();
    while (cutter_.cut(s, at, sequence, last, chunk)) {
      chunks_.push_back({part, chunk});
      at = chunk.to;
      while (sequence < s.n_sequences && s.offsets[sequence + 1] <= at) ++sequence;
      if (chunks_.size() % lanes_ != 0) continue;
      whole = chunks_.size();
      rest_ = {at, at, sequence};
    }
    if (!last) chunks_.resize(whole);
  }

  ChunkCutter cutter_;
  std::size_t lanes_;
  std::int64_t step_tokens_;
  WaitingTokens waiting_;
  SgnsBlock parts_[2];  ///< what waited and what was lent to it; the block
  std::vector<Chunk> chunks_;
  SgnsRange rest_{0, 0, 0};  ///< where the next super-step begins
  bool rest_waits_ = false;  ///< among what waits, not in the block
};

}  // namespace traitcore::detail
