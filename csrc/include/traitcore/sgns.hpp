// Skip-gram with negative sampling over token sequences (Mikolov et al. 2013, "Distributed representations of words and
// phrases and their compositionality"; for items, Barkan & Koenigstein 2016, "Item2vec"): reproducible on any number of
// threads (sgns_lanes.hpp), or Hogwild (hogwild.hpp).
#pragma once
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <stdexcept>
#include <vector>

#include "hogwild.hpp"
#include "matrix.hpp"
#include "parallel.hpp"
#include "rng.hpp"
#include "sgns_kernels.hpp"
#include "sgns_lanes.hpp"
#include "sgns_sampling.hpp"

namespace traitcore {

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
    if (options.reproducible) {
      const detail::LaneSizes sizes(options_, counts, n_items, keep_);
      if (sizes.lanes > 1) lanes_ = std::make_unique<SgnsLanes>(options_, counts, n_items, keep_, sizes);
    }
    for (std::size_t i = 0; i < n_items; ++i) start_row(i, static_cast<double>(counts[i]));
  }

  Matrix& items() { return items_; }
  Matrix& contexts() { return contexts_; }
  const SgnsOptions& options() const { return options_; }

  SgnsModel(const SgnsModel&) = delete;
  SgnsModel& operator=(const SgnsModel&) = delete;

  /// Train on a block (update = false: only its loss, summed in the same order by any workers). `poll` is called from
  /// this thread about every 50 ms with the number of tokens handed out so far; false stops within milliseconds and
  /// leaves the matrices as of then: in lanes, as after a whole number of super-steps.
  SgnsStats train(const SgnsBlock& block, int workers, bool update = true,
                  const std::function<bool(std::int64_t)>& poll = {}) {
    check(block, workers);
    items_.expand();
    contexts_.expand();
    const detail::SgnsTask task{{items_.data(), nullptr}, {contexts_.data(), nullptr}, items_.stride(), &options_, &noise_, update};
    if (!update) return measure(task, block, workers, poll);
    // Lanes are planned by the tokens of a block, and targets are none of them.
    if (lanes_ && !block.targets) return lanes_->train(task, block, workers, poll);
    return options_.reproducible ? in_order(task, block, poll) : hogwild(task, block, workers, poll);
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

  SgnsStats hogwild(const detail::SgnsTask& task, const SgnsBlock& block, int workers,
                    const std::function<bool(std::int64_t)>& poll) const {
    std::atomic<std::int64_t> next_chunk{0};
    std::vector<SgnsStats> stats(static_cast<std::size_t>(workers));
    const auto work = [&](int id, const std::atomic<bool>& stop) {
      SgnsSampler sampler(options_, keep_, block);
      stats[static_cast<std::size_t>(id)] =
          run(task, sampler, [&](SgnsBatch& batch) { return sampler.fill(batch, next_chunk); }, stop);
    };
    const auto n_tokens = block.sequences.n_tokens();
    const bool finished = run_workers(workers, work, [&] {
      const auto handed = next_chunk.load(std::memory_order_relaxed) * SgnsSampler::kChunk;
      return !poll || poll(std::min(handed, n_tokens));
    });
    return sum_of(stats, n_tokens, finished);
  }

  // One lane: one window after the other, on one thread whatever the workers.
  SgnsStats in_order(const detail::SgnsTask& task, const SgnsBlock& block,
                     const std::function<bool(std::int64_t)>& poll) const {
    std::vector<SgnsStats> stats(1);
    std::atomic<std::int64_t> handed{0};
    const SequenceView& s = block.sequences;
    const auto work = [&](int, const std::atomic<bool>& stop) {
      SgnsSampler sampler(options_, keep_, block);
      sampler.start({s.begin(), s.end(), 0});
      const auto fill = [&](SgnsBatch& batch) {
        handed.store(sampler.at() - s.begin(), std::memory_order_relaxed);
        return sampler.fill(batch);
      };
      stats[0] = run(task, sampler, fill, stop);
    };
    const bool finished = run_workers(1, work, [&] { return !poll || poll(handed.load(std::memory_order_relaxed)); });
    return sum_of(stats, s.n_tokens(), finished);
  }

  // The loss alone, chunk by chunk.
  SgnsStats measure(const detail::SgnsTask& task, const SgnsBlock& block, int workers,
                    const std::function<bool(std::int64_t)>& poll) const {
    const SequenceView& s = block.sequences;
    const std::int64_t size = SgnsSampler::kChunk, n_chunks = (s.n_tokens() + size - 1) / size;
    std::atomic<std::int64_t> next_chunk{0};
    std::vector<SgnsStats> stats(static_cast<std::size_t>(n_chunks));
    const auto work = [&](int, const std::atomic<bool>& stop) {
      for (std::int64_t i; (i = next_chunk.fetch_add(1, std::memory_order_relaxed)) < n_chunks && !stop;) {
        const std::int64_t from = s.begin() + i * size;
        const std::int64_t sequence = std::upper_bound(s.offsets, s.offsets + s.n_sequences + 1, from) - s.offsets - 1;
        SgnsSampler sampler(options_, keep_, block);
        sampler.start({from, std::min(from + size, s.end()), sequence});
        stats[static_cast<std::size_t>(i)] =
            run(task, sampler, [&](SgnsBatch& batch) { return sampler.fill(batch); }, stop);
      }
    };
    const bool finished = run_workers(workers, work, [&] {
      return !poll || poll(std::min(next_chunk.load(std::memory_order_relaxed) * size, s.n_tokens()));
    });
    return sum_of(stats, s.n_tokens(), finished);
  }

  static SgnsStats sum_of(const std::vector<SgnsStats>& stats, std::int64_t n_tokens, bool finished) {
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

  // Train the batches that `fill` makes with a sampler, the next one prepared ahead.
  template <class Fill>
  SgnsStats run(const detail::SgnsTask& task, const SgnsSampler& sampler, const Fill& fill,
                const std::atomic<bool>& stop) const {
    SgnsStats stats;
    const detail::SgnsRunner runner = detail::sgns::runner();
    detail::SgnsScratch scratch(options_.negative, task.stride);
    SgnsBatch now, next;
    bool more = fill(now);
    runner.draw(task, now);
    while (more && !stop.load(std::memory_order_relaxed)) {
      more = fill(next);
      runner.draw(task, next);
      now.look_ahead(next);
      const double loss = runner.run(task, now, scratch);
      detail::require_finite(loss);
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
  std::unique_ptr<SgnsLanes> lanes_;  ///< null where one lane is enough, or Hogwild wanted
};

}  // namespace traitcore
