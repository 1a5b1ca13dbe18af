// Item vectors for the next item of a session: a softmax over all items, sampled, trained in mini-batches.
//
// A session's query is h = scale * u / |u|, u the sum of weight[k] * x[item k steps back] over its latest `window` items.
// The logit of item y is h . x[y] + bias[y], and repeat[k] more where the session has y, k steps back at its latest. Rows
// x have length 1, the same matrix serves both sides. The loss of an example is -log of the softmax at the item that
// came next; target and session are counted exactly, other items through negatives shared by the batch, each divided by
// the draws expected of it (Bengio & Senecal 2008, "Adaptive importance sampling", section 3; for unit vectors and the
// scale, Gupta et al. 2019, "NISER: Normalized item and session representations"). Rows move along the sphere by AdaGrad
// with one sum a row.
//
// Every sum has a fixed order and every row one owner in each phase, so that results don't depend on the number of
// threads; random numbers are keyed by (seed, epoch, batch).
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "matrix.hpp"
#include "next_item_plan.hpp"
#include "parallel.hpp"
#include "simd/memory.hpp"
#include "simd/vectors.hpp"

namespace traitcore {

namespace detail {

inline constexpr std::size_t kNextItemBlock = 12;  // rows of a block of examples or items: both levels' tiles divide it

/// The high half of a 64 x 64 bit product: a random word becomes a number below the other factor.
inline std::uint64_t high_product(std::uint64_t a, std::uint64_t b) {
  const std::uint64_t low = 0xFFFFFFFFull, cross = (a & low) * (b >> 32) + (((a & low) * (b & low)) >> 32);
  return (a >> 32) * (b >> 32) + (cross >> 32) + (((a >> 32) * (b & low) + (cross & low)) >> 32);
}

/// What the kernels work on; everything is trusted.
struct NextItemTask {
  const NextItemPlan* plan;
  float *items, *square, *bias, *bias_square;
  const float *step_weight, *repeat;
  std::size_t stride, width;  ///< floats of a row, and those in use
  float scale;
  bool update;
  std::size_t columns, score_stride;  ///< columns in whole panels; floats of a row of scores
  float *query, *gradient;  ///< (examples, stride)
  float* score;  ///< (examples, score_stride)
  float *rows, *turned, *column_offset;  ///< the columns' rows, the same turned, and what is added to their logits
  float *coefficient, *input_slope;  ///< of each exact candidate and of each input
  float* row_gradient;  ///< a block for each task
  double* loss;  ///< of each block of examples
};

namespace next_item {
#define TRAITCORE_KERNEL <traitcore/detail/next_item.inl>
#include "simd/foreach_level.hpp"

inline void pack(SimdLevel level, const NextItemTask& t, std::int64_t task) { TRAITCORE_AT_LEVEL(level, pack(t, task)); }
inline void examples(SimdLevel level, const NextItemTask& t, std::int64_t task) {
  TRAITCORE_AT_LEVEL(level, examples(t, task));
}
inline void rows(SimdLevel level, const NextItemTask& t, std::int64_t task, std::int64_t tasks) {
  TRAITCORE_AT_LEVEL(level, rows(t, task, tasks));
}
}  // namespace next_item

}  // namespace detail

struct NextItemStats {
  double loss = 0, weight = 0;  ///< weighted sum over the examples, and the sum of their weights
  std::int64_t examples = 0;
  bool finished = true;  ///< false: poll asked to stop
};

/// Sessions of one pass and its place in the schedule.
struct NextItemBlock {
  const std::int32_t* tokens;
  const std::int64_t* offsets;
  std::int64_t n_sequences;
  const float* weights = nullptr;  ///< (n_sequences,) >= 0, or none: all 1
  std::uint64_t epoch = 0;
  double schedule_start = 0, schedule_stop = 1;
};

/// Vectors, biases and the session's weights, and their training. Not for use from two threads at a time.
class NextItemModel {
 public:
  /// \param[in] counts (n_items,) occurrences of each item, for the negatives
  NextItemModel(const NextItemOptions& options, const std::int64_t* counts, std::size_t n_items)
      : options_(options), items_(checked(options, n_items), options.vector_size), bias_(n_items, 0.0f),
        square_(n_items, kStart), bias_square_(n_items, kStart), planner_(options, counts, n_items) {
    const auto steps = static_cast<std::size_t>(options.window);
    for (std::size_t i = 0; i < n_items; ++i) start_row(i);
    for (std::size_t k = 0; k < steps; ++k)
      steps_.push_back(static_cast<float>(std::pow(options.decay, static_cast<double>(k))));
    repeats_.assign(steps, 0.0f);
    step_square_.assign(steps, kStart);
    repeat_square_.assign(steps, kStart);
  }

