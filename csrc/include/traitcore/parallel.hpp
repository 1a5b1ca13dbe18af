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

namespace traitcore {

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
  try {
    for (std::int64_t i = 1; i < workers && i < tasks; ++i) threads.emplace_back(loop);
  } catch (...) {  // no more threads to be had: fewer do the work
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
