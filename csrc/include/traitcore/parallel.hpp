// Threads for one call: spawned, watched from the calling thread, joined. No pool outlives a call, so a host process
// may fork at any time between calls.
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
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

}  // namespace traitcore
