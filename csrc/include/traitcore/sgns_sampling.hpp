// The random side of skip-gram with negative sampling: which tokens stay, how wide each window is, which negatives
// stand against a positive. Everything is a pure function of (seed, epoch, sequence, place in the sequence), never of
// the thread or of how the work was cut.
#pragma once
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

#include "alias.hpp"
#include "rng.hpp"

namespace traitcore {

struct SgnsOptions {
  std::size_t vector_size = 64;
  std::int64_t window = 5;  ///< context items to each side; 0: the whole sequence
  bool dynamic_window = true;  ///< each centre's reach is uniform in 1 ... window, as in word2vec
  int negative = 5;
  int group_negative = 0;  ///< how many of the negatives come from the positive's own noise group
  bool shared = true;  ///< negatives shared by a window's contexts; false: drawn for each pair
  double sample = 1e-3;  ///< subsampling threshold, 0: keep every token
  double ns_exponent = 0.75;
  double alpha = 0.025, min_alpha = 1e-4;
  std::uint64_t seed = 0;
};

/// Sequences end to end: sequence i is tokens[offsets[i]] ... tokens[offsets[i + 1] - 1]. offsets[0] may be positive.
struct SequenceView {
  const std::int32_t* tokens = nullptr;
  const std::int64_t* offsets = nullptr;
  std::int64_t n_sequences = 0;

  std::int64_t begin() const { return n_sequences ? offsets[0] : 0; }
  std::int64_t end() const { return n_sequences ? offsets[n_sequences] : 0; }
  std::int64_t n_tokens() const { return end() - begin(); }
};

/// A part of an epoch and its place in the schedule.
struct SgnsBlock {
  SequenceView sequences;
  const std::int32_t* global_context = nullptr;  ///< (n_sequences,) item or -1, or none at all
  std::uint64_t epoch = 0;
  std::uint64_t first_sequence = 0;  ///< number in the epoch of the block's first sequence
  double schedule_start = 0, schedule_stop = 1;  ///< share of the whole training done before and after this block
};

/// Contexts that meet one target, with the negatives drawn for them.
struct SgnsJob {
  std::uint32_t first, last;  ///< inputs are items[first ... last) of the batch
  std::uint32_t skip;  ///< but this place (the target's own), where it lies within
  std::int32_t target;
  std::uint32_t noise;  ///< first of its negatives: `negative` of them, in fresh mode `negative` for each input
  float alpha;
};

struct SgnsBatch {
  std::vector<std::int32_t> items;
  std::vector<SgnsJob> jobs;
  std::vector<std::int32_t> noise;
  std::uint64_t pairs = 0;

  void clear() {
    items.clear();
    jobs.clear();
    noise.clear();
    pairs = 0;
  }
};

/// What negatives are drawn from: counts^exponent over all items, and the same within each group.
class SgnsNoise {
 public:
  SgnsNoise() = default;

  /// \param[in] counts (n,) occurrences >= 0; an item that never occurs is never drawn, whatever the exponent
  /// \param[in] groups (n,) group of each item, or nullptr
  SgnsNoise(const std::int64_t* counts, std::size_t n, double exponent, const std::int32_t* groups) {
    std::vector<double> weights(n);
    double largest = -std::numeric_limits<double>::infinity();  // in logs: big exponents must not overflow
    for (std::size_t i = 0; i < n; ++i)
      if (counts[i] > 0) largest = std::max(largest, exponent * std::log(static_cast<double>(counts[i])));
    for (std::size_t i = 0; i < n; ++i)
      weights[i] = counts[i] > 0 ? std::exp(exponent * std::log(static_cast<double>(counts[i])) - largest) : 0.0;
    if (!(largest > -std::numeric_limits<double>::infinity())) std::fill(weights.begin(), weights.end(), 1.0);
    all_ = AliasTable(weights.data(), n);
    if (groups) build_groups(weights, groups);
  }

  std::int32_t draw(std::uint64_t word) const { return static_cast<std::int32_t>(all_(word)); }

  /// From the group of `item`; from all items where its group has none that occurs.
  std::int32_t draw_beside(std::int32_t item, std::uint64_t word) const {
    const Span span = spans_[static_cast<std::size_t>(group_[static_cast<std::size_t>(item)])];
    if (span.size == 0) return draw(word);
    return members_[span.first + AliasTable::draw(slots_.data() + span.first, span.size, word)];
  }

 private:
  struct Span {
    std::uint32_t first, size;
  };

