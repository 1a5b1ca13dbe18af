// Skip-gram with negative sampling on any number of threads with the same bytes.
//
// The stream is trained in super-steps of 16 chunks ("lanes"), in its order; threads take lanes as they come.
//   1. Plan, from tokens alone: a row that only one lane has as a token is that lane's; frequent rows, and rows of several
//      lanes, are shared.
//   2. Negatives: frequent rows, which are shared, may be drawn by every lane; of the others each lane may draw its own
//      sixteenth in this super-step, without those that are some lane's token. So nothing that a lane moves in place is
//      read or moved by another.
//   3. Train: a lane's rows in place; shared ones through copies of the lane's own, made when it begins.
//   4. What the copies moved is added to the shared rows, in the lanes' order: it makes no difference who did which lane.
//      Then the next super-step is planned.
// Nothing depends on the number of threads, or on how the stream comes in blocks: tokens that don't fill a super-step wait
// for the next block. The loss is summed in the lanes' order.
#pragma once
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <stdexcept>
#include <vector>

#include "parallel.hpp"
#include "sgns_kernels.hpp"
#include "sgns_lane_plan.hpp"
#include "sgns_lane_stream.hpp"
#include "sgns_sampling.hpp"

namespace traitcore {

struct SgnsStats {
  double loss = 0;  ///< summed over positive pairs: -log s(positive) - sum of log s(-negative)
  std::uint64_t pairs = 0;
  std::uint64_t tokens = 0, kept_tokens = 0;
  bool finished = true;  ///< false: poll asked to stop
};

namespace detail {

/// Std::domain_error unless a loss is finite.
inline void require_finite(double loss) {
  if (!(std::fabs(loss) <= std::numeric_limits<double>::max()))
    throw std::domain_error("SGNS training diverged: the loss is no longer finite. A smaller alpha is needed");
}

/// Waits until all workers are here; the last one to come calls `last` first. Waiting spins, then gives way.
class SpinBarrier {
 public:
  explicit SpinBarrier(int workers) : workers_(workers) {}

  void enter() { entered_.fetch_add(1); }

  /// False when `stop` came before all workers had entered, so that some may never come.
  template <class Last>
  bool wait(const std::atomic<bool>& stop, const Last& last) {
    const int turn = turn_.load(std::memory_order_relaxed);
    if (here_.fetch_add(1, std::memory_order_acq_rel) == workers_ - 1) {
      last();
      here_.store(0, std::memory_order_relaxed);
      turn_.store(turn + 1, std::memory_order_release);
      return true;
    }
    for (int spin = 0; turn_.load(std::memory_order_acquire) == turn; ++spin) {
      if (spin < kSpins) continue;
      if (stop.load(std::memory_order_relaxed) && entered_.load() < workers_) abandoned_.store(true);
      if (abandoned_.load()) return false;
      std::this_thread::yield();
    }
    return true;
  }

 private:
  static constexpr int kSpins = 4000;
  const int workers_;
  std::atomic<int> entered_{0};
  std::atomic<bool> abandoned_{false};
  alignas(64) std::atomic<int> here_{0};
  alignas(64) std::atomic<int> turn_{0};
};

/// A worker's own memory.
struct LaneWorker {
  LaneWorker(const SgnsOptions& options, const std::vector<std::uint32_t>& keep, const SgnsBlock* parts, std::size_t stride)
      : samplers{{options, keep, parts[0]}, {options, keep, parts[1]}}, scratch(options.negative, stride) {}

  SgnsSampler samplers[2];
  SgnsScratch scratch;
};

}  // namespace detail

/// Trains a stream of blocks in lanes.
class SgnsLanes {
 public:
  SgnsLanes(const SgnsOptions& options, const std::int64_t* counts, std::size_t n_items,
            const std::vector<std::uint32_t>& keep, const detail::LaneSizes& sizes)
      : options_(options), keep_(keep), lanes_(sizes.lanes), stream_(options, sizes),
        noise_(options, counts, n_items, keep, sizes), plan_(noise_, n_items),
        batches_(2 * static_cast<std::size_t>(sizes.lanes)), losses_(static_cast<std::size_t>(sizes.lanes)) {}

