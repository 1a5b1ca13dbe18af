// Threads for one call: spawned, watched from the calling thread, joined. No pool outlives a call, so a host process
// may fork at any time between calls.
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif

namespace traitcore {

/// Moves new threads to processors of their own. Linux may start a thread behind the one that made it and leave it
/// there for a scheduler's tick, which is longer than many of our calls take (1.5 ms in the median beside an idle
/// processor, measured on 6.18; 0.17 ms when moved). A thread is moved once and free to go anywhere afterwards; only
/// the processors that the caller may use are used.
class ThreadPlacer {
 public:
  /// The first thread goes to the caller's processor where that will be waiting, else to the next one.
  explicit ThreadPlacer(bool caller_waits) {
#if defined(__linux__)
    here_ = sched_getcpu();
    several_ = here_ >= 0 && sched_getaffinity(0, sizeof(allowed_), &allowed_) == 0 && CPU_COUNT(&allowed_) > 1;
    if (several_ && !caller_waits) next();
#else
    (void)caller_waits;
#endif
  }

  void place(std::thread& thread) {
#if defined(__linux__)
    if (!several_) return;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<std::size_t>(here_), &one);
    // Should the thread have ended already, this moves the caller, to as little harm.
    pthread_setaffinity_np(thread.native_handle(), sizeof(one), &one);
    pthread_setaffinity_np(thread.native_handle(), sizeof(allowed_), &allowed_);
    next();
#else
    (void)thread;
#endif
  }

 private:
#if defined(__linux__)
  void next() {
    do here_ = (here_ + 1) % CPU_SETSIZE;
    while (!CPU_ISSET(static_cast<std::size_t>(here_), &allowed_));
  }
  cpu_set_t allowed_;
  int here_ = -1;
  bool several_ = false;
#endif
};

/// Run work(0, stop) ... work(workers - 1, stop) on a thread each, while the calling thread calls `poll` about every
/// 50 ms. When poll() returns false or throws, or a worker throws, `stop` turns true; workers look at it often and
/// return. The first error, of a worker or of poll, is rethrown here once every thread has ended.
/// \return false when poll() asked to stop
template <class Work>
bool run_workers(int workers, const Work& work, const std::function<bool()>& poll = {}) {
  std::atomic<bool> stop{false};
  std::mutex mutex;
  std::condition_variable ended;
  std::exception_ptr error;
  int running = 0;
  bool go_on = true;
  std::vector<std::thread> threads;
  const auto fail = [&](std::exception_ptr e) {
    if (!error) error = e;
    stop.store(true, std::memory_order_relaxed);
  };
  threads.reserve(static_cast<std::size_t>(workers));
  ThreadPlacer placer(true);
  try {
    for (int id = 0; id < workers; ++id) {
      {
        const std::lock_guard<std::mutex> lock(mutex);
        ++running;
      }
      threads.emplace_back([&, id] {
        std::exception_ptr mine;
        try {
          work(id, static_cast<const std::atomic<bool>&>(stop));
        } catch (...) {
          mine = std::current_exception();
        }
        const std::lock_guard<std::mutex> lock(mutex);
        if (mine) fail(mine);
        --running;
        ended.notify_one();
      });
      placer.place(threads.back());
    }
  } catch (...) {  // no thread to be had: let those that run end, then report
    const std::lock_guard<std::mutex> lock(mutex);
    --running;
    fail(std::current_exception());
  }
  {
    std::unique_lock<std::mutex> lock(mutex);
    while (!ended.wait_for(lock, std::chrono::milliseconds(50), [&] { return running <= 0; })) {
      if (!poll || !go_on) continue;
      lock.unlock();
      bool answer = false;
      std::exception_ptr thrown;
      try {
        answer = poll();
      } catch (...) {
        thrown = std::current_exception();
      }
      lock.lock();
      if (thrown) fail(thrown);
      if (!answer) {
        go_on = false;
        stop.store(true, std::memory_order_relaxed);
      }
    }
  }
  for (auto& thread : threads) thread.join();
  if (error) std::rethrow_exception(error);
  return go_on;
}

/// work(task) for each task in [0, tasks) on up to `workers` threads, of which the calling one is the first; the first
/// error is rethrown here.
template <class Work>
void for_each_task(std::int64_t tasks, int workers, const Work& work) {
  std::atomic<std::int64_t> next{0};
  std::exception_ptr error;
  std::mutex guard;
  const auto loop = [&] {
    try {
      for (std::int64_t task; (task = next.fetch_add(1)) < tasks;) work(task);
    } catch (...) {
      next.store(tasks);
      const std::lock_guard<std::mutex> lock(guard);
      if (!error) error = std::current_exception();
    }
  };
  std::vector<std::thread> threads;
  if (workers > 1 && tasks > 1) {
    ThreadPlacer placer(false);
    try {
      for (std::int64_t i = 1; i < workers && i < tasks; ++i) {
        threads.emplace_back(loop);
        placer.place(threads.back());
      }
    } catch (...) {  // no more threads to be had: fewer do the work
    }
  }
  loop();
  for (auto& thread : threads) thread.join();
  if (error) std::rethrow_exception(error);
}

/// work(phase, task) for each task in [0, sizes[phase]), phase after phase, on threads started once: no task begins
/// before the phase before it is done. Waiting threads spin, so phases should be short or end together.
template <class Work>
void for_each_phase(const std::vector<std::int64_t>& sizes, int workers, const Work& work) {
  std::vector<std::atomic<std::int64_t>> next(sizes.size()), done(sizes.size());
  for (std::size_t p = 0; p < sizes.size(); ++p) next[p] = done[p] = 0;
  std::atomic<bool> stop{false};
  for_each_task(workers, workers, [&](std::int64_t) {
    try {
      for (std::size_t p = 0; p < sizes.size() && !stop; ++p) {
        for (std::int64_t task; !stop && (task = next[p].fetch_add(1)) < sizes[p]; done[p].fetch_add(1))
          work(p, task);
        while (p + 1 < sizes.size() && done[p].load() < sizes[p] && !stop) std::this_thread::yield();
      }
    } catch (...) {
      stop = true;
      throw;
    }
  });
}

}  // namespace traitcore