  const NextItemOptions& options() const { return options_; }
  Matrix& items() { return items_; }
  std::vector<float>& biases() { return bias_; }
  std::vector<float>& squares() { return square_; }
  std::vector<float>& bias_squares() { return bias_square_; }
  std::vector<float>& steps() { return steps_; }
  std::vector<float>& step_squares() { return step_square_; }
  std::vector<float>& repeats() { return repeats_; }
  std::vector<float>& repeat_squares() { return repeat_square_; }

  /// One pass over the sessions in random order (update = false: only the loss). `poll` is called from this thread after
  /// every 16 batches with the share of the examples done; false stops, and leaves the vectors as of then.
  NextItemStats train(const NextItemBlock& block, int workers, bool update = true,
                      const std::function<bool(double)>& poll = {}) {
    if (workers < 1) throw std::invalid_argument("workers must be positive");
    items_.expand();
    const std::uint64_t key = mix64(options_.seed ^ mix64(block.epoch + kGolden));
    std::vector<NextItemExample> examples = list(block);
    CounterRng words(key, ~0ull);
    for (std::size_t i = examples.size(); i > 1; --i) {
      const auto j = static_cast<std::size_t>(detail::high_product(words(), i));
      std::swap(examples[i - 1], examples[j]);
    }
    NextItemStats stats;
    const auto batch = static_cast<std::int64_t>(options_.batch), n = static_cast<std::int64_t>(examples.size());
    const std::int64_t batches = (n + batch - 1) / batch;
    const auto plan = [&](std::int64_t b) {
      const double done = static_cast<double>(b) / static_cast<double>(batches);
      const double at = block.schedule_start + (block.schedule_stop - block.schedule_start) * done;
      planner_.fill(plans_[b % 2], examples.data() + b * batch, examples.data() + std::min(n, (b + 1) * batch),
                    block.tokens, CounterRng(key, static_cast<std::uint64_t>(b)),
                    static_cast<float>(options_.alpha + (options_.min_alpha - options_.alpha) * at));
    };
    if (batches > 0) plan(0);
    constexpr std::int64_t kRun = 16;  // batches on threads started once
    for (std::int64_t first = 0; first < batches; first += kRun) {
      const std::int64_t last = std::min(first + kRun, batches);
      run(first, last, batches, update, workers, plan, stats);
      if (!(std::fabs(stats.loss) <= std::numeric_limits<double>::max()))
        throw std::domain_error("next-item training diverged: the loss is no longer finite. A smaller alpha is needed");
      if (poll && last < batches && !poll(static_cast<double>(last) / static_cast<double>(batches))) {
        stats.finished = false;
        break;
      }
    }
    return stats;
  }

  /// A vector of length 1 in a random direction, for an item not met yet.
  void start_row(std::size_t i) {
    CounterRng rng(options_.seed ^ 0x4E58ull, i);
    float* row = items_.row(i);
    double squares = 0;
    for (std::size_t k = 0; k < options_.vector_size; ++k) {
      row[k] = rng.unit() - 0.5f;
      squares += static_cast<double>(row[k]) * row[k];
    }
    if (!(squares > 0)) row[0] = 1, squares = 1;
    for (std::size_t k = 0; k < options_.vector_size; ++k)
      row[k] = static_cast<float>(row[k] / std::sqrt(squares));
  }