  /// As SgnsModel::train. Tokens of a block that is not its epoch's last may be left for the next one.
  SgnsStats train(const detail::SgnsTask& task, const SgnsBlock& block, int workers,
                  const std::function<bool(std::int64_t)>& poll);

 private:
  class Run;

  const SgnsOptions& options_;
  const std::vector<std::uint32_t>& keep_;
  const int lanes_;
  detail::LaneStream stream_;
  const detail::LaneNoise noise_;
  detail::LanePlan plan_;
  std::vector<SgnsBatch> batches_;  ///< of this super-step and of the next
  std::vector<double> losses_;
  std::uint64_t step_ = 0;  ///< super-steps of the epoch so far
};

/// One call's super-steps.
class SgnsLanes::Run {
 public:
  Run(SgnsLanes& all, const detail::SgnsTask& task, const SgnsBlock& block, int workers)
      : all_(all), task_(task), runner_(detail::sgns::runner()), barrier_(workers),
        copies_(static_cast<std::size_t>(all.lanes_)), workers_(static_cast<std::size_t>(workers)), errors_(static_cast<std::size_t>(workers)),
        n_chunks_(static_cast<std::int64_t>(all.stream_.chunks().size())), steps_((n_chunks_ + all.lanes_ - 1) / all.lanes_),
        drawn_(all.options_.group_negative > 0) {
    total_.tokens = static_cast<std::uint64_t>(block.sequences.n_tokens());
    epoch_key_ = mix64(all.options_.seed + mix64(block.epoch * kGolden + 0x1A9E5ull));
  }

  SgnsStats all(const std::function<bool(std::int64_t)>& poll) {
    if (steps_ == 0) return total_;
    all_.plan_.begin(static_cast<int>(workers_.size()));
    const auto tokens = static_cast<double>(total_.tokens);
    total_.finished = run_workers(
        static_cast<int>(workers_.size()), [&](int id, const std::atomic<bool>& stop) { work(id, stop); },
        [&] {
          const double done = static_cast<double>(done_.load(std::memory_order_relaxed)) / static_cast<double>(steps_);
          return !poll || poll(static_cast<std::int64_t>(tokens * done));
        });
    for (const auto& error : errors_)
      if (error) std::rethrow_exception(error);
    for (const auto& worker : workers_)
      for (int part = 0; worker && part < 2; ++part) total_.kept_tokens += worker->samplers[part].kept_tokens();
    return total_;
  }

 private:
  void work(int id, const std::atomic<bool>& stop) {
    barrier_.enter();
    for (std::int64_t step = -1; step < steps_; ++step) {
      guarded(id, [&] { train(id, step); });
      const auto last = [&] {
        guarded(id, [&] { after_training(step, stop); });
        failed_ = error_.load(std::memory_order_relaxed);
      };
      if (!barrier_.wait(stop, last)) return;
      if (failed_) return;
      guarded(id, [&] {
        if (step >= 0) merge(id, step);
        if (step + 1 < steps_) all_.plan_.mark(id, parity(step + 1), batches(step + 1), all_.lanes_, drawn_);
      });
      if (!barrier_.wait(stop, [&] { after_merge(step); })) return;
      if (failed_ || stopped_) return;
    }
  }

  // Errors wait until all workers have come to the barrier.
  template <class Work>
  void guarded(int id, const Work& work) {
    try {
      work();
    } catch (...) {
      errors_[static_cast<std::size_t>(id)] = std::current_exception();
      error_.store(true, std::memory_order_relaxed);
    }
  }

  static int parity(std::int64_t step) { return static_cast<int>(step & 1); }
  SgnsBatch* batches(std::int64_t step) { return all_.batches_.data() + (step & 1) * all_.lanes_; }

  // ---- training, and sampling of the next super-step ----

  void train(int id, std::int64_t step) {
    auto& mine = workers_[static_cast<std::size_t>(id)];
    if (!mine)
      mine = std::make_unique<detail::LaneWorker>(all_.options_, all_.keep_, all_.stream_.parts(), task_.stride);
    for (int lane; (lane = next_lane_.fetch_add(1, std::memory_order_relaxed)) < all_.lanes_;) {
      if (step >= 0) train_lane(*mine, step, lane);
      if (step + 1 < steps_) sample(*mine, step + 1, lane);
    }
  }