  void build_groups(const std::vector<double>& weights, const std::int32_t* groups) {
    std::vector<std::pair<std::int32_t, std::int32_t>> by_group(weights.size());
    for (std::size_t i = 0; i < weights.size(); ++i) by_group[i] = {groups[i], static_cast<std::int32_t>(i)};
    std::sort(by_group.begin(), by_group.end());
    group_.resize(weights.size());
    slots_.resize(weights.size());
    for (std::size_t first = 0; first < by_group.size();) {
      std::size_t last = first;
      std::vector<double> inside;
      const std::size_t begin = members_.size();
      for (; last < by_group.size() && by_group[last].first == by_group[first].first; ++last) {
        const auto item = static_cast<std::size_t>(by_group[last].second);
        group_[item] = static_cast<std::int32_t>(spans_.size());
        if (weights[item] > 0) {
          inside.push_back(weights[item]);
          members_.push_back(by_group[last].second);
        }
      }
      if (!inside.empty()) AliasTable::build(inside.data(), inside.size(), slots_.data() + begin);
      spans_.push_back({static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(inside.size())});
      first = last;
    }
  }

  AliasTable all_;
  std::vector<std::int32_t> group_, members_;
  std::vector<Span> spans_;
  std::vector<AliasTable::Slot> slots_;
};

/// Thresholds of word2vec's subsampling: a token stays when the high half of its word is <= threshold, with
/// probability (sqrt(f / sample) + 1) * sample / f for a token of frequency f (Mikolov et al. 2013, section 2.3, in
/// the form of their code).
inline std::vector<std::uint32_t> keep_thresholds(const std::int64_t* counts, std::size_t n, double sample) {
  constexpr auto always = std::numeric_limits<std::uint32_t>::max();
  std::vector<std::uint32_t> keep(n, always);
  if (sample <= 0) return keep;
  double total = 0;
  for (std::size_t i = 0; i < n; ++i) total += static_cast<double>(counts[i]);
  for (std::size_t i = 0; i < n; ++i) {
    const double f = static_cast<double>(counts[i]) / (sample * total);
    const double p = counts[i] > 0 ? (std::sqrt(f) + 1) / f : 1.0;
    if (p < 1) keep[i] = static_cast<std::uint32_t>(p * 4294967295.0);
  }
  return keep;
}

/// Cuts a block into pieces and fills batches of jobs from them. One for each worker; `next_chunk` is shared.
class SgnsSampler {
 public:
  static constexpr std::int64_t kChunk = 8192;  ///< tokens a worker takes at a time
  static constexpr std::int64_t kPiece = 1024;  ///< tokens of one sequence prepared at a time
  static constexpr std::uint32_t kMaxInputs = 16;  ///< contexts that share negatives at most
  static constexpr std::size_t kBatchJobs = 256;

  SgnsSampler(const SgnsOptions& options, const SgnsNoise& noise, const std::vector<std::uint32_t>& keep,
              const SgnsBlock& block, std::atomic<std::int64_t>& next_chunk)
      : options_(options), noise_(noise), keep_(keep), block_(block), next_chunk_(next_chunk),
        epoch_key_(mix64(options.seed ^ mix64(block.epoch + kGolden))) {}

  /// Fill the batch with at least kBatchJobs jobs, or what is left; false when there was nothing left.
  bool fill(SgnsBatch& batch) {
    batch.clear();
    while (batch.jobs.size() < kBatchJobs) {
      if (at_ == chunk_end_ && !take_chunk()) break;
      add_piece(batch);
    }
    return !batch.jobs.empty();
  }

  std::uint64_t kept_tokens() const { return kept_tokens_; }

 private:
  bool take_chunk() {
    const SequenceView& s = block_.sequences;
    const std::int64_t start = s.begin() + next_chunk_.fetch_add(1, std::memory_order_relaxed) * kChunk;
    if (start >= s.end()) return false;
    at_ = start;
    chunk_end_ = std::min(start + kChunk, s.end());
    // The sequence that holds token `at_`: the last one that begins at or before it and isn't empty.
    sequence_ = std::upper_bound(s.offsets, s.offsets + s.n_sequences + 1, at_) - s.offsets - 1;
    return true;
  }

  // Word `place` of the sequence decides whether that token stays (high half) and its window (low half).
  bool stays(std::uint64_t word, std::int32_t item) const {
    if (static_cast<std::uint32_t>(item) >= keep_.size()) throw std::out_of_range("a token is not an item");
    return static_cast<std::uint32_t>(word >> 32) <= keep_[static_cast<std::size_t>(item)];
  }