 private:
  static constexpr float kStart = 1e-6f;  // of AdaGrad's sums: nothing beside the first gradient
  static constexpr std::int64_t kRowTasks = 16;

  static std::size_t checked(const NextItemOptions& o, std::size_t n_items) {
    if (n_items == 0 || n_items > 0x7FFFFFFF) throw std::invalid_argument("n_items must be in [1, 2^31)");
    if (o.vector_size == 0) throw std::invalid_argument("vector_size must be positive");
    if (o.window < 1 || o.negative < 1 || o.batch < 1)
      throw std::invalid_argument("window, negative and batch must be positive");
    if (!(o.scale > 0) || !(o.alpha > 0)) throw std::invalid_argument("scale and alpha must be positive");
    return n_items;
  }

  static std::vector<NextItemExample> list(const NextItemBlock& block) {
    std::vector<NextItemExample> found;
    for (std::int64_t s = 0; s < block.n_sequences; ++s) {
      if (block.offsets[s + 1] < block.offsets[s]) throw std::invalid_argument("offsets must not fall");
      const float weight = block.weights ? block.weights[s] : 1.0f;
      if (!(weight > 0)) continue;
      for (std::int64_t t = block.offsets[s] + 1; t < block.offsets[s + 1]; ++t)
        found.push_back({t, static_cast<std::int32_t>(std::min<std::int64_t>(t - block.offsets[s], 1 << 30)), weight});
    }
    return found;
  }

  /// Batches [first, last), each in three phases: pack its columns (and settle the small parameters of the one before),
  /// work out its examples, move its rows (and plan the next one).
  template <class Plan>
  void run(std::int64_t first, std::int64_t last, std::int64_t batches, bool update, int workers, const Plan& plan,
           NextItemStats& stats) {
    const auto block = static_cast<std::int64_t>(detail::kNextItemBlock);
    const std::int64_t blocks = (options_.batch + block - 1) / block;
    const auto draws = std::min<std::size_t>(static_cast<std::size_t>(options_.negative), items_.rows());
    const auto packs = static_cast<std::int64_t>((draws + 63) / 64);
    reserve(draws, static_cast<std::size_t>(blocks));
    std::vector<std::int64_t> sizes;
    for (std::int64_t b = first; b < last; ++b) {
      sizes.push_back(packs + 1);
      sizes.push_back(blocks);
      sizes.push_back(kRowTasks + 1);
    }
    const SimdLevel level = simd_level();
    for_each_phase(sizes, workers, [&](std::size_t phase, std::int64_t task) {
      const std::int64_t b = first + static_cast<std::int64_t>(phase / 3);
      detail::NextItemTask t = task_of(b, update);
      if (phase % 3 == 0) {
        if (task == packs) {
          if (b > first) settle(b - 1, update, stats);
        } else if (task * 64 < static_cast<std::int64_t>(t.columns)) {
          detail::next_item::pack(level, t, task);
        }
      } else if (phase % 3 == 1) {
        if (task * block < t.plan->n_examples) detail::next_item::examples(level, t, task);
      } else if (task == kRowTasks) {
        if (b + 1 < batches) plan(b + 1);
      } else if (update) {
        detail::next_item::rows(level, t, task, kRowTasks);
      }
    });
    settle(last - 1, update, stats);
  }