  void sample(detail::LaneWorker& mine, std::int64_t step, int lane) {
    SgnsBatch& batch = batches(step)[lane];
    batch.clear();
    const std::int64_t number = step * all_.lanes_ + lane;
    if (number >= n_chunks_) return;
    const auto& chunk = all_.stream_.chunks()[static_cast<std::size_t>(number)];
    SgnsSampler& sampler = mine.samplers[chunk.part];
    sampler.start(chunk.range);
    sampler.fill(batch, std::numeric_limits<std::size_t>::max());
    if (drawn_) runner_.draw(task_, batch);
  }

  void train_lane(detail::LaneWorker& mine, std::int64_t step, int lane) {
    SgnsBatch& batch = batches(step)[lane];
    double& loss = all_.losses_[static_cast<std::size_t>(lane)] = 0;
    detail::LaneCopies& copies = copies_[static_cast<std::size_t>(lane)];
    copies.clear(all_.plan_.n_keys(parity(step)));
    if (batch.n_jobs == 0) return;
    const detail::LaneView view = view_of(step, lane);
    detail::SgnsTask task = task_;
    runner_.bind(task, view, copies, batch);
    copies.reserve(task.stride);
    task.items[1] = copies.sides[0].end(task.stride);
    task.contexts[1] = copies.sides[1].end(task.stride);
    runner_.copy(task, view, copies, batch);
    loss = runner_.run_lane(task, batch, mine.scratch);
    detail::require_finite(loss);
  }

  detail::LaneView view_of(std::int64_t step, int lane) const {
    const detail::LaneNoise& noise = all_.noise_;
    const detail::LanePlan& plan = all_.plan_;
    const std::uint64_t turn = mix64(epoch_key_ + (all_.step_ + static_cast<std::uint64_t>(step)) * kGolden) >> 32;
    detail::LaneView view{};
    view.slots = noise.slots().data();
    view.n_slots = static_cast<std::uint32_t>(noise.slots().size());
    view.classes = noise.classes().data();
    view.order = noise.order().data();
    view.in_order = noise.in_order();
    view.hot = noise.hot();
    view.mark = plan.marks();
    view.busy = plan.busy();
    view.rows = plan.rows(parity(step));
    view.keys = plan.n_keys(parity(step));
    view.member = static_cast<std::uint32_t>(static_cast<std::uint64_t>(lane) + turn) & static_cast<std::uint32_t>(all_.lanes_ - 1);
    view.lane = lane;
    return view;
  }

  // ---- between super-steps ----

  void after_training(std::int64_t step, const std::atomic<bool>& stop) {
    stopped_ = stop.load(std::memory_order_relaxed);
    if (error_.load(std::memory_order_relaxed)) return;
    if (step >= 0) {
      step_pairs_ = step_items_ = 0;
      step_alpha_ = 0;
      for (int lane = 0; lane < all_.lanes_; ++lane) {
        const SgnsBatch& batch = batches(step)[lane];
        total_.loss += all_.losses_[static_cast<std::size_t>(lane)];
        step_pairs_ += static_cast<double>(batch.pairs);
        step_items_ += static_cast<double>(batch.n_items);
        total_.pairs += batch.pairs;
        if (batch.n_jobs > 0 && step_alpha_ == 0) step_alpha_ = batch.jobs[0].alpha;
      }
    }
    if (step + 1 == steps_) return;
    std::size_t rows = 0;
    for (int lane = 0; lane < all_.lanes_; ++lane)
      rows += batches(step + 1)[lane].n_items + (drawn_ ? batches(step + 1)[lane].n_noise : 0);
    all_.plan_.prepare(parity(step + 1), rows);
  }

  void after_merge(std::int64_t step) {
    failed_ = error_.load(std::memory_order_relaxed);
    next_lane_.store(0, std::memory_order_relaxed);
    done_.store(step + 1, std::memory_order_relaxed);
    if (step + 1 == steps_ || stopped_) all_.step_ += static_cast<std::uint64_t>(step + 1);
  }

