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

/// How a reproducible training is cut into super-steps; part of the result. Zeros: by the counts.
struct SgnsLaneSizes {
  int lanes = 0;  ///< chunks of a super-step, a power of two up to 64; 1: one after the other
  std::int64_t chunk = 0;  ///< tokens and pairs of a chunk, together
};

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
  double rounds = 1;  ///< how often the whole training meets each of the `counts`: the epochs, for counts of an epoch
  bool reproducible = true;  ///< in lanes (sgns_lanes.hpp): the same bytes on any number of threads; false: Hogwild
  SgnsLaneSizes lanes = {};
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

/// Where a block lies in the learning rate's schedule, in tokens of the whole training. In whole numbers: a token's rate
/// is then the same bytes however the stream is cut into blocks.
struct SgnsSchedule {
  std::int64_t first = 0;  ///< tokens before the block
  std::int64_t stop = 0;  ///< tokens until the epoch's planned end, beyond which the rate stays
  std::int64_t total = 0;  ///< of all epochs; 0: the rate stays at `alpha`
};

/// A part of an epoch and its place in the schedule.
struct SgnsBlock {
  SequenceView sequences;
  const std::int32_t* global_context = nullptr;  ///< (n_sequences,) item or -1, or none at all
  const std::int32_t* targets = nullptr;  ///< (n_sequences,) the one target of a sequence's items, instead of windows
  std::uint64_t epoch = 0;
  std::uint64_t first_sequence = 0;  ///< number in the epoch of the block's first sequence
  SgnsSchedule schedule = {};
  bool last = true;  ///< the epoch ends with this block: nothing may wait for tokens to come
};

/// A part of a block's tokens, and the sequence that holds the first of them.
struct SgnsRange {
  std::int64_t from, to, sequence;
};

/// Contexts that meet one target, and the key of the negatives drawn for them.
struct SgnsJob {
  std::uint32_t first, last;  ///< inputs are items[first ... last) of the batch, at most 16 without `skip`
  std::uint32_t skip;  ///< this place (the target's own) is left out, where it lies within
  std::uint32_t inputs;
  std::int32_t target;
  float alpha;
  std::uint32_t noise;  ///< first of its negatives: `negative` of them, in fresh mode `negative` for each input
  bool repeats = false;  ///< some negative is drawn twice for the same inputs, or is the target
  std::uint64_t key;  ///< negative number i comes from mix64(key + (i + 1) * kGolden)
};

/// Jobs of consecutive pieces of text. Storage only grows; the counts say what is in use.
struct SgnsBatch {
  static constexpr std::size_t kAhead = 16;  ///< jobs of the following batch that are shown after this one's own

  std::vector<std::int32_t> items;
  std::vector<SgnsJob> jobs;
  std::vector<std::int32_t> noise;
  std::size_t n_items = 0, n_jobs = 0, n_noise = 0;
  std::uint64_t pairs = 0;

  void clear() { n_items = n_jobs = n_noise = pairs = 0; }

  template <class T>
  static void reserve(std::vector<T>& v, std::size_t n) {
    if (v.size() < n) v.resize(n + n / 2);
  }

  /// Show the first jobs of the batch to come behind the end of this one, so that their rows can be fetched in time.
  void look_ahead(const SgnsBatch& next) {
    reserve(jobs, n_jobs + kAhead);
    std::size_t jobs_shown = 0, noise_shown = 0;
    for (; jobs_shown < kAhead && jobs_shown < next.n_jobs; ++jobs_shown)
      jobs[n_jobs + jobs_shown] = next.jobs[jobs_shown];
    if (jobs_shown > 0) noise_shown = std::min(next.n_noise, kAhead * (next.n_noise / next.n_jobs + 1));
    reserve(noise, n_noise + noise_shown);
    std::copy_n(next.noise.begin(), noise_shown, noise.begin() + static_cast<std::ptrdiff_t>(n_noise));
    jobs_ahead = n_jobs + jobs_shown;
    noise_ahead = n_noise + noise_shown;
  }

  std::size_t jobs_ahead = 0, noise_ahead = 0;  ///< ends of what look_ahead has shown
};

/// counts^exponent, in proportion to the largest; 0 for what never occurs, unless that is everything.
inline std::vector<double> noise_weights(const std::int64_t* counts, std::size_t n, double exponent) {
  std::vector<double> weights(n);
  double largest = -std::numeric_limits<double>::infinity();  // in logs: big exponents must not overflow
  for (std::size_t i = 0; i < n; ++i)
    if (counts[i] > 0) largest = std::max(largest, exponent * std::log(static_cast<double>(counts[i])));
  for (std::size_t i = 0; i < n; ++i)
    weights[i] = counts[i] > 0 ? std::exp(exponent * std::log(static_cast<double>(counts[i])) - largest) : 0.0;
  if (!(largest > -std::numeric_limits<double>::infinity())) std::fill(weights.begin(), weights.end(), 1.0);
  return weights;
}

/// What negatives are drawn from: counts^exponent over all items, and the same within each group.
class SgnsNoise {
 public:
  SgnsNoise() = default;

