#include "kernels/attention.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/table.h"
#include "kernels/test_util.h"

namespace weir::kernels {
namespace {

using test::random_floats;

// Pages of these bytes read as NaN in every type: as f16, as bf16, as the scale of a block.
constexpr std::byte kNanByte{0xff};

gguf::TensorType tensor_type(KvType type) {
  switch (type) {
    case KvType::kBF16:
      return gguf::TensorType::kBF16;
    case KvType::kQ8_0:
      return gguf::TensorType::kQ8_0;
    case KvType::kQ4_0:
      return gguf::TensorType::kQ4_0;
    default:
      return gguf::TensorType::kF16;
  }
}

// The largest power of two that divides a width.
size_t hadamard_width(size_t dim) {
  size_t n = 1;
  while (dim % (2 * n) == 0) n *= 2;
  return n;
}

// The transform of the heads by its definition: entry (i, j) has the sign of the parity of i & j.
std::vector<double> hadamard(const std::vector<float>& x, size_t n) {
  std::vector<double> y(x.size(), 0.0);
  for (size_t i = 0; i < x.size(); ++i) {
    for (size_t j = i / n * n; j < i / n * n + n; ++j) {
      const bool minus = std::popcount(i % n & j % n) % 2 == 1;
      y[i] += minus ? -double{x[j]} : double{x[j]};
    }
    y[i] /= std::sqrt(static_cast<double>(n));
  }
  return y;
}

// Values as they come back from blocks that are not transformed.
std::vector<float> rounded(KvType type, const std::vector<float>& values) {
  const gguf::TensorType as = tensor_type(type);
  const gguf::TypeInfo& info = *gguf::type_info(as);
  std::vector<std::byte> bytes(values.size() / info.block_elements * info.block_bytes);
  EXPECT_TRUE(quant::encode(as, values, bytes).ok());
  std::vector<float> back(values.size());
  EXPECT_TRUE(quant::decode(as, bytes, back).ok());
  return back;
}

// Values as they come back from a cache of `type`, in heads of `dim`.
std::vector<double> stored(KvType type, std::vector<float> values, size_t dim) {
  if (!is_block_type(type)) {
    const std::vector<float> back = rounded(type, values);
    return {back.begin(), back.end()};
  }
  for (size_t i = 0; i < values.size(); i += dim)
    kernels_for(Isa::kScalar).hadamard(values.data() + i, dim);
  return hadamard(rounded(type, values), hadamard_width(dim));
}

// One sequence of `tokens` tokens with its own pools; pages are handed out backwards, so that page
// ids matter.
struct Sequence {
  AttentionParams params;
  size_t tokens = 0;
  std::vector<float> q, k, v;
  std::vector<int32_t> pages;
  std::vector<float> sinks;  // empty: none

  Sequence(size_t heads, size_t kv_heads, size_t head_dim, size_t page_tokens, size_t n,
           uint32_t seed, size_t value_dim = 0)
      : tokens(n) {
    params.layout = {page_tokens, kv_heads, head_dim, value_dim == 0 ? head_dim : value_dim};
    params.heads = heads;
    params.scale = 1.0F / std::sqrt(static_cast<float>(head_dim));
    q = random_floats(n * q_dim(), seed, 2.0F);
    k = random_floats(n * kv_dim(), seed + 1);
    v = random_floats(n * v_dim(), seed + 2);
    const auto count = static_cast<int32_t>((n + page_tokens - 1) / page_tokens);
    for (int32_t p = count; p > 0; --p) pages.push_back(p);
  }
  size_t q_dim() const { return params.heads * params.layout.head_dim; }
  size_t kv_dim() const { return params.layout.kv_heads * params.layout.head_dim; }
  size_t v_dim() const { return params.layout.kv_heads * params.layout.value_dim; }
  size_t out_dim() const { return params.heads * params.layout.value_dim; }