  /// Add all moves to the rows of this worker's keys.
  void merge(int id, std::int64_t step) {
    static constexpr std::size_t kTogether = 8;  // keys whose copies are fetched ahead
    struct {
      float* row;
      const float** copies;
      int n;
      float share;
    } found[kTogether];
    const detail::LanePlan& plan = all_.plan_;
    const std::size_t keys = plan.n_keys(parity(step)), stride = task_.stride, lanes = copies_.size();
    std::vector<const float*> copies((kTogether + 1) * lanes);
    bool finite = true;
    for (int matrix = 0; matrix < 2; ++matrix)
      for (auto key = static_cast<std::size_t>(id); key < keys;) {
        std::size_t together = 0;
        const float** next = copies.data();
        for (; together < kTogether && key < keys; key += workers_.size()) {
          const float** const first = next;
          for (auto& lane : copies_) {  // without branches: which lanes have a row can't be predicted
            auto& side = lane.sides[matrix];
            const std::int32_t place = side.places[key];
            *next = side.end(stride) + place * static_cast<std::ptrdiff_t>(stride);
            next += static_cast<std::uint32_t>(place) >> 31;
          }
          const auto n = static_cast<int>(next - first);
          if (n == 0) continue;
          float* const row = (matrix ? task_.contexts : task_.items)[0] + static_cast<std::size_t>(plan.rows(parity(step))[key]) * stride;
          for (int i = 0; i < n; ++i)
            for (std::size_t k = 0; k < stride; k += 16) prefetch(first[i] + k);
          for (std::size_t k = 0; k < stride; k += 16) prefetch<true>(row + k);
          found[together++] = {row, first, n, share(step, key, matrix > 0, n)};
        }
        for (std::size_t i = 0; i < together; ++i)
          finite &= runner_.merge(found[i].row, found[i].copies, found[i].n, found[i].share, stride);
      }
    detail::require_finite(finite ? 0 : std::numeric_limits<double>::quiet_NaN());
  }

  /// What part of their added moves lanes that moved a row alike make it move.
  ///
  /// A row whose steps lead towards a point x goes a part a = 1 - exp(-u) of the way in each of n lanes, and would have
  /// gone 1 - exp(-nu) in n lanes one after the other: of n a, that is about (1 + u/2) / (1 + nu/2). So seldom met rows
  /// move by the sum, the most frequent ones hardly further than by the mean, however small a vocabulary or large a rate.
  float share(std::int64_t step, std::size_t key, bool context, int lanes) const {
    const SgnsOptions& options = all_.options_;
    const double met = all_.plan_.met(parity(step), key), pairs = step_items_ > 0 ? step_pairs_ / step_items_ : 0;
    double steps = met * pairs;
    if (!context) steps *= 1 + options.negative;
    else if (key < all_.noise_.hot()) steps += options.negative * all_.noise_.share(key) * step_pairs_;
    const double u = kCurvature * static_cast<double>(step_alpha_) * steps / lanes;
    return static_cast<float>((1 + u) / (1 + lanes * u));
  }

  /// Half of how far one step at rate 1 goes towards its point: s(f) (1 - s(f)) |row|^2 / 2, typically.
  static constexpr double kCurvature = 0.1;

  SgnsLanes& all_;
  const detail::SgnsTask task_;
  const detail::SgnsRunner runner_;
  detail::SpinBarrier barrier_;
  std::vector<detail::LaneCopies> copies_;  ///< of each lane
  std::vector<std::unique_ptr<detail::LaneWorker>> workers_;
  std::vector<std::exception_ptr> errors_;
  const std::int64_t n_chunks_, steps_;
  const bool drawn_;  ///< negatives are drawn with the windows, and known to the plan
  std::uint64_t epoch_key_;
  std::atomic<bool> error_{false};
  std::atomic<int> next_lane_{0};
  std::atomic<std::int64_t> done_{0};
  bool failed_ = false, stopped_ = false;  // written at the barrier
  double step_pairs_ = 0, step_items_ = 0;
  float step_alpha_ = 0;
  SgnsStats total_;
};

inline SgnsStats SgnsLanes::train(const detail::SgnsTask& task, const SgnsBlock& block, int workers,
                                  const std::function<bool(std::int64_t)>& poll) {
  try {
    stream_.cut(block);
    const SgnsStats stats = Run(*this, task, block, std::min(workers, lanes_)).all(poll);
    if (stats.finished) stream_.keep_rest();
    else stream_.clear();
    if (block.last) step_ = 0;
    return stats;
  } catch (...) {
    stream_.clear();
    throw;
  }
}

}  // namespace traitcore