  void add_piece(SgnsBatch& batch) {
    const SequenceView& s = block_.sequences;
    while (s.offsets[sequence_ + 1] <= at_) ++sequence_;
    const std::int64_t begin = s.offsets[sequence_], end = s.offsets[sequence_ + 1];
    const bool whole = options_.window == 0;
    const std::int64_t reach = whole ? end - begin : options_.window;
    // With whole sequences as windows the number of jobs grows with the square of the length.
    const std::int64_t most = whole ? std::max<std::int64_t>(1, kPiece * kMaxInputs / (end - begin)) : kPiece;
    const std::int64_t stop = std::min({chunk_end_, end, at_ + std::min(most, kPiece)});
    const CounterRng words(epoch_key_, block_.first_sequence + static_cast<std::uint64_t>(sequence_));

    before_.clear();
    for (std::int64_t i = at_; i-- > begin && static_cast<std::int64_t>(before_.size()) < reach;)
      if (stays(words.at(static_cast<std::uint64_t>(i - begin)), s.tokens[i])) before_.push_back(s.tokens[i]);
    const auto base = static_cast<std::uint32_t>(batch.items.size());
    batch.items.insert(batch.items.end(), before_.rbegin(), before_.rend());
    const auto first_centre = static_cast<std::uint32_t>(batch.items.size());
    centre_words_.clear();
    for (std::int64_t i = at_; i < stop; ++i) {
      const std::uint64_t word = words.at(static_cast<std::uint64_t>(i - begin));
      if (!stays(word, s.tokens[i])) continue;
      batch.items.push_back(s.tokens[i]);
      centre_words_.push_back(word);
    }
    const auto last_centre = static_cast<std::uint32_t>(batch.items.size());
    std::int64_t beyond = 0;
    for (std::int64_t i = stop; i < end && beyond < reach; ++i)
      if (stays(words.at(static_cast<std::uint64_t>(i - begin)), s.tokens[i])) {
        batch.items.push_back(s.tokens[i]);
        ++beyond;
      }
    kept_tokens_ += last_centre - first_centre;

    const float alpha = rate(begin + ((at_ - begin) & ~(kPiece - 1)));
    const auto last_item = static_cast<std::uint32_t>(batch.items.size());
    for (std::uint32_t c = first_centre; c < last_centre; ++c) {
      const std::uint64_t word = centre_words_[c - first_centre];
      std::int64_t half = reach;
      if (!whole && options_.dynamic_window)
        half = 1 + static_cast<std::int64_t>(((word & 0xFFFFFFFFu) * static_cast<std::uint64_t>(reach)) >> 32);
      const std::uint32_t first = c - static_cast<std::uint32_t>(std::min<std::int64_t>(half, c - base));
      const std::uint32_t last = c + 1 + static_cast<std::uint32_t>(std::min<std::int64_t>(half, last_item - 1 - c));
      add_jobs(batch, first, last, c, batch.items[c], mix64(word), alpha);
    }
    if (block_.global_context) add_global(batch, first_centre, last_centre, alpha);
    at_ = stop;
  }

  // The global item is one more target for every other item of its sequence.
  void add_global(SgnsBatch& batch, std::uint32_t first, std::uint32_t last, float alpha) {
    const std::int32_t item = block_.global_context[sequence_];
    if (item < 0) return;
    if (static_cast<std::uint32_t>(item) >= keep_.size()) throw std::out_of_range("a global context is not an item");
    for (std::uint32_t i = first; i < last;) {
      std::uint32_t run = i;
      while (run < last && batch.items[run] != item) ++run;
      if (run > i)
        add_jobs(batch, i, run, run, item, mix64(centre_words_[i - first] + kGolden), alpha);
      i = run + 1;
    }
  }

  void add_jobs(SgnsBatch& batch, std::uint32_t first, std::uint32_t last, std::uint32_t skip, std::int32_t target,
                std::uint64_t key, float alpha) {
    std::uint64_t drawn = 0;
    for (std::uint32_t from = first; from < last;) {
      std::uint32_t to = std::min(last, from + kMaxInputs);
      const bool skips = skip >= from && skip < to;
      if (skips && to < last) ++to;
      const std::uint32_t inputs = to - from - (skips ? 1 : 0);
      if (inputs > 0) {
        batch.jobs.push_back({from, to, skip, target, static_cast<std::uint32_t>(batch.noise.size()), alpha});
        batch.pairs += inputs;
        const std::uint32_t sets = options_.shared ? 1 : inputs;
        for (std::uint32_t set = 0; set < sets; ++set)
          for (int k = 0; k < options_.negative; ++k) {
            const std::uint64_t word = mix64(key + ++drawn * kGolden);
            batch.noise.push_back(k < options_.group_negative ? noise_.draw_beside(target, word) : noise_.draw(word));
          }
      }
      from = to;
    }
  }

  float rate(std::int64_t token) const {
    const SequenceView& s = block_.sequences;
    const double here = static_cast<double>(token - s.begin()) / static_cast<double>(s.n_tokens());
    const double done = block_.schedule_start + (block_.schedule_stop - block_.schedule_start) * std::max(here, 0.0);
    return static_cast<float>(options_.alpha + (options_.min_alpha - options_.alpha) * done);
  }

  const SgnsOptions& options_;
  const SgnsNoise& noise_;
  const std::vector<std::uint32_t>& keep_;
  const SgnsBlock& block_;
  std::atomic<std::int64_t>& next_chunk_;
  std::uint64_t epoch_key_;
  std::int64_t at_ = 0, chunk_end_ = 0, sequence_ = 0;
  std::uint64_t kept_tokens_ = 0;
  std::vector<std::int32_t> before_;
  std::vector<std::uint64_t> centre_words_;
};

}  // namespace traitcore