  /// \param[in] counts (n,) occurrences >= 0; an item that never occurs is never drawn, whatever the exponent
  /// \param[in] groups (n,) group of each item, or nullptr
  SgnsNoise(const std::int64_t* counts, std::size_t n, double exponent, const std::int32_t* groups) {
    const std::vector<double> weights = noise_weights(counts, n, exponent);
    all_ = AliasTable(weights.data(), n);
    if (groups) build_groups(weights, groups);
  }

  std::int32_t draw(std::uint64_t word) const { return static_cast<std::int32_t>(all_(word)); }
  const AliasTable& all() const { return all_; }

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

/// Fills batches of jobs from ranges of a block, piece by piece. One for each worker.
class SgnsSampler {
 public:
  static constexpr std::int64_t kChunk = 8192;  ///< tokens a Hogwild worker takes at a time
  static constexpr std::int64_t kPiece = 1024;  ///< tokens of one sequence prepared at a time
  static constexpr std::uint32_t kMaxInputs = 16;  ///< contexts that share negatives at most
  static constexpr std::size_t kBatchJobs = 256;

  SgnsSampler(const SgnsOptions& options, const std::vector<std::uint32_t>& keep, const SgnsBlock& block)
      : options_(options), keep_(keep), block_(block), epoch_key_(mix64(options.seed ^ mix64(block.epoch + kGolden))) {}

  /// Fill the batch with at least kBatchJobs jobs, or what is left of chunks of kChunk tokens, which workers take from
  /// `next_chunk`; false when there was nothing left. Their negatives are still to be drawn.
  bool fill(SgnsBatch& batch, std::atomic<std::int64_t>& next_chunk) {
    batch.clear();
    while (batch.n_jobs < kBatchJobs) {
      if (at_ == range_end_ && !take_chunk(next_chunk)) break;
      add_piece(batch);
    }
    return batch.n_jobs > 0;
  }

  void start(const SgnsRange& range) {
    at_ = range.from;
    range_end_ = range.to;
    sequence_ = range.sequence;
  }

  /// Fill the batch with at least `jobs` jobs, or what is left of the range that start() has set; false for nothing.
  bool fill(SgnsBatch& batch, std::size_t jobs = kBatchJobs) {
    batch.clear();
    while (at_ < range_end_ && batch.n_jobs < jobs) add_piece(batch);
    return batch.n_jobs > 0;
  }

  std::int64_t at() const { return at_; }  ///< the token that comes next
  std::uint64_t kept_tokens() const { return kept_tokens_; }

 private:
  bool take_chunk(std::atomic<std::int64_t>& next_chunk) {
    const SequenceView& s = block_.sequences;
    const std::int64_t start = s.begin() + next_chunk.fetch_add(1, std::memory_order_relaxed) * kChunk;
    if (start >= s.end()) return false;
    at_ = start;
    range_end_ = std::min(start + kChunk, s.end());
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
    const std::int64_t reach = whole ? end - begin : std::min(options_.window, end - begin);
    // Wide windows make many jobs of each token: few tokens at a time, so that a batch stays small.
    const std::int64_t span = std::max<std::int64_t>(kMaxInputs, std::min(2 * reach, end - begin));
    const std::int64_t most = std::max<std::int64_t>(1, kPiece * kMaxInputs / span);
    const std::int64_t stop = std::min({range_end_, end, at_ + most, begin + ((at_ - begin) / kPiece + 1) * kPiece});
    const CounterRng words(epoch_key_, block_.first_sequence + static_cast<std::uint64_t>(sequence_));

    const auto room = static_cast<std::size_t>(std::min(at_ - begin, reach) + (stop - at_) + std::min(end - stop, reach) + 1);
    SgnsBatch::reserve(batch.items, batch.n_items + room);
    const std::size_t base = batch.n_items;
    std::size_t n = base;
    if (at_ > begin) n += kept_before(words, begin, reach, batch.items.data() + n);
    const std::size_t first_centre = n;
    if (centre_words_.size() < static_cast<std::size_t>(kPiece)) centre_words_.resize(kPiece);
    for (std::int64_t i = at_; i < stop; ++i) {
      const std::uint64_t word = words.at(static_cast<std::uint64_t>(i - begin));
      centre_words_[n - first_centre] = word;
      batch.items[n] = s.tokens[i];
      n += stays(word, s.tokens[i]);
    }
    const std::size_t last_centre = n;
    std::int64_t beyond = 0;
    for (std::int64_t i = stop; i < end && beyond < reach; ++i)
      if (stays(words.at(static_cast<std::uint64_t>(i - begin)), s.tokens[i])) {
        batch.items[n++] = s.tokens[i];
        ++beyond;
      }
    batch.n_items = n;
    kept_tokens_ += last_centre - first_centre;

    const float alpha = rate(begin + ((at_ - begin) & ~(kPiece - 1)));
    if (block_.targets) {
      const std::int32_t target = block_.targets[sequence_];
      if (static_cast<std::uint32_t>(target) >= keep_.size()) throw std::out_of_range("a target is not an item");
      const std::uint64_t key = mix64(words.at(static_cast<std::uint64_t>(at_ - begin)));
      add_jobs(batch, first_centre, last_centre, last_centre, target, key, alpha);
      at_ = stop;
      return;
    }
    SgnsBatch::reserve(batch.jobs, batch.n_jobs + (last_centre - first_centre) * (n - base + kMaxInputs) / kMaxInputs);
    for (std::size_t c = first_centre; c < last_centre; ++c) {
      const std::uint64_t word = centre_words_[c - first_centre];
      auto half = static_cast<std::size_t>(reach);
      if (options_.dynamic_window && !whole)
        half = 1 + static_cast<std::size_t>(((word & 0xFFFFFFFFu) * static_cast<std::uint64_t>(options_.window)) >> 32);
      const std::size_t first = c - std::min(half, c - base), last = c + 1 + std::min(half, n - 1 - c);
      add_jobs(batch, first, last, c, batch.items[c], mix64(word), alpha);
    }
    if (block_.global_context) add_global(batch, first_centre, last_centre, alpha);
    at_ = stop;
  }

