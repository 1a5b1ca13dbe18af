// What decides a reproducible training before any value is looked at: which rows a lane may draw as negatives, and who
// owns each row in a super-step. See sgns_lanes.hpp.
#pragma once
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "alias.hpp"
#include "sgns_kernels.hpp"
#include "sgns_lane_sizes.hpp"
#include "sgns_sampling.hpp"

namespace traitcore::detail {

/// What lanes draw negatives from, in order of falling counts. Hot rows are shared by all, and any lane may draw them, one
/// by one. The others form classes of as many members as there are lanes; in a super-step a lane draws one member of each,
/// and no row that is some lane's token. So no two lanes move the same row that isn't shared. Classes' weights make up for
/// members that are left out.
///
/// With the rarer hot rows in classes too a lane needs fewer copies, but it draws its own sixteenth of them sixteen times as
/// often: of rare items' neighbours on a corpus of 1.5 million tokens .380 were found in place of .418 (Hogwild: .417).
class LaneNoise {
 public:
  /// A row is hot when a super-step is expected to meet it this often: almost always in several lanes then.
  static constexpr double kHot = 0.7;

  LaneNoise(const SgnsOptions& options, const std::int64_t* counts, std::size_t n, const std::vector<std::uint32_t>& keep,
            const LaneSizes& sizes) {
    order_ = by_count(counts, n);
    const std::vector<double> all = noise_weights(counts, n, options.ns_exponent);
    const auto weight = [&](std::size_t i) { return all[static_cast<std::size_t>(order_[i])]; };
    const auto kept = [&](std::size_t i) {
      const auto row = static_cast<std::size_t>(order_[i]);
      return static_cast<double>(counts[row]) * (keep[row] / 4294967295.0);
    };
    double tokens = 0;
    for (std::size_t i = 0; i < order_.size(); ++i) tokens += kept(i);
    const auto expected = [&](std::size_t i) { return tokens > 0 ? kept(i) / tokens * sizes.kept : 0.0; };
    while (hot_ < order_.size() && expected(hot_) >= kHot) ++hot_;
    std::vector<double> drawn;
    const auto members = static_cast<std::size_t>(sizes.lanes);
    for (std::size_t first = 0, i = 0; first < order_.size(); first = i) {
      double sum = 0;
      // Members are drawn alike, so none weighs less than half, or more than twice, what the first does.
      for (const std::size_t most = first < hot_ ? 1 : members;
           i < order_.size() && i - first < most && weight(i) >= weight(first) / 2 && weight(i) <= weight(first) * 2; ++i)
        sum += weight(i) / (first < hot_ ? 1.0 : std::max(0.2, std::exp(-expected(i))));
      classes_.push_back({static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(i - first)});
      // A member that is missing is drawn in vain, so a class weighs as if it were full.
      drawn.push_back(first < hot_ ? sum : sum / static_cast<double>(i - first) * static_cast<double>(members));
    }
    slots_.resize(drawn.size());
    AliasTable::build(drawn.data(), drawn.size(), slots_.data());
    const double of_all = std::accumulate(drawn.begin(), drawn.end(), 0.0);
    for (std::size_t i = 0; i < hot_; ++i) share_.push_back(drawn[i] / of_all);
    for (std::size_t i = 0; i < order_.size() && in_order_; ++i) in_order_ = order_[i] == static_cast<std::int32_t>(i);
  }

  const std::vector<AliasTable::Slot>& slots() const { return slots_; }
  const std::vector<LaneClass>& classes() const { return classes_; }  ///< of each slot; the first `hot` are one row each
  const std::vector<std::int32_t>& order() const { return order_; }  ///< rows that occur, in order of falling counts
  std::uint32_t hot() const { return static_cast<std::uint32_t>(hot_); }  ///< places of `order` whose rows are hot
  bool in_order() const { return in_order_; }
  double share(std::size_t hot) const { return share_[hot]; }  ///< of all draws

 private:
  static std::vector<std::int32_t> by_count(const std::int64_t* counts, std::size_t n) {
    std::vector<std::int32_t> order;
    for (std::size_t i = 0; i < n; ++i)
      if (counts[i] > 0) order.push_back(static_cast<std::int32_t>(i));
    const auto more = [&](std::int32_t a, std::int32_t b) { return counts[a] > counts[b]; };
    if (!std::is_sorted(order.begin(), order.end(), more)) std::stable_sort(order.begin(), order.end(), more);
    return order;
  }

  std::vector<std::int32_t> order_;
  std::vector<AliasTable::Slot> slots_;
  std::vector<LaneClass> classes_;
  std::vector<double> share_;
  std::size_t hot_ = 0;
  bool in_order_ = true;
};

/// Who may do what with each row in a super-step, from the tokens of its chunks alone. Workers mark rows side by side,
/// each the rows of its own stretches.
class LanePlan {
 public:
  LanePlan(const LaneNoise& noise, std::size_t n_items)
      : hot_(noise.hot()), mark_(n_items, 0), busy_(n_items / kStretch * (kStretch / 32) + kStretch / 32, 0) {
    for (auto& step : steps_) step.rows.assign(noise.order().begin(), noise.order().begin() + hot_);
    for (std::uint32_t key = 0; key < hot_; ++key)
      mark_[static_cast<std::size_t>(noise.order()[key])] = ~static_cast<std::int32_t>(key);
  }

