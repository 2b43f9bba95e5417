#include "bench/machine.h"

#include <algorithm>
#include <barrier>
#include <functional>
#include <thread>
#include <vector>

#include "bench/peak_loops.h"

namespace weir::bench {
namespace {

constexpr int kRuns = 20;  // one of them, at least, undisturbed by neighbours of a shared machine
constexpr size_t kBufferWords = (size_t{128} << 20) / sizeof(uint64_t);  // past any L3 of a share
constexpr int64_t kLoopRounds = 4'000'000;

// Best time in seconds, first start to last end, of work(thread) on all threads at once.
double best_seconds(int threads, const Clock& clock, const std::function<void(int)>& work) {
  double best = 1e9;
  for (int run = 0; run < kRuns; ++run) {
    std::barrier gate(threads);
    std::vector<int64_t> starts(static_cast<size_t>(threads));
    std::vector<int64_t> ends(static_cast<size_t>(threads));
    std::vector<std::thread> pool;
    pool.reserve(static_cast<size_t>(threads));
    for (int t = 0; t < threads; ++t) {
      pool.emplace_back([&, t] {
        gate.arrive_and_wait();
        starts[static_cast<size_t>(t)] = clock.now_ns();
        work(t);
        ends[static_cast<size_t>(t)] = clock.now_ns();
      });
    }
    for (std::thread& t : pool) t.join();
    const int64_t first = *std::min_element(starts.begin(), starts.end());
    const int64_t last = *std::max_element(ends.begin(), ends.end());
    best = std::min(best, static_cast<double>(last - first) * 1e-9);
  }
  return std::max(best, 1e-9);
}

double measure_read(int threads, const Clock& clock) {
  const std::vector<uint64_t> buffer(kBufferWords, 1);
  std::vector<uint64_t> sums(static_cast<size_t>(threads) * 8);
  const size_t share = kBufferWords / static_cast<size_t>(threads);
  const double seconds = best_seconds(threads, clock, [&](int t) {
    const uint64_t* words = buffer.data() + static_cast<size_t>(t) * share;
    uint64_t a = 0;
    uint64_t b = 0;
    uint64_t c = 0;
    uint64_t d = 0;
    for (size_t i = 0; i + 32 <= share; i += 32) {
      for (size_t j = 0; j < 32; j += 4) {
        a += words[i + j];
        b += words[i + j + 1];
        c += words[i + j + 2];
        d += words[i + j + 3];
      }
    }
    sums[static_cast<size_t>(t) * 8] = a + b + c + d;
  });
  return static_cast<double>(share) * threads * sizeof(uint64_t) / seconds;
}

// 0 where there is no such loop.
double measure_loop(int threads, const PeakLoop& loop, const Clock& clock) {
  if (loop.run == nullptr) return 0;
  std::vector<float> sums(static_cast<size_t>(threads) * 16);  // a cache line each
  const double seconds = best_seconds(
      threads, clock, [&](int t) { sums[static_cast<size_t>(t) * 16] = loop.run(kLoopRounds); });
  return loop.ops_a_round * kLoopRounds * threads / seconds;
}

}  // namespace

MachineLimits measure_machine(int threads, kernels::Isa isa, const os::CpuFeatures& features,
                              const Clock& clock) {
  MachineLimits limits;
  limits.read_bytes_per_s = measure_read(threads, clock);
  limits.int8_ops_per_s = measure_loop(threads, int8_loop(isa), clock);
  limits.f32_ops_per_s = measure_loop(threads, f32_loop(isa), clock);
  limits.bf16_ops_per_s = measure_loop(threads, bf16_loop(isa, features), clock);
  return limits;
}

ModelCost model_cost(const gguf::File& file, uint64_t kv_bytes_per_token) {
  ModelCost cost;
  cost.kv_bytes_per_token = static_cast<double>(kv_bytes_per_token);
  const bool tied = file.find_tensor("output.weight") == nullptr;
  for (const gguf::Tensor& t : file.tensors()) {
    if (t.shape.size() < 2) continue;
    const bool head = t.name == (tied ? "token_embd.weight" : "output.weight");
    if (!head && t.name.rfind("blk.", 0) != 0) continue;
    (head ? cost.head_weights : cost.layer_weights) += static_cast<double>(t.elements());
    (head ? cost.head_bytes : cost.layer_bytes) += static_cast<double>(t.data.size());
  }
  return cost;
}

double peak_fraction(const MachineLimits& limits, const ModelCost& cost, bool prefill, int batch,
                     double context_tokens, double tokens_per_s) {
  const double weights = cost.layer_weights + (prefill ? 0 : cost.head_weights);
  double fraction = 0;
  if (limits.int8_ops_per_s > 0) fraction = 2 * weights * tokens_per_s / limits.int8_ops_per_s;
  if (!prefill && limits.read_bytes_per_s > 0) {
    const double bytes = (cost.layer_bytes + cost.head_bytes) / batch +
                         cost.kv_bytes_per_token * context_tokens;  // for a token
    fraction = std::max(fraction, bytes * tokens_per_s / limits.read_bytes_per_s);
  }
  return fraction;
}

}  // namespace weir::bench