  /// The last `reach` tokens that stay before place at_, in their order; returns their number.
  std::size_t kept_before(const CounterRng& words, std::int64_t begin, std::int64_t reach, std::int32_t* out) const {
    std::int64_t n = 0;
    for (std::int64_t i = at_; i-- > begin && n < reach;) {
      const std::int32_t item = block_.sequences.tokens[i];
      if (stays(words.at(static_cast<std::uint64_t>(i - begin)), item)) out[n++] = item;
    }
    std::reverse(out, out + n);
    return static_cast<std::size_t>(n);
  }

  // The global item is one more target for every other item of its sequence. It is listed behind the piece's items, as
  // part of no window: `items` then has every row that is not noise.
  void add_global(SgnsBatch& batch, std::size_t first, std::size_t last, float alpha) {
    const std::int32_t item = block_.global_context[sequence_];
    if (item < 0) return;
    if (static_cast<std::uint32_t>(item) >= keep_.size()) throw std::out_of_range("a global context is not an item");
    for (std::size_t i = first; i < last;) {
      std::size_t run = i;
      while (run < last && batch.items[run] != item) ++run;
      if (run > i) add_jobs(batch, i, run, run, item, mix64(centre_words_[i - first] + kGolden), alpha);
      i = run + 1;
    }
    batch.items[batch.n_items++] = item;
  }

  void add_jobs(SgnsBatch& batch, std::size_t first, std::size_t last, std::size_t skip, std::int32_t target,
                std::uint64_t key, float alpha) {
    for (std::size_t from = first; from < last;) {
      std::size_t to = std::min<std::size_t>(last, from + kMaxInputs);
      const bool skips = skip >= from && skip < to;
      if (skips && to < last) ++to;
      const auto inputs = static_cast<std::uint32_t>(to - from - skips);
      if (inputs > 0) {
        if (batch.n_jobs == batch.jobs.size()) SgnsBatch::reserve(batch.jobs, batch.n_jobs + 1);
        const std::size_t drawn = static_cast<std::size_t>(options_.negative) * (options_.shared ? 1 : inputs);
        SgnsJob& job = batch.jobs[batch.n_jobs++];
        job.first = static_cast<std::uint32_t>(from);
        job.last = static_cast<std::uint32_t>(to);
        job.skip = static_cast<std::uint32_t>(skip);
        job.inputs = inputs;
        job.target = target;
        job.alpha = alpha;
        job.noise = static_cast<std::uint32_t>(batch.n_noise);
        job.key = key;
        batch.n_noise += drawn;
        batch.pairs += inputs;
        key += drawn * kGolden;
      }
      from = to;
    }
  }

  float rate(std::int64_t token) const {
    const SgnsSchedule& schedule = block_.schedule;
    if (schedule.total == 0) return static_cast<float>(options_.alpha);
    const std::int64_t at = std::min(schedule.first + token - block_.sequences.begin(), schedule.stop);
    const double done = static_cast<double>(std::max<std::int64_t>(at, 0)) / static_cast<double>(schedule.total);
    return static_cast<float>(options_.alpha + (options_.min_alpha - options_.alpha) * done);
  }

  const SgnsOptions& options_;
  const std::vector<std::uint32_t>& keep_;
  const SgnsBlock& block_;
  std::uint64_t epoch_key_;
  std::int64_t at_ = 0, range_end_ = 0, sequence_ = 0;
  std::uint64_t kept_tokens_ = 0;
  std::vector<std::uint64_t> centre_words_;
};

/// The negatives of one set, and whether one of them repeats or is the target.
inline bool draw_set(const SgnsOptions& options, const SgnsNoise& noise, std::int32_t target, std::uint64_t key,
                     std::int32_t* out) {
  bool repeats = false;
  for (int k = 0; k < options.negative; ++k) {
    const std::uint64_t word = mix64(key + (static_cast<std::uint64_t>(k) + 1) * kGolden);
    out[k] = k < options.group_negative ? noise.draw_beside(target, word) : noise.draw(word);
    repeats |= out[k] == target;
    for (int i = 0; i < k; ++i) repeats |= out[k] == out[i];
  }
  return repeats;
}

}  // namespace traitcore