  /// Forget everything; rows are shared out among so many workers from now on.
  void begin(int workers) {
    for (auto& owned : owned_) forget(owned);
    workers_ = static_cast<std::uint32_t>(workers);
    if (owned_.size() < workers_) owned_.resize(workers_);
  }

  /// Room for the keys of step `parity`, whose batches have so many rows at most; before mark().
  void prepare(int parity, std::size_t n_rows) {
    Step& step = steps_[parity];
    const std::size_t most = hot_ + n_rows / 2 + std::size_t{kBlock} * workers_;
    if (step.rows.size() < most) step.rows.resize(most);
    step.n_keys.store(hot_, std::memory_order_relaxed);
  }

  /// Forget the last super-step and mark the rows of the next in this worker's stretches. `drawn`: noise counts as tokens.
  void mark(int worker, int parity, const SgnsBatch* batches, int lanes, bool drawn) {
    Owned& mine = owned_[static_cast<std::size_t>(worker)];
    forget(mine);
    mine.next_key = mine.last_key = 0;
    std::vector<std::uint32_t>& met = mine.met[parity];
    met.assign(steps_[parity].rows.size(), 0);
    for (int lane = 0; lane < lanes; ++lane) {
      const SgnsBatch& batch = batches[lane];
      mark_rows(mine, worker, parity, lane, batch.items.data(), batch.n_items);
      if (drawn) mark_rows(mine, worker, parity, lane, batch.noise.data(), batch.n_noise);
    }
  }

  std::uint32_t n_keys(int parity) const { return steps_[parity].n_keys.load(std::memory_order_relaxed); }
  const std::int32_t* rows(int parity) const { return steps_[parity].rows.data(); }
  const std::int32_t* marks() const { return mark_.data(); }
  const std::uint32_t* busy() const { return busy_.data(); }

  /// How often the tokens of a step are the row of a key that several lanes have.
  std::uint32_t met(int parity, std::size_t key) const {
    std::uint32_t sum = 0;
    for (std::uint32_t w = 0; w < workers_; ++w) sum += owned_[w].met[parity][key];
    return sum;
  }

 private:
  static constexpr std::uint32_t kStretch = 512;  // rows of an owner, whose bits fill a cache line
  static constexpr std::uint32_t kBlock = 16;  // keys that a worker takes at a time

  struct Step {
    std::vector<std::int32_t> rows;
    std::atomic<std::uint32_t> n_keys{0};
  };
  struct alignas(64) Owned {
    std::vector<std::int32_t> marked, rows;
    std::vector<std::uint32_t> met[2];
    std::uint32_t next_key = 0, last_key = 0;
  };

  void forget(Owned& owned) {
    for (const auto r : owned.marked) {
      mark_[static_cast<std::size_t>(r)] = 0;
      busy_[static_cast<std::size_t>(r) >> 5] = 0;  // a word's rows are all of one stretch
    }
    owned.marked.clear();
  }

  int owner(std::int32_t row) const {
    const std::uint32_t hash = (static_cast<std::uint32_t>(row) / kStretch * 0x9E3779B1u) >> 16;
    return static_cast<int>(hash * workers_ >> 16);
  }

  void mark_rows(Owned& mine, int worker, int parity, std::int32_t lane, const std::int32_t* rows, std::size_t n) {
    std::uint32_t* const met = mine.met[parity].data();
    if (mine.rows.size() < n) mine.rows.resize(n + n / 2);
    std::int32_t* const own = mine.rows.data();
    if (workers_ > 1) {  // without branches, as below: neither owners nor shared rows can be predicted
      std::size_t kept = 0;
      for (std::size_t i = 0; i < n; ++i) {
        own[kept] = rows[i];
        kept += static_cast<std::size_t>(owner(rows[i]) == worker);
      }
      rows = own;
      n = kept;
    }
    std::size_t left = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const std::int32_t r = rows[i], m = mark_[static_cast<std::size_t>(r)], shared = m >> 31;
      met[~m & shared] += static_cast<std::uint32_t>(-shared);
      own[left] = r;
      left += static_cast<std::size_t>(shared + 1);
    }
    for (std::size_t i = 0; i < left; ++i) {
      const std::int32_t r = own[i];
      std::int32_t& m = mark_[static_cast<std::size_t>(r)];
      if (m < 0) {
        ++met[~m];
      } else if (m == 0) {
        m = lane + 1;
        busy_[static_cast<std::size_t>(r) >> 5] |= std::uint32_t{1} << (r & 31);
        mine.marked.push_back(r);
      } else if (m != lane + 1) {
        const std::uint32_t key = new_key(mine, parity);
        steps_[parity].rows[key] = r;
        met[key] = 2;
        m = ~static_cast<std::int32_t>(key);
      }
    }
  }

  // Which key a row has changes no result.
  std::uint32_t new_key(Owned& mine, int parity) {
    if (mine.next_key == mine.last_key) {
      const std::uint32_t block = workers_ > 1 ? kBlock : 1;
      mine.next_key = steps_[parity].n_keys.fetch_add(block, std::memory_order_relaxed);
      mine.last_key = mine.next_key + block;
    }
    return mine.next_key++;
  }

  std::size_t hot_;
  std::uint32_t workers_ = 1;
  std::vector<std::int32_t> mark_;
  std::vector<std::uint32_t> busy_;
  Step steps_[2];
  std::vector<Owned> owned_;
};

}  // namespace traitcore::detail
