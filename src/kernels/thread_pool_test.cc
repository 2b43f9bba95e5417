#include "kernels/thread_pool.h"

#include <gtest/gtest.h>

#include <chrono>
#include <vector>

namespace weir::kernels {
namespace {

TEST(ThreadPool, RunsEveryTaskOnce) {
  for (const int threads : {-1, 1, 2, 3, 8}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), static_cast<size_t>(std::max(threads, 1)));
    for (const size_t tasks : {0, 1, 2, 7, 1000}) {
      std::vector<int> runs(tasks, 0);  // plain ints: the region's end must publish them
      std::atomic<bool> bad_worker{false};
      pool.parallel_for(tasks, [&](size_t task, size_t worker) {
        ++runs[task];
        if (worker >= pool.threads()) bad_worker = true;
      });
      EXPECT_EQ(runs, std::vector<int>(tasks, 1));
      EXPECT_FALSE(bad_worker);
    }
  }
}

// Each region reads what the one before wrote; any lost or late worker shows as a wrong sum or a
// race.
TEST(ThreadPool, OrdersRegions) {
  ThreadPool pool(4);
  std::vector<size_t> values(64, 0);
  for (size_t round = 0; round < 3000; ++round) {
    pool.parallel_for(values.size(), [&](size_t task, size_t) {
      if (values[task] == round) values[task] = round + 1;
    });
  }
  EXPECT_EQ(values, std::vector<size_t>(64, 3000));
}

TEST(ThreadPool, WakesParkedWorkers) {
  ThreadPool pool(2);
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // beyond the spin
    std::atomic<int> together{0};
    std::atomic<bool> met{false};
    // Both tasks must be in flight at once for either to see the other.
    pool.parallel_for(2, [&](size_t, size_t) {
      ++together;
      const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
      while (together < 2 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
      if (together == 2) met = true;
    });
    EXPECT_TRUE(met);
  }
}

TEST(ThreadPool, WaitsForASlowWorker) {
  ThreadPool pool(2);
  std::vector<int> done(2, 0);
  pool.parallel_for(2, [&](size_t task, size_t) {
    std::this_thread::sleep_for(std::chrono::milliseconds(task == 0 ? 1 : 20));
    done[task] = 1;
  });
  EXPECT_EQ(done, (std::vector<int>{1, 1}));
}

TEST(ThreadPool, StartsAndEndsWithoutWork) {
  for (int i = 0; i < 50; ++i) ThreadPool pool(3);
}

}  // namespace
}  // namespace weir::kernels
