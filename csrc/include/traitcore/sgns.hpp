// Skip-gram with negative sampling over token sequences (Mikolov et al. 2013, "Distributed representations of words and
// phrases and their compositionality"; for items, Barkan & Koenigstein 2016, "Item2vec"), trained Hogwild.
#pragma once
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <stdexcept>
#include <vector>

#include "hogwild.hpp"
#include "matrix.hpp"
#include "parallel.hpp"
#include "rng.hpp"
#include "sgns_sampling.hpp"
#include "sgns_kernels.hpp"

namespace traitcore {

struct SgnsStats {
  double loss = 0;  ///< summed over positive pairs: -log s(positive) - sum of log s(-negative)
  std::uint64_t pairs = 0;
  std::uint64_t tokens = 0, kept_tokens = 0;
  bool finished = true;  ///< false: poll asked to stop
};

/// Two matrices and what is needed to train them. Not for use from two threads at a time.
class SgnsModel {
 public:
  /// \param[in] counts (n_items,) occurrences of each item, for the noise and for subsampling
  /// \param[in] groups (n_items,) noise group of each item, or nullptr
  SgnsModel(const SgnsOptions& options, const std::int64_t* counts, std::size_t n_items,
            const std::int32_t* groups = nullptr)
      : options_(options), items_(n_items, options.vector_size), contexts_(n_items, options.vector_size) {
    if (n_items == 0 || n_items > 0x7FFFFFFF) throw std::invalid_argument("n_items must be in [1, 2^31)");
    if (options.vector_size == 0) throw std::invalid_argument("vector_size must be positive");
    if (!(options.alpha > 0)) throw std::invalid_argument("alpha must be positive");
    if (!(options.rounds >= 0)) throw std::invalid_argument("rounds must not be negative");
    if (options.window < 0 || options.negative < 1) throw std::invalid_argument("window or negative out of range");
    if (options.group_negative > options.negative || (options.group_negative > 0 && !groups))
      throw std::invalid_argument("group_negative needs groups, and at most `negative`");
    noise_ = SgnsNoise(counts, n_items, options.ns_exponent, groups);
    keep_ = keep_thresholds(counts, n_items, options.sample);
    for (std::size_t i = 0; i < n_items; ++i) start_row(i, static_cast<double>(counts[i]));
  }

  Matrix& items() { return items_; }
  Matrix& contexts() { return contexts_; }
  const SgnsOptions& options() const { return options_; }

  /// Train on a block (update = false: only its loss). `poll` is called from this thread about every 50 ms with the
  /// number of tokens handed out so far; false stops within milliseconds and leaves the matrices as of then.
  SgnsStats train(const SgnsBlock& block, int workers, bool update = true,
                  const std::function<bool(std::int64_t)>& poll = {}) {
    check(block, workers);
    items_.expand();
    contexts_.expand();
    const detail::SgnsTask task{items_.data(), contexts_.data(), items_.stride(), &options_, &noise_, update};
    std::atomic<std::int64_t> next_chunk{0};
    std::vector<SgnsStats> stats(static_cast<std::size_t>(workers));
    const auto work = [&](int id, const std::atomic<bool>& stop) {
      stats[static_cast<std::size_t>(id)] = run(task, block, next_chunk, stop);
    };
    const auto n_tokens = block.sequences.n_tokens();
    const bool finished = run_workers(workers, work, [&] {
      const auto handed = next_chunk.load(std::memory_order_relaxed) * SgnsSampler::kChunk;
      return !poll || poll(std::min(handed, n_tokens));
    });
    SgnsStats total;
    for (const auto& s : stats) {  // in order: the same sum whichever thread ended first
      total.loss += s.loss;
      total.pairs += s.pairs;
      total.kept_tokens += s.kept_tokens;
    }
    total.tokens = static_cast<std::uint64_t>(n_tokens);
    total.finished = finished;
    return total;
  }

  /// Context rows start uniform in a cube: the widest, with a standard deviation of 0.07 in each component, for items
  /// that the training meets kMet times, in proportion narrower for rarer and for more frequent ones. Item rows start
  /// next to zero. (word2vec does it the other way round: items uniform within 0.5 / vector_size, contexts at zero.) So
  /// an item's first moves make it a random projection of what it occurs with, no item keeps chance of its own, and the
  /// training does not begin at the saddle where both sides are zero, which small corpora hardly leave. Rare contexts
  /// would keep their start to the end; frequent ones leave the saddle by themselves, and their chance would reach
  /// everything beside them. Wider starts help small corpora and cost large ones' rare items.
  void start_row(std::size_t i, double count) {
    const double met = count * options_.rounds / kMet;
    start_row(contexts_.row(i), kDeviation * (met < 1 ? met : 1 / met), CounterRng(options_.seed ^ 0xC047ull, i));
    start_row(items_.row(i), kItemDeviation, CounterRng(options_.seed ^ 0x5EEDull, i));
  }

 private:
  static constexpr double kMet = 300, kDeviation = 0.07;
  static constexpr double kItemDeviation = 0.0003;  // not zero: also an item that is never met has cosines

  void start_row(float* row, double deviation, CounterRng rng) const {
    const auto side = static_cast<float>(2 * std::sqrt(3.0) * deviation);
    for (std::size_t k = 0; k < options_.vector_size; ++k) row[k] = (rng.unit() - 0.5f) * side;
  }

  SgnsStats run(const detail::SgnsTask& task, const SgnsBlock& block, std::atomic<std::int64_t>& next_chunk,
                const std::atomic<bool>& stop) const {
    SgnsStats stats;
    SgnsSampler sampler(options_, keep_, block, next_chunk);
    const detail::SgnsRunner runner = detail::sgns::runner();
    detail::SgnsScratch scratch(options_.negative, task.stride);
    SgnsBatch now, next;
    bool more = sampler.fill(now);
    runner.draw(task, now);
    while (more && !stop.load(std::memory_order_relaxed)) {
      more = sampler.fill(next);
      runner.draw(task, next);
      now.look_ahead(next);
      const double loss = runner.run(task, now, scratch);
      if (!(std::fabs(loss) <= std::numeric_limits<double>::max()))
        throw std::domain_error("SGNS training diverged: the loss is no longer finite. A smaller alpha is needed");
      stats.loss += loss;
      stats.pairs += now.pairs;
      std::swap(now, next);
    }
    stats.kept_tokens = sampler.kept_tokens();
    return stats;
  }

  void check(const SgnsBlock& block, int workers) const {
    if (workers < 1) throw std::invalid_argument("workers must be positive");
    const SequenceView& s = block.sequences;
    for (std::int64_t i = 0; i < s.n_sequences; ++i)
      if (s.offsets[i + 1] < s.offsets[i]) throw std::invalid_argument("offsets must not fall");
  }

  SgnsOptions options_;
  Matrix items_, contexts_;
  SgnsNoise noise_;
  std::vector<std::uint32_t> keep_;
};

}  // namespace traitcore