  // Runs the sequence in chunks of the given sizes (repeated), each after the one before. Fresh
  // pages hold NaN. gap_bytes > 0: K and V of a page lie together, the next page that far behind.
  std::vector<float> run(Isa isa, ThreadPool& pool, const std::vector<size_t>& sizes,
                         size_t gap_bytes = 0) const {
    const size_t k_bytes = params.layout.k_page_bytes();
    const size_t v_bytes = params.layout.v_page_bytes();
    const size_t stride = k_bytes + v_bytes + gap_bytes;
    std::vector<std::byte> k_pool((pages.size() + 1) * stride, kNanByte);
    std::vector<std::byte> v_pool((pages.size() + 1) * v_bytes, kNanByte);
    const KvPools pools = gap_bytes > 0 ? KvPools{k_pool.data(), k_pool.data() + k_bytes, stride}
                                        : KvPools{k_pool.data(), v_pool.data()};
    const Kernels& kernels = kernels_for(isa);
    std::vector<float> out(tokens * out_dim(), -1.0F);
    size_t done = 0;
    for (size_t i = 0; done < tokens; ++i) {
      const size_t n = std::min(sizes[i % sizes.size()], tokens - done);
      const AttentionChunk chunk{done, n, done, pages};
      store_kv(kernels, pool, params.layout, pools, {&chunk, 1}, k.data(), kv_dim(), v.data(),
               v_dim());
      AttentionParams with = params;
      with.sinks = sinks.empty() ? nullptr : sinks.data();
      attention(kernels, pool, with, pools, {&chunk, 1}, q.data(), q_dim(), out.data(), out_dim());
      done += n;
    }
    return out;
  }

  // In float64, over keys and values as stored.
  std::vector<double> reference() const {
    return reference(stored(params.layout.types.k, k, params.layout.head_dim),
                     stored(params.layout.types.v, v, params.layout.value_dim));
  }

