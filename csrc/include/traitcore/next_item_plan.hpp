// What a mini-batch of next-item training works on, found from tokens and random numbers alone: its examples, its
// negatives, and who uses which row. No vector is read here, so the next batch can be planned while this one is moved.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <utility>
#include <vector>

#include "alias.hpp"
#include "rng.hpp"

namespace traitcore {

struct NextItemOptions {
  std::size_t vector_size = 64;
  int window = 20;  ///< latest items of a session that are looked at
  int negative = 512;  ///< draws shared by a batch; n_items or more: every item once, the full softmax
  double ns_exponent = 0.5;  ///< negatives are drawn by count^ns_exponent
  double scale = 12;  ///< length of a session's query: the inverse temperature
  int batch = 96;  ///< examples that move together
  double alpha = 0.1, min_alpha = 0.002;
  double decay = 0.6;  ///< weights of the session's items start at decay^steps back
  std::uint64_t seed = 0;
};

/// An item to foretell: its place among the tokens, how many items its session has before it, and its weight.
struct NextItemExample {
  std::int64_t place;
  std::int32_t before;
  float weight;
};

/// One batch. Rows are the distinct items met, the negatives ("columns") first. Storage only grows.
struct NextItemPlan {
  std::int64_t n_examples = 0;
  std::int32_t n_columns = 0, n_rows = 0;
  float alpha = 0;
  std::vector<std::int32_t> items;  ///< (n_rows,) item of each row
  std::vector<float> offset;  ///< (n_columns,) log of (draws / expected draws), added to a negative's logit
  std::vector<float> weight;  ///< (n_examples,)
  // Inputs of example e are [first_input[e], first_input[e + 1]), the latest first: step number k is k steps back.
  std::vector<std::int32_t> first_input, input_row, input_example;
  // Exact candidates likewise, the target first, then the session's other items; step -1: not in the session.
  std::vector<std::int32_t> first_exact, exact_row, exact_step, exact_example;
  // Uses of row r are [first_use[r], first_use[r + 1]): candidate number u, or input number ~u.
  std::vector<std::int32_t> first_use, use;
};

/// Makes the plans of a model's batches. Not for use from two threads at a time.
class NextItemPlanner {
 public:
  NextItemPlanner() = default;

  /// \param[in] counts (n,) occurrences of each item >= 0; an item that never occurs is never drawn
  NextItemPlanner(const NextItemOptions& options, const std::int64_t* counts, std::size_t n)
      : options_(options), all_(static_cast<std::size_t>(options.negative) >= n), row_(n, 0), stamp_(n, 0) {
    if (all_) return;
    std::vector<double> weights(n);
    double total = 0;
    for (std::size_t i = 0; i < n; ++i)
      total += weights[i] = counts[i] > 0 ? std::pow(static_cast<double>(counts[i]), options.ns_exponent) : 0.0;
    if (!(total > 0)) {  // no item occurs: there will be no example either
      std::fill(weights.begin(), weights.end(), 1.0);
      total = static_cast<double>(n);
    }
    noise_ = AliasTable(weights.data(), n);
    log_expected_.resize(n);
    for (std::size_t i = 0; i < n; ++i)
      log_expected_[i] = weights[i] > 0 ? static_cast<float>(std::log(weights[i] / total * options.negative)) : 0.0f;
  }

  /// The batch of examples [begin, end); `key` is that of its negatives.
  void fill(NextItemPlan& plan, const NextItemExample* begin, const NextItemExample* end, const std::int32_t* tokens,
            CounterRng words, float alpha) {
    if (++now_ == 0) throw std::overflow_error("too many batches for one model");
    plan.n_examples = end - begin;
    plan.alpha = alpha;
    plan.items.clear();
    plan.offset.clear();
    plan.weight.clear();
    plan.input_row.clear();
    plan.input_example.clear();
    plan.exact_row.clear();
    plan.exact_step.clear();
    plan.exact_example.clear();
    plan.first_input.assign(1, 0);
    plan.first_exact.assign(1, 0);
    draw(plan, words);
    for (const NextItemExample* e = begin; e != end; ++e) add(plan, *e, tokens, static_cast<std::int32_t>(e - begin));
    plan.n_rows = static_cast<std::int32_t>(plan.items.size());
    list_uses(plan);
  }

