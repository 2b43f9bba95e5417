// Speed of the kernels alone, best of several rounds: `kernels_bench [threads [isa [filter]]]`.
// Prints for each matmul shape µs, GOPS (a multiply-add is two) and GB/s of packed weights; for
// attention GFLOPS; for the thread pool the cost of an empty region. Weights rotate through copies
// larger than the last cache, as in a model.
#include <fmt/core.h>
#include <time.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/attention.h"
#include "kernels/matmul.h"
#include "kernels/ops.h"

namespace {

using namespace weir;
using namespace weir::kernels;
using gguf::TensorType;

constexpr int kRounds = 7;
constexpr double kRoundNs = 30e6;
constexpr size_t kColdBytes = size_t{96} << 20;  // weights of a GEMV run, more than any cache here

struct Bench {
  const Kernels& kernels;
  ThreadPool& pool;
  Isa isa;
  std::string filter;
};

// CPU time of the calling thread where it does all the work (neighbours on the machine then do not
// count), else wall time.
clockid_t g_clock = CLOCK_MONOTONIC;

double now_ns() {
  timespec t;
  clock_gettime(g_clock, &t);
  return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

// The least time of one call of fn(i), in ns.
template <typename F>
double best_ns(F&& fn) {
  const double start = now_ns();
  size_t i = 0;
  fn(i++);
  const double first = std::max(now_ns() - start, 100.0);
  const auto calls = std::max<size_t>(3, static_cast<size_t>(kRoundNs / first));
  double best = 1e300;
  for (int round = 0; round < kRounds; ++round) {
    const double begin = now_ns();
    for (size_t c = 0; c < calls; ++c) fn(i++);
    best = std::min(best, (now_ns() - begin) / static_cast<double>(calls));
  }
  return best;
}

std::vector<float> random_floats(size_t n) {
  std::mt19937 rng(1);
  std::uniform_real_distribution<float> uniform(-1.0F, 1.0F);
  std::vector<float> values(n);
  for (float& v : values) v = uniform(rng);
  return values;
}

// Random codes with every 16-bit word a small f16, which is valid data in all formats used here.
std::vector<std::byte> random_weights(size_t bytes) {
  std::mt19937 rng(2);
  std::vector<std::byte> data(bytes);
  for (size_t i = 0; i < bytes; ++i)
    data[i] = static_cast<std::byte>(i % 2 == 0 ? rng() : 0x18 + rng() % 4);
  return data;
}

void bench_matmul(const Bench& b, TensorType type, size_t rows, size_t cols,
                  std::vector<size_t> batches) {
  const gguf::TypeInfo& info = *gguf::type_info(type);
  const std::string name = fmt::format("matmul {} {}x{}", info.name, rows, cols);
  if (name.find(b.filter) == std::string::npos) return;
  const auto data = random_weights(rows * cols / info.block_elements * info.block_bytes);
  std::vector<PackedMatrix> copies;
  size_t bytes = 0;
  while (bytes < kColdBytes) {
    auto w = PackedMatrix::pack(type, data, rows, cols, b.isa, b.pool);
    if (!w.ok()) {
      fmt::print("{}: {}\n", name, w.error().message);
      return;
    }
    bytes += w->bytes();
    copies.push_back(std::move(w).value());
  }
  for (const size_t tokens : batches) {
    const auto x = random_floats(tokens * cols);
    std::vector<float> y(tokens * rows);
    Activations a;
    a.quantize(b.kernels, b.pool, x.data(), cols, tokens, cols);
    const double ns = best_ns([&](size_t i) {
      const MatmulJob job{&copies[i % copies.size()], y.data(), rows};
      matmul(b.kernels, b.pool, a, {&job, 1});
    });
    fmt::print("{:<28} m {:<4} {:>10.1f} us {:>8.1f} GOPS {:>7.1f} GB/s\n", name, tokens, ns / 1e3,
               2.0 * static_cast<double>(rows * cols * tokens) / ns,
               static_cast<double>(copies[0].bytes()) / ns);
  }
}

void bench_attention(const Bench& b, size_t heads, size_t kv_heads, size_t head_dim,
                     size_t position, size_t tokens, size_t sequences, KvType type = KvType::kF16) {
  const std::string name = fmt::format("attention {}/{}x{} at {} {}", heads, kv_heads, head_dim,
                                       position, kv_type_name(type));
  if (name.find(b.filter) == std::string::npos) return;
  AttentionParams p;
  p.layout = {32, kv_heads, head_dim, {type, type}};
  p.heads = heads;
  p.scale = 0.125F;
  const size_t pages = (position + tokens + 31) / 32;
  const size_t pool_bytes = pages * sequences * p.layout.k_page_bytes();
  // Decode finds the caches full of weights: its keys come from memory.
  const size_t copies = tokens > 1 ? 1 : kColdBytes / (2 * pool_bytes) + 1;
  AlignedBuffer k = AlignedBuffer::allocate(pool_bytes * copies);
  AlignedBuffer v = AlignedBuffer::allocate(pool_bytes * copies);
  std::memset(k.as<std::byte>(), 0x11, k.size());  // pages of their own, not the one of zeros
  std::memset(v.as<std::byte>(), 0x11, v.size());
  std::vector<std::vector<int32_t>> ids(sequences);
  std::vector<AttentionChunk> chunks;
  for (size_t s = 0; s < sequences; ++s) {
    for (size_t i = 0; i < pages; ++i) ids[s].push_back(static_cast<int32_t>(s * pages + i));
    chunks.push_back({s * tokens, tokens, position, ids[s]});
  }
  const size_t width = heads * head_dim;
  const auto q = random_floats(tokens * sequences * width);
  std::vector<float> out(q.size());
  const double ns = best_ns([&](size_t i) {
    const size_t at = i % copies * pool_bytes;
    const KvPools pools{k.as<std::byte>() + at, v.as<std::byte>() + at};
    attention(b.kernels, b.pool, p, pools, chunks, q.data(), width, out.data(), width);
  });
  const double keys = static_cast<double>(tokens * sequences) *
                      (static_cast<double>(position) + static_cast<double>(tokens + 1) / 2);
  fmt::print("{:<28} n {:<4} x{:<3} {:>9.1f} us {:>7.1f} GFLOPS {:>6.1f} GB/s of KV\n", name,
             tokens, sequences, ns / 1e3, 4.0 * keys * static_cast<double>(width) / ns,
             static_cast<double>(pool_bytes * 2) / ns);
}

void bench_small(const Bench& b) {
  if (!b.filter.empty() && b.filter != "small") return;
  fmt::print("empty region of 8 tasks      {:>10.2f} us\n",
             best_ns([&](size_t) { b.pool.parallel_for(8, [](size_t, size_t) {}); }) / 1e3);
  for (const size_t tokens : {1, 16, 512}) {
    const auto x = random_floats(tokens * 1536);
    const auto w = random_floats(1536);
    Activations a;
    fmt::print("norm+quantize 576   m {:<6} {:>10.2f} us\n", tokens,
               best_ns([&](size_t) {
                 a.quantize_rms_norm(b.kernels, b.pool, x.data(), 576, tokens, 576, w.data(),
                                     1e-5F);
               }) / 1e3);
    fmt::print("quantize 1536       m {:<6} {:>10.2f} us\n", tokens,
               best_ns([&](size_t) {
                 a.quantize(b.kernels, b.pool, x.data(), 1536, tokens, 1536);
               }) / 1e3);
    std::vector<float> q = random_floats(tokens * 576);
    const auto angles = random_floats(tokens * 32);
    fmt::print("rope 9x64           m {:<6} {:>10.2f} us\n", tokens,
               best_ns([&](size_t) {
                 rope(b.kernels, b.pool, q.data(), 576, tokens, 9, 64, 64, RopeStyle::kInterleaved,
                      angles.data(), angles.data());
               }) / 1e3);
    std::vector<int32_t> ids;
    for (size_t i = 0; i < (tokens + 31) / 32; ++i) ids.push_back(static_cast<int32_t>(i));
    const AttentionChunk chunk{0, tokens, 0, ids};
    for (const KvType type : kKvTypes) {
      const KvLayout layout{32, 3, 64, {type, type}};
      std::vector<std::byte> k_pages(ids.size() * layout.k_page_bytes());
      std::vector<std::byte> v_pages(ids.size() * layout.v_page_bytes());
      const KvPools pools{k_pages.data(), v_pages.data()};
      fmt::print(
          "store_kv 3x64 {:<5} m {:<6} {:>10.2f} us\n", kv_type_name(type), tokens,
          best_ns([&](size_t) {
            store_kv(b.kernels, b.pool, layout, pools, {&chunk, 1}, x.data(), 192, x.data(), 192);
          }) / 1e3);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  ThreadPool pool(argc > 1 ? std::atoi(argv[1]) : 2);
  const auto isa = choose_isa(os::detect_cpu(), argc > 2 ? argv[2] : "");
  if (!isa.ok()) {
    fmt::print(stderr, "{}\n", isa.error().message);
    return 2;
  }
  if (pool.threads() == 1) g_clock = CLOCK_THREAD_CPUTIME_ID;
  const Bench b{kernels_for(*isa), pool, *isa, argc > 3 ? argv[3] : ""};
  fmt::print("{} threads, {}\n", pool.threads(), isa_name(*isa));
  bench_small(b);
  for (const TensorType type :
       {TensorType::kQ4_0, TensorType::kQ4_1, TensorType::kQ8_0, TensorType::kF16}) {
    bench_matmul(b, type, 576, 576, {1, 16, 512});
    bench_matmul(b, type, 1536, 576, {1, 16, 512});
    bench_matmul(b, type, 576, 1536, {1, 16, 512});
    bench_matmul(b, type, 2048, 8192, {1, 16, 32, 512});
  }
  bench_matmul(b, TensorType::kQ8_0, 49152, 576, {1, 16, 32});
  bench_matmul(b, TensorType::kQ4_0, 128256, 2048, {1, 16});
  bench_attention(b, 9, 3, 64, 0, 512, 1);
  bench_attention(b, 9, 3, 64, 256, 1, 1);
  bench_attention(b, 9, 3, 64, 256, 1, 16);
  bench_attention(b, 32, 8, 64, 0, 512, 1);
  bench_attention(b, 32, 8, 64, 7680, 512, 1);
  bench_attention(b, 32, 8, 64, 8191, 1, 1);
  for (const KvType type : {KvType::kBF16, KvType::kQ8_0, KvType::kQ4_0}) {
    bench_attention(b, 9, 3, 64, 0, 512, 1, type);
    bench_attention(b, 32, 8, 64, 7680, 512, 1, type);
    bench_attention(b, 32, 8, 64, 8191, 1, 1, type);
  }
  return 0;
}