  // The same over others.
  std::vector<double> reference(const std::vector<double>& keys,
                                const std::vector<double>& values) const {
    const size_t hd = params.layout.head_dim;
    const size_t vd = params.layout.value_dim;
    std::vector<double> out(tokens * out_dim(), 0.0);
    for (size_t t = 0; t < tokens; ++t) {
      for (size_t h = 0; h < params.heads; ++h) {
        const size_t kv = h / (params.heads / params.layout.kv_heads);
        const size_t first = params.window > 0 && t + 1 > params.window ? t + 1 - params.window : 0;
        std::vector<double> p;
        double top = -1e300;
        const size_t last = params.causal ? t : tokens - 1;
        for (size_t j = first; j <= last; ++j) {
          double s = 0;
          for (size_t d = 0; d < hd; ++d)
            s += double{q[t * q_dim() + h * hd + d]} * keys[j * kv_dim() + kv * hd + d];
          s *= params.scale;
          if (params.softcap > 0) s = params.softcap * std::tanh(s / params.softcap);
          top = std::max(top, s);
          p.push_back(s);
        }
        const double sink = sinks.empty() ? -1e300 : static_cast<double>(sinks[h]);
        double sum = std::exp(sink - top);
        for (double& s : p) sum += s = std::exp(s - top);
        for (size_t j = first; j <= last; ++j) {
          for (size_t d = 0; d < vd; ++d) {
            out[t * out_dim() + h * vd + d] +=
                p[j - first] / sum * values[j * v_dim() + kv * vd + d];
          }
        }
      }
    }
    return out;
  }
};

std::vector<uint32_t> bits(const std::vector<float>& values) {
  std::vector<uint32_t> out;
  for (const float v : values) out.push_back(std::bit_cast<uint32_t>(v));
  return out;
}

// The reference computes in float64 with the values as stored, so the bound is that of the
// arithmetic alone and the same for every type: weights sum to 1 and values stay below 5, scores of
// up to 10 carry errors of some 2^-24 * 10 * sqrt(head_dim) into exp, which makes 2e-5 of a value.
void expect_near(const Sequence& s, size_t chunk) {
  ThreadPool pool(2);
  const auto expected = s.reference();
  for (const Isa isa : test::isas()) {
    const auto out = s.run(isa, pool, {chunk});
    for (size_t i = 0; i < out.size(); ++i) {
      ASSERT_NEAR(out[i], expected[i], 2e-5) << isa_name(isa) << " at " << i;
    }
  }
}

TEST(Attention, SinksTakeTheirShare) {
  Sequence s(6, 3, 32, 16, 50, 77);
  s.sinks = {-90.0F, -1.0F, 0.0F, 0.5F, 3.0F, 100.0F};  // from no share to all of it
  expect_near(s, 50);
  expect_near(s, 7);
}

TEST(Attention, FollowsFloat64ForManyShapes) {
  expect_near(Sequence(9, 3, 64, 32, 100, 1), 100);
  expect_near(Sequence(32, 8, 64, 32, 70, 2), 33);
  expect_near(Sequence(4, 4, 128, 16, 50, 3), 50);
  expect_near(Sequence(14, 2, 64, 64, 130, 4), 130);
  expect_near(Sequence(16, 1, 80, 32, 40, 5), 17);
  expect_near(Sequence(25, 1, 16, 16, 20, 6), 20);
  expect_near(Sequence(2, 1, 256, 32, 65, 7), 1);
}

TEST(Attention, SeesTheWholeTextOfAnEncoder) {
  for (const size_t tokens : {1, 2, 15, 16, 17, 40, 100, 129}) {
    Sequence s(4, 2, 32, 16, tokens, 20);
    s.params.causal = false;
    expect_near(s, tokens);
  }
}

TEST(Attention, DoesNotCareWherePagesLie) {
  ThreadPool pool(2);
  for (const KvType type : kKvTypes) {
    Sequence s(6, 2, 64, 16, 75, 12);
    s.params.layout.types = {type, type};
    for (const Isa isa : test::isas()) {
      EXPECT_EQ(bits(s.run(isa, pool, {20}, 4096)), bits(s.run(isa, pool, {20})))
          << kv_type_name(type) << " " << isa_name(isa);
    }
  }
}

// Latent attention: a value is narrower than its key.
TEST(Attention, KnowsValuesOfAnotherWidth) {
  expect_near(Sequence(16, 1, 576, 32, 70, 8, 512), 70);
  expect_near(Sequence(5, 1, 48, 16, 50, 9, 32), 7);
  expect_near(Sequence(6, 3, 32, 32, 40, 12, 80), 33);
  for (const KvType type : kKvTypes) {
    Sequence s(4, 2, 96, 16, 40, 13, 64);
    s.params.layout.types = {type, type};
    expect_near(s, 11);
  }
}

TEST(Attention, KnowsSlidingWindowsAndSoftcaps) {
  for (const size_t window : {1, 5, 32, 40, 64}) {
    Sequence s(6, 2, 64, 32, 150, 10);
    s.params.window = window;
    expect_near(s, 150);
    expect_near(s, 7);
  }
  Sequence s(6, 2, 64, 32, 50, 11);
  s.params.softcap = 3.0F;
  expect_near(s, 50);
}

TEST(Attention, FollowsFloat64ForEveryPairOfTypes) {
  for (const KvType k : kKvTypes) {
    for (const KvType v : kKvTypes) {
      for (const auto& [heads, head_dim, page_tokens] : std::vector<std::array<size_t, 3>>{
               {9, 64, 32}, {4, 128, 16}, {6, 96, 64}, {5, 32, 16}}) {
        Sequence s(heads, 1, head_dim, page_tokens, 75, 60);
        s.params.layout.types = {k, v};
        expect_near(s, 75);
        expect_near(s, 13);
      }
    }
  }
}

double relative_error(const auto& got, const std::vector<double>& expected) {
  double error = 0;
  double size = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double d = double{got[i]} - expected[i];
    error += d * d;
    size += expected[i] * expected[i];
  }
  return std::sqrt(error / size);
}

// What rounding the cache costs against exact keys and values, relative to the output's size: with
// Gaussian values a block's largest is about 2.5 sigma, so a step is 2.5 / 127 or 2.5 / 8 sigma and
// its uniform error 1 / sqrt(12) of that: 0.6 % and 9 %; keys move the scores as much again. Twice
// that is allowed.
TEST(Attention, KeepsTheErrorOfATypeWithinItsBound) {
  constexpr std::array bounds = {1e-3, 8e-3, 2e-2, 0.3};
  Sequence exact(8, 2, 64, 32, 100, 70);
  ThreadPool pool(1);
  for (size_t i = 0; i < kKvTypes.size(); ++i) {
    Sequence s = exact;
    s.params.layout.types = {kKvTypes[i], kKvTypes[i]};
    const auto expected =
        exact.reference({exact.k.begin(), exact.k.end()}, {exact.v.begin(), exact.v.end()});
    const double error = relative_error(s.run(Isa::kScalar, pool, {100}), expected);
    EXPECT_LT(error, bounds[i]) << kv_type_name(kKvTypes[i]);
    EXPECT_GT(error, bounds[i] / 20) << kv_type_name(kKvTypes[i]);
  }
}

// Keys as models have them: a few dimensions far out, the same in every token. Without the
// transform they take the steps of their block's 4 bits, and nothing is left for the others.
TEST(Attention, LosesLessOfKeysThatStandOut) {
  ThreadPool pool(1);
  for (const auto& [head_dim, value_dim] :
       std::vector<std::array<size_t, 2>>{{64, 64}, {128, 128}, {96, 96}, {576, 512}}) {
    Sequence s(8, 2, head_dim, 32, 100, 75, value_dim);
    for (size_t i = 0; i < s.k.size(); i += 32) s.k[i + 5] += i % head_dim == 0 ? 12.0F : -9.0F;
    for (size_t i = 0; i < s.v.size(); i += 32) s.v[i + 7] *= 8.0F;
    const auto exact = s.reference({s.k.begin(), s.k.end()}, {s.v.begin(), s.v.end()});
    for (const KvType type : {KvType::kQ8_0, KvType::kQ4_0}) {
      s.params.layout.types = {type, type};
      const std::vector<float> k = rounded(type, s.k);
      const std::vector<float> v = rounded(type, s.v);
      const auto plain = s.reference({k.begin(), k.end()}, {v.begin(), v.end()});
      const double error = relative_error(s.run(Isa::kScalar, pool, {100}), exact);
      EXPECT_LT(error, 0.6 * relative_error(plain, exact)) << kv_type_name(type) << " " << head_dim;
    }
  }
}

TEST(Attention, GivesTheSameBitsForEveryTypeAndChunking) {
  for (const KvType k : kKvTypes) {
    for (const KvType v : kKvTypes) {
      Sequence s(9, 3, 64, 32, 133, 80);
      s.params.layout.types = {k, v};
      for (const Isa isa : test::isas()) {
        ThreadPool one(1);
        ThreadPool three(3);
        const auto expected = bits(s.run(isa, one, {1}));
        for (const auto& sizes : std::vector<std::vector<size_t>>{{133}, {5, 1, 40, 2}, {31, 33}}) {
          ASSERT_EQ(bits(s.run(isa, three, sizes)), expected)
              << isa_name(isa) << " " << kv_type_name(k) << " " << kv_type_name(v);
        }
      }
    }
  }
}

TEST(Attention, GivesTheSameBitsForAnyChunkingAndThreads) {
  for (const size_t window : {0, 45}) {
    for (const size_t heads : {3, 9, 24}) {
      Sequence s(heads, 3, 64, 32, 133, 20);
      s.params.window = window;
      for (const Isa isa : test::isas()) {
        ThreadPool one(1);
        const auto expected = bits(s.run(isa, one, {1}));
        for (const auto& sizes :
             std::vector<std::vector<size_t>>{{133}, {16}, {64}, {5, 1, 40, 2}, {31, 33}}) {
          for (const int threads : {1, 2, 3}) {
            ThreadPool pool(threads);
            ASSERT_EQ(bits(s.run(isa, pool, sizes)), expected)
                << isa_name(isa) << " heads " << heads << " threads " << threads;
          }
        }
      }
    }
  }
}

// Several sequences in one call, mixed prefill and decode: each as if alone.
TEST(Attention, GivesTheSameBitsInCompany) {
  const Sequence a(9, 3, 64, 32, 77, 30);
  const Sequence b(9, 3, 64, 32, 40, 31);
  ThreadPool pool(2);
  for (const Isa isa : test::isas()) {
    const Kernels& kernels = kernels_for(isa);
    const KvLayout& layout = a.params.layout;
    const size_t b_base = a.pages.size();
    std::vector<int32_t> b_pages = b.pages;
    for (int32_t& p : b_pages) p += static_cast<int32_t>(b_base);
    std::vector<std::byte> k_pool((b_base + b.pages.size() + 1) * layout.k_page_bytes(), kNanByte);
    std::vector<std::byte> v_pool = k_pool;
    const KvPools pools{k_pool.data(), v_pool.data()};
    // First 76 tokens of a alone, then its last token together with all of b.
    std::vector<float> q(a.q), k(a.k), v(a.v);
    q.insert(q.end(), b.q.begin(), b.q.end());
    k.insert(k.end(), b.k.begin(), b.k.end());
    v.insert(v.end(), b.v.begin(), b.v.end());
    std::vector<float> out(q.size());
    const AttentionChunk first[] = {{0, 76, 0, a.pages}};
    const AttentionChunk second[] = {
        {76, 1, 76, a.pages}, {77, 0, 0, b_pages}, {77, 40, 0, b_pages}};
    for (const auto chunks :
         {std::span<const AttentionChunk>(first), std::span<const AttentionChunk>(second)}) {
      store_kv(kernels, pool, layout, pools, chunks, k.data(), a.kv_dim(), v.data(), a.kv_dim());
      attention(kernels, pool, a.params, pools, chunks, q.data(), a.q_dim(), out.data(), a.q_dim());
    }
    auto expected = a.run(isa, pool, {77});
    const auto tail = b.run(isa, pool, {40});
    expected.insert(expected.end(), tail.begin(), tail.end());
    EXPECT_EQ(bits(out), bits(expected)) << isa_name(isa);
  }
}

// A token that comes later must not reach an earlier one, not even with a NaN.
TEST(Attention, HidesTheFutureEvenWhenItIsNan) {
  ThreadPool pool(1);
  for (const KvType type : kKvTypes) {
    for (const Isa isa : test::isas()) {
      Sequence s(6, 2, 64, 32, 20, 40);
      s.params.layout.types = {type, type};
      const auto clean = s.run(isa, pool, {20});
      for (size_t d = 0; d < s.kv_dim(); ++d) {
        s.k[10 * s.kv_dim() + d] = std::numeric_limits<float>::quiet_NaN();
        s.v[10 * s.kv_dim() + d] = std::numeric_limits<float>::infinity();
      }
      const auto poisoned = s.run(isa, pool, {20});
      for (size_t i = 0; i < 10 * s.q_dim(); ++i) ASSERT_EQ(poisoned[i], clean[i]) << isa_name(isa);
      for (size_t i = 10 * s.q_dim(); i < poisoned.size(); ++i)
        ASSERT_TRUE(std::isnan(poisoned[i]));
    }
  }
}

TEST(Attention, StoresBothPools) {
  ThreadPool pool(1);
  for (const Isa isa : test::isas()) {
    const KvLayout layout{16, 2, 16, 16};
    const size_t elements = 16 * 2 * 16;  // of a page
    std::vector<uint16_t> k_pool(3 * elements, 0);
    std::vector<uint16_t> v_pool = k_pool;
    const KvPools pools{reinterpret_cast<std::byte*>(k_pool.data()),
                        reinterpret_cast<std::byte*>(v_pool.data())};
    const auto k = random_floats(2 * 32, 50);
    const auto v = random_floats(2 * 32, 51);
    const std::vector<int32_t> pages = {2, 1};
    const AttentionChunk chunk{0, 2, 15, pages};
    store_kv(kernels_for(isa), pool, layout, pools, {&chunk, 1}, k.data(), 32, v.data(), 32);
    // Token 1 is position 16: page 1, slot 0. Head 1, dimension 5.
    EXPECT_EQ(k_pool[elements + (16 + 5) * 16], quant::f32_to_f16(k[32 + 16 + 5]));
    EXPECT_EQ(v_pool[elements + 16 * 16 + 5], quant::f32_to_f16(v[32 + 16 + 5]));
    EXPECT_EQ(k_pool[2 * elements + 3 * 16 + 15], quant::f32_to_f16(k[3]));
    EXPECT_EQ(k_pool[0], 0);
  }
}

// Blocks as quant::encode makes them, also where rounding is a tie or both signs are largest; one
// that it refuses gets a scale of NaN.
TEST(KvBlocks, AreThoseOfGgml) {
  constexpr size_t kDim = 512;
  std::vector<float> x = random_floats(kDim, 90, 3.0F);
  for (size_t i = 0; i < 32; ++i) {
    x[32 + i] = static_cast<float>(i) * 0.5F - 4.0F;  // halves
    x[64 + i] = static_cast<float>(i) - 16.5F;        // halves of a step of 1
    x[96 + i] = 0.0F;
    x[128 + i] = x[128 + i] * 1e-33F;
    x[160 + i] = i % 2 == 0 ? 8.0F : -8.0F;
    x[192 + i] = i % 2 == 0 ? -8.0F : 8.0F;
    x[224 + i] = x[224 + i] * 1e5F;
  }
  x[64] = -127.0F;
  x[63] = 8.0F;
  x[31] = -20.0F;
  x[256] = std::numeric_limits<float>::quiet_NaN();
  x[300] = -std::numeric_limits<float>::infinity();
  x[340] = 3e38F;
  for (const Isa isa : test::isas()) {
    for (const KvType type : {KvType::kQ8_0, KvType::kQ4_0}) {
      std::vector<std::byte> row(kv_row_bytes(type, kDim));
      kernels_for(isa).encode_kv(type, x.data(), kDim, row.data());
      const size_t bytes = kv_row_bytes(type, kKvBlock);
      std::vector<std::byte> block(bytes);
      for (size_t b = 0; b < kDim / kKvBlock; ++b) {
        const std::span<const std::byte> got(row.data() + b * bytes, bytes);
        const std::span<const float> values(x.data() + b * kKvBlock, kKvBlock);
        if (!quant::encode(tensor_type(type), values, block).ok()) {
          EXPECT_TRUE(b >= 7 && b <= 10) << b;
          EXPECT_EQ(got[0], std::byte{0x00});
          EXPECT_EQ(got[1], std::byte{0x7e});
          continue;
        }
        EXPECT_TRUE(std::equal(got.begin(), got.end(), block.begin()))
            << isa_name(isa) << " " << kv_type_name(type) << " block " << b;
      }
    }
  }
}

// Each head transformed for itself; values stand in their page as ggml's blocks.
TEST(Attention, StoresTransformedBlocks) {
  constexpr size_t kDim = 96;
  const std::vector<float> x = random_floats(2 * kDim, 91, 3.0F);
  std::vector<float> transformed = x;
  for (size_t h = 0; h < 2; ++h)
    kernels_for(Isa::kScalar).hadamard(transformed.data() + h * kDim, kDim);
  ThreadPool pool(1);
  const std::vector<int32_t> pages = {0};
  const AttentionChunk chunk{0, 1, 3, pages};
  for (const Isa isa : test::isas()) {
    for (const KvType type : {KvType::kQ8_0, KvType::kQ4_0}) {
      const KvLayout layout{16, 2, kDim, kDim, {type, type}};
      std::vector<std::byte> k_pool(layout.k_page_bytes()), v_pool(layout.v_page_bytes());
      store_kv(kernels_for(isa), pool, layout, {k_pool.data(), v_pool.data()}, {&chunk, 1},
               x.data(), 2 * kDim, x.data(), 2 * kDim);
      const size_t bytes = kv_row_bytes(type, kKvBlock);
      std::vector<std::byte> block(bytes);
      for (size_t b = 0; b < 2 * kDim / kKvBlock; ++b) {
        const std::span<const float> values(transformed.data() + b * kKvBlock, kKvBlock);
        ASSERT_TRUE(quant::encode(tensor_type(type), values, block).ok());
        const size_t head = b / 3;
        const std::byte* v = v_pool.data() + ((head * 16 + 3) * 3 + b % 3) * bytes;
        EXPECT_TRUE(std::equal(block.begin(), block.end(), v)) << isa_name(isa) << " block " << b;
        const std::byte* k = k_pool.data() + b * bytes * 16;
        EXPECT_TRUE(std::equal(block.begin(), block.begin() + 2, k + 3 * 2));
        for (size_t i = 2; i < bytes; ++i) EXPECT_EQ(k[32 + (i - 2) * 16 + 3], block[i]);
      }
    }
  }
}

// By its definition; twice is once back; products stay; every ISA gives the same bits.
TEST(Hadamard, IsOrthonormalAndItsOwnInverse) {
  for (const size_t dim : {32, 64, 96, 128, 256, 320, 512, 576}) {
    const std::vector<float> x = random_floats(dim, 92);
    const std::vector<float> y = random_floats(dim, 93);
    const std::vector<double> expected = hadamard(x, hadamard_width(dim));
    std::vector<uint32_t> first;
    for (const Isa isa : test::isas()) {
      const Kernels& kernels = kernels_for(isa);
      std::vector<float> hx = x;
      std::vector<float> hy = y;
      kernels.hadamard(hx.data(), dim);
      kernels.hadamard(hy.data(), dim);
      double before = 0;
      double after = 0;
      for (size_t i = 0; i < dim; ++i) {
        ASSERT_NEAR(hx[i], expected[i], 2e-6) << isa_name(isa) << " " << dim << " at " << i;
        before += double{x[i]} * y[i];
        after += double{hx[i]} * hy[i];
      }
      EXPECT_NEAR(after, before, 1e-5 * std::sqrt(static_cast<double>(dim)));
      if (first.empty()) first = bits(hx);
      EXPECT_EQ(bits(hx), first) << isa_name(isa) << " " << dim;
      kernels.hadamard(hx.data(), dim);
      for (size_t i = 0; i < dim; ++i) ASSERT_NEAR(hx[i], x[i], 2e-6);
    }
  }
}

TEST(KvTypes, KnowTheirNamesAndSizes) {
  for (const KvType type : kKvTypes) {
    EXPECT_EQ(parse_kv_type(kv_type_name(type)).value(), type);
    const gguf::TypeInfo& info = *gguf::type_info(tensor_type(type));
    EXPECT_EQ(kv_row_bytes(type, 96), 96 / info.block_elements * info.block_bytes);
  }
  EXPECT_EQ(kv_types_name({KvType::kQ8_0, KvType::kQ8_0}), "q8_0");
  EXPECT_EQ(kv_types_name({KvType::kQ8_0, KvType::kQ4_0}), "q8_0/q4_0");
  const auto bad = parse_kv_type("q5_1");
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.error().code, ErrorCode::kUsage);
  EXPECT_EQ(bad.error().message,
            "there is no KV cache type \"q5_1\"; there are f16, bf16, q8_0, q4_0");
}

TEST(KvTypes, RefuseHeadsThatBlocksDoNotDivide) {
  EXPECT_TRUE(check_kv_types({KvType::kF16, KvType::kBF16}, 80, 80).ok());
  EXPECT_TRUE(check_kv_types({KvType::kQ8_0, KvType::kQ4_0}, 96, 96).ok());
  EXPECT_TRUE(check_kv_types({KvType::kF16, KvType::kQ4_0}, 80, 64).ok());
  EXPECT_FALSE(check_kv_types({KvType::kF16, KvType::kQ4_0}, 96, 80).ok());
  for (const KvTypes types :
       {KvTypes{KvType::kQ8_0, KvType::kF16}, {KvType::kF16, KvType::kQ4_0}}) {
    const Status status = check_kv_types(types, 80, 80);
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, ErrorCode::kUnsupported);
    EXPECT_NE(status.error().message.find("head dimension is 80"), std::string::npos);
  }
}

}  // namespace
}  // namespace weir::kernels
