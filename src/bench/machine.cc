#include "bench/machine.h"

#include <algorithm>
#include <barrier>
#include <functional>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace weir::bench {
namespace {

constexpr int kRuns = 5;
constexpr size_t kBufferWords = (size_t{128} << 20) / sizeof(uint64_t);  // past any L3 of a share
constexpr int64_t kDotRounds = 4'000'000;

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

#if defined(__x86_64__)
// Sixteen chains hide the latency of the instruction on two ports.
__attribute__((target("avx512f,avx512bw,avx512vnni"))) int dot_avx512(int64_t rounds) {
  __m512i acc[16];
  for (int i = 0; i < 16; ++i) acc[i] = _mm512_set1_epi32(i);
  const __m512i a = _mm512_set1_epi8(3);
  __m512i b = _mm512_set1_epi8(5);
  for (int64_t r = 0; r < rounds; ++r) {
    for (int i = 0; i < 16; ++i) acc[i] = _mm512_dpbusd_epi32(acc[i], a, b);
    asm volatile("" : "+v"(b));  // a new operand each round, as far as the compiler knows
  }
  int words[16];
  int sum = 0;
  for (int i = 0; i < 16; ++i) {
    _mm512_storeu_si512(words, acc[i]);
    for (const int w : words) sum += w;
  }
  return sum;
}

__attribute__((target("avx2"))) int dot_avx2(int64_t rounds) {
  __m256i acc[8];
  for (int i = 0; i < 8; ++i) acc[i] = _mm256_set1_epi32(i);
  const __m256i a = _mm256_set1_epi8(3);
  __m256i b = _mm256_set1_epi8(5);
  const __m256i ones = _mm256_set1_epi16(1);
  for (int64_t r = 0; r < rounds; ++r) {
    for (int i = 0; i < 8; ++i) {
      acc[i] = _mm256_add_epi32(acc[i], _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), ones));
      asm volatile("" : "+x"(b));
    }
  }
  int words[8];
  int sum = 0;
  for (int i = 0; i < 8; ++i) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(words), acc[i]);
    for (const int w : words) sum += w;
  }
  return sum;
}
#endif

double measure_int8(int threads, kernels::Isa isa, const Clock& clock) {
#if defined(__x86_64__)
  std::vector<int> sums(static_cast<size_t>(threads) * 16);
  const bool wide = isa == kernels::Isa::kAvx512;
  if (isa == kernels::Isa::kScalar) return 0;
  const double ops_a_round = wide ? 16 * 128.0 : 8 * 64.0;
  const double seconds = best_seconds(threads, clock, [&](int t) {
    sums[static_cast<size_t>(t) * 16] = wide ? dot_avx512(kDotRounds) : dot_avx2(kDotRounds);
  });
  return ops_a_round * kDotRounds * threads / seconds;
#else
  (void)threads;
  (void)isa;
  (void)clock;
  return 0;
#endif
}

}  // namespace

MachineLimits measure_machine(int threads, kernels::Isa isa, const Clock& clock) {
  return {measure_read(threads, clock), measure_int8(threads, isa, clock)};
}

ModelCost model_cost(const gguf::File& file) {
  ModelCost cost;
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
                     double tokens_per_s) {
  const double weights = cost.layer_weights + (prefill ? 0 : cost.head_weights);
  double fraction = 0;
  if (limits.int8_ops_per_s > 0) fraction = 2 * weights * tokens_per_s / limits.int8_ops_per_s;
  if (!prefill && limits.read_bytes_per_s > 0) {
    const double bytes = cost.layer_bytes + cost.head_bytes;
    fraction = std::max(fraction, bytes * tokens_per_s / batch / limits.read_bytes_per_s);
  }
  return fraction;
}

}  // namespace weir::bench