  detail::NextItemTask task_of(std::int64_t b, bool update) {
    const NextItemPlan& plan = plans_[b % 2];
    detail::NextItemTask t{};
    t.plan = &plan;
    t.items = items_.data(), t.square = square_.data(), t.bias = bias_.data(), t.bias_square = bias_square_.data();
    t.step_weight = steps_.data(), t.repeat = repeats_.data();
    t.stride = items_.stride(), t.width = options_.vector_size;
    t.scale = static_cast<float>(options_.scale);
    t.update = update;
    t.columns = (static_cast<std::size_t>(plan.n_columns) + 31) / 32 * 32;
    t.score_stride = score_stride_;
    t.query = query_.data(), t.gradient = gradient_.data(), t.score = score_.data();
    t.rows = rows_.data(), t.turned = turned_.data(), t.column_offset = column_offset_.data();
    t.coefficient = coefficient_.data(), t.input_slope = input_slope_.data();
    t.row_gradient = row_gradient_.data(), t.loss = losses_.data();
    return t;
  }

  void reserve(std::size_t draws, std::size_t blocks) {
    const std::size_t stride = items_.stride(), examples = blocks * detail::kNextItemBlock;
    const auto inputs = examples * static_cast<std::size_t>(options_.window);
    if (!losses_.empty()) return;
    score_stride_ = (draws + 95) / 96 * 96;
    query_ = AlignedBuffer<float>(examples * stride);
    gradient_ = AlignedBuffer<float>(examples * stride);
    score_ = AlignedBuffer<float>(examples * score_stride_);
    rows_ = AlignedBuffer<float>(score_stride_ * stride);
    turned_ = AlignedBuffer<float>(score_stride_ * stride);
    column_offset_ = AlignedBuffer<float>(score_stride_);
    coefficient_ = AlignedBuffer<float>(inputs + examples);
    input_slope_ = AlignedBuffer<float>(inputs);
    row_gradient_ = AlignedBuffer<float>(static_cast<std::size_t>(kRowTasks) * detail::kNextItemBlock * stride);
    losses_.assign(blocks, 0.0);
  }

  /// After a batch: its loss, and the moves of the session's weights and of the repeats, in the examples' order.
  void settle(std::int64_t b, bool update, NextItemStats& stats) {
    const NextItemPlan& plan = plans_[b % 2];
    const auto n = static_cast<std::size_t>(plan.n_examples);
    for (std::size_t i = 0; i * detail::kNextItemBlock < n; ++i) stats.loss += losses_[i];
    for (const float w : plan.weight) stats.weight += static_cast<double>(w);
    stats.examples += plan.n_examples;
    if (!update) return;
    std::vector<float> step(steps_.size(), 0.0f), repeat(steps_.size(), 0.0f);
    for (std::size_t e = 0; e < n; ++e) {
      const auto first = plan.first_input[e];
      for (auto i = first; i < plan.first_input[e + 1]; ++i)
        step[static_cast<std::size_t>(i - first)] += input_slope_.data()[i];
      for (auto x = plan.first_exact[e]; x < plan.first_exact[e + 1]; ++x) {
        const auto k = plan.exact_step[static_cast<std::size_t>(x)];
        if (k >= 0) repeat[static_cast<std::size_t>(k)] += coefficient_.data()[x];
      }
    }
    const auto move = [alpha = plan.alpha](std::vector<float>& values, std::vector<float>& squares, const std::vector<float>& g) {
      for (std::size_t k = 0; k < g.size(); ++k) {
        if (g[k] == 0) continue;
        squares[k] += g[k] * g[k];
        values[k] -= alpha * g[k] / std::sqrt(squares[k]);
      }
    };
    move(steps_, step_square_, step);
    move(repeats_, repeat_square_, repeat);
  }

  NextItemOptions options_;
  Matrix items_;
  std::vector<float> bias_, square_, bias_square_;
  std::vector<float> steps_, repeats_, step_square_, repeat_square_;
  NextItemPlanner planner_;
  NextItemPlan plans_[2];
  std::size_t score_stride_ = 0;
  AlignedBuffer<float> query_, gradient_, score_, rows_, turned_, column_offset_, coefficient_, input_slope_,
      row_gradient_;
  std::vector<double> losses_;
};

}  // namespace traitcore