 private:
  /// Row of an item in the present plan; a new one where it has none.
  std::int32_t row(NextItemPlan& plan, std::int32_t item) {
    const auto i = static_cast<std::size_t>(item);
    if (i >= row_.size()) throw std::out_of_range("a token is not an item");
    if (stamp_[i] != now_) {
      stamp_[i] = now_;
      row_[i] = static_cast<std::int32_t>(plan.items.size());
      plan.items.push_back(item);
    }
    return row_[i];
  }

  void draw(NextItemPlan& plan, CounterRng words) {
    const std::size_t draws = all_ ? row_.size() : static_cast<std::size_t>(options_.negative);
    for (std::size_t k = 0; k < draws; ++k) {
      const auto item = all_ ? static_cast<std::int32_t>(k) : static_cast<std::int32_t>(noise_(words()));
      const auto column = static_cast<std::size_t>(row(plan, item));
      if (column == plan.offset.size()) plan.offset.push_back(0);
      plan.offset[column] += 1;
    }
    plan.n_columns = static_cast<std::int32_t>(plan.offset.size());
    for (std::size_t c = 0; c < plan.offset.size(); ++c)
      plan.offset[c] = all_ ? 0 : std::log(plan.offset[c]) - log_expected_[static_cast<std::size_t>(plan.items[c])];
  }

  void add(NextItemPlan& plan, const NextItemExample& e, const std::int32_t* tokens, std::int32_t number) {
    plan.weight.push_back(e.weight);
    const std::int32_t steps = std::min(e.before, static_cast<std::int32_t>(options_.window));
    const std::int32_t target = row(plan, tokens[e.place]);
    const auto first = static_cast<std::size_t>(plan.first_exact.back());
    plan.exact_row.push_back(target);
    plan.exact_step.push_back(-1);
    for (std::int32_t k = 0; k < steps; ++k) {
      const std::int32_t r = row(plan, tokens[e.place - 1 - k]);
      plan.input_row.push_back(r);
      plan.input_example.push_back(number);
      const auto known = std::find(plan.exact_row.begin() + static_cast<std::ptrdiff_t>(first), plan.exact_row.end(), r);
      const auto at = static_cast<std::size_t>(known - plan.exact_row.begin());
      if (known == plan.exact_row.end()) {
        plan.exact_row.push_back(r);
        plan.exact_step.push_back(k);
      } else if (plan.exact_step[at] < 0) {  // the target
        plan.exact_step[at] = k;
      }
    }
    plan.exact_example.resize(plan.exact_row.size(), number);
    plan.first_input.push_back(static_cast<std::int32_t>(plan.input_row.size()));
    plan.first_exact.push_back(static_cast<std::int32_t>(plan.exact_row.size()));
  }

  static void list_uses(NextItemPlan& plan) {
    const auto n_exact = static_cast<std::int32_t>(plan.exact_row.size());
    const auto n_inputs = static_cast<std::int32_t>(plan.input_row.size());
    plan.first_use.assign(static_cast<std::size_t>(plan.n_rows) + 2, 0);
    for (const auto r : plan.exact_row) ++plan.first_use[static_cast<std::size_t>(r) + 2];
    for (const auto r : plan.input_row) ++plan.first_use[static_cast<std::size_t>(r) + 2];
    for (std::size_t r = 2; r < plan.first_use.size(); ++r) plan.first_use[r] += plan.first_use[r - 1];
    plan.use.resize(static_cast<std::size_t>(n_exact + n_inputs));
    const auto put = [&](std::int32_t r, std::int32_t u) {
      plan.use[static_cast<std::size_t>(plan.first_use[static_cast<std::size_t>(r) + 1]++)] = u;
    };
    for (std::int32_t u = 0; u < n_exact; ++u) put(plan.exact_row[static_cast<std::size_t>(u)], u);
    for (std::int32_t u = 0; u < n_inputs; ++u) put(plan.input_row[static_cast<std::size_t>(u)], ~u);
    plan.first_use.pop_back();
  }

  NextItemOptions options_;
  bool all_ = false;
  AliasTable noise_;
  std::vector<float> log_expected_;
  std::vector<std::int32_t> row_;
  std::vector<std::uint32_t> stamp_;
  std::uint32_t now_ = 0;
};

}  // namespace traitcore
