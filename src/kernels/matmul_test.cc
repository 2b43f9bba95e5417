#include "kernels/matmul.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "kernels/test_util.h"

namespace weir::kernels {
namespace {

using gguf::TensorType;
using test::random_floats;
using test::random_matrix;

constexpr TensorType kTypes[] = {
    TensorType::kF32,   TensorType::kF16,    TensorType::kBF16,   TensorType::kQ4_0,
    TensorType::kQ4_1,  TensorType::kQ8_0,   TensorType::kQ5_0,   TensorType::kQ5_1,
    TensorType::kQ2_K,  TensorType::kQ3_K,   TensorType::kQ4_K,   TensorType::kQ5_K,
    TensorType::kQ6_K,  TensorType::kIQ1_M,  TensorType::kIQ2_XS, TensorType::kIQ3_S,
    TensorType::kMXFP4, TensorType::kIQ4_NL, TensorType::kIQ4_XS, TensorType::kTQ2_0,
    TensorType::kNVFP4, TensorType::kF64};

std::vector<uint32_t> bits(const std::vector<float>& values) {
  std::vector<uint32_t> out;
  for (const float v : values) out.push_back(std::bit_cast<uint32_t>(v));
  return out;
}

// The activation that the integer kernels see: blocks of 32 rounded to amax / 127.
std::vector<double> rounded(const float* x, size_t cols) {
  std::vector<double> out(cols);
  for (size_t b = 0; b < cols; b += 32) {
    float amax = 0;
    for (size_t k = b; k < b + 32; ++k) amax = std::max(amax, std::fabs(x[k]));
    for (size_t k = b; k < b + 32; ++k) {
      out[k] = amax == 0
                   ? 0.0
                   : std::nearbyint(x[k] * (127.0F / amax)) * static_cast<double>(amax / 127.0F);
    }
  }
  return out;
}

struct Shape {
  size_t rows, cols, tokens;
};

class MatmulTypes : public testing::TestWithParam<TensorType> {};

// Against float64 over quant::decode. Native formats keep their weights exactly, so only f32
// summation remains; IQ4_XS rounds scale products to f16 and the others round weights to 8 bits.
TEST_P(MatmulTypes, FollowTheFloat64Reference) {
  const TensorType type = GetParam();
  const bool integer = *panel_format(type) >= PanelFormat::kQ4;
  const bool recoded = *panel_format(type) == PanelFormat::kQ8 && type != TensorType::kQ8_0;
  const bool exact = !recoded && type != TensorType::kIQ4_XS;
  ThreadPool pool(2);
  for (const Shape s :
       {Shape{16, 256, 1}, {192, 576, 3}, {37, 1536, 13}, {1, 256, 2}, {100, 768, 25}}) {
    const size_t cols = s.cols % gguf::type_info(type)->block_elements == 0 ? s.cols : 768;
    const auto bytes = random_matrix(type, s.rows, cols, 1);
    const auto weights = test::decoded(type, bytes, s.rows * cols);
    ASSERT_FALSE(weights.empty());
    const auto x = random_floats(s.tokens * cols, 2);
    for (const Isa isa : test::isas()) {
      const PackedMatrix w = test::packed(type, bytes, s.rows, cols, isa, pool);
      ASSERT_FALSE(w.empty());
      EXPECT_EQ(w.bytes(), packed_bytes(w.format(), s.rows, cols, isa));
      const auto y = test::product(w, pool, x.data(), s.tokens);
      for (size_t t = 0; t < s.tokens; ++t) {
        std::vector<double> row(x.begin() + static_cast<ptrdiff_t>(t * cols),
                                x.begin() + static_cast<ptrdiff_t>((t + 1) * cols));
        if (integer) row = rounded(x.data() + t * cols, cols);
        for (size_t r = 0; r < s.rows; ++r) {
          double sum = 0;
          double magnitude = 0;
          for (size_t k = 0; k < cols; ++k) {
            const double product = row[k] * weights[r * cols + k];
            sum += product;
            magnitude += std::fabs(product);
          }
          const double bound = magnitude * (exact ? 1e-5 : 2e-3);
          ASSERT_NEAR(y[t * s.rows + r], sum, bound)
              << isa_name(isa) << " token " << t << " row " << r;
        }
      }
    }
  }
}

// Integer formats: exact sums per block, then the same fma in the same order everywhere.
TEST_P(MatmulTypes, GiveTheSameBitsOnEveryIsaForIntegerFormats) {
  const TensorType type = GetParam();
  if (*panel_format(type) < PanelFormat::kQ4)
    GTEST_SKIP() << "float formats use fma only where the ISA has it";
  ThreadPool pool(1);
  const size_t rows = 53;
  const size_t cols = 768;
  const auto bytes = random_matrix(type, rows, cols, 3);
  const auto x = random_floats(14 * cols, 4);
  const auto expected = bits(
      test::product(test::packed(type, bytes, rows, cols, Isa::kScalar, pool), pool, x.data(), 14));
  for (const Isa isa : test::isas()) {
    EXPECT_EQ(
        bits(test::product(test::packed(type, bytes, rows, cols, isa, pool), pool, x.data(), 14)),
        expected)
        << isa_name(isa);
  }
}

TEST_P(MatmulTypes, GiveARowTheSameBitsAloneAndInAnyBatch) {
  const TensorType type = GetParam();
  ThreadPool pool(1);
  const size_t rows = 40;
  const size_t cols = 512;
  const auto bytes = random_matrix(type, rows, cols, 5);
  const auto x = random_floats(40 * cols, 6);
  for (const Isa isa : test::isas()) {
    const PackedMatrix w = test::packed(type, bytes, rows, cols, isa, pool);
    std::vector<uint32_t> alone;
    for (size_t t = 0; t < 40; ++t) {
      for (const uint32_t b : bits(test::product(w, pool, x.data() + t * cols, 1)))
        alone.push_back(b);
    }
    for (size_t m = 1; m <= 40; ++m) {
      // The batch ends with the last token, so that every token meets every place.
      const size_t first = 40 - m;
      const auto y = bits(test::product(w, pool, x.data() + first * cols, m));
      ASSERT_TRUE(
          std::equal(y.begin(), y.end(), alone.begin() + static_cast<ptrdiff_t>(first * rows)))
          << isa_name(isa) << " m " << m;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, MatmulTypes, testing::ValuesIn(kTypes),
                         [](const auto& type) { return gguf::type_name(type.param); });

TEST(Matmul, GivesTheSameBitsWithAnyNumberOfThreads) {
  for (const TensorType type : {TensorType::kQ4_1, TensorType::kF16}) {
    for (const Isa isa : test::isas()) {
      std::vector<uint32_t> expected;
      for (const int threads : {1, 2, 3}) {
        ThreadPool pool(threads);
        const size_t rows = 1000;
        const size_t cols = 576;
        const auto bytes = random_matrix(type, rows, cols, 7);
        const auto x = random_floats(30 * cols, 8);
        const auto y = bits(
            test::product(test::packed(type, bytes, rows, cols, isa, pool), pool, x.data(), 30));
        if (threads == 1) expected = y;
        EXPECT_EQ(y, expected) << isa_name(isa) << " threads " << threads;
      }
    }
  }
}

TEST(Matmul, RunsSeveralJobsAndAddsBiasAndResidual) {
  ThreadPool pool(2);
  const size_t cols = 576;
  const auto x = random_floats(5 * cols, 9);
  for (const Isa isa : test::isas()) {
    const Kernels& kernels = kernels_for(isa);
    const PackedMatrix q = test::packed(
        TensorType::kQ4_1, random_matrix(TensorType::kQ4_1, 576, cols, 10), 576, cols, isa, pool);
    const PackedMatrix k = test::packed(
        TensorType::kQ8_0, random_matrix(TensorType::kQ8_0, 19, cols, 11), 19, cols, isa, pool);
    const auto q_alone = test::product(q, pool, x.data(), 5);
    const auto k_alone = test::product(k, pool, x.data(), 5);
    const auto bias = random_floats(19, 12);
    Activations a;
    a.quantize(kernels, pool, x.data(), cols, 5, cols);
    std::vector<float> q_out(5 * 600, 3.0F);
    std::vector<float> k_out(5 * 20, 0.5F);
    const MatmulJob jobs[] = {{&q, q_out.data(), 600}, {&k, k_out.data(), 20, bias.data(), true}};
    matmul(kernels, pool, a, jobs);
    for (size_t t = 0; t < 5; ++t) {
      for (size_t r = 0; r < 576; ++r) ASSERT_EQ(q_out[t * 600 + r], q_alone[t * 576 + r]);
      for (size_t r = 576; r < 600; ++r)
        ASSERT_EQ(q_out[t * 600 + r], 3.0F) << "wrote past the rows";
      for (size_t r = 0; r < 19; ++r) {
        ASSERT_EQ(k_out[t * 20 + r], (0.5F + k_alone[t * 19 + r]) + bias[r]);
      }
      ASSERT_EQ(k_out[t * 20 + 19], 0.5F) << "wrote past the rows";
    }
  }
}

TEST(Matmul, GatesWithSiluInOneRegion) {
  ThreadPool pool(2);
  const size_t cols = 256;
  const size_t rows = 75;
  const auto x = random_floats(13 * cols, 13, 3.0F);
  for (const Isa isa : test::isas()) {
    const PackedMatrix gate = test::packed(
        TensorType::kQ4_0, random_matrix(TensorType::kQ4_0, rows, cols, 14), rows, cols, isa, pool);
    const PackedMatrix up = test::packed(
        TensorType::kQ4_0, random_matrix(TensorType::kQ4_0, rows, cols, 15), rows, cols, isa, pool);
    const auto g = test::product(gate, pool, x.data(), 13);
    const auto u = test::product(up, pool, x.data(), 13);
    const auto gate_bias = random_floats(rows, 16);
    Activations a;
    a.quantize(kernels_for(isa), pool, x.data(), cols, 13, cols);
    std::vector<float> y(13 * rows);
    matmul_gated(kernels_for(isa), pool, a, gate, up, Activation::kSilu, y.data(), rows,
                 gate_bias.data());
    for (size_t i = 0; i < y.size(); ++i) {
      const double v = g[i] + gate_bias[i % rows];
      const double expected = v / (1 + std::exp(-v)) * u[i];
      ASSERT_NEAR(y[i], expected, 1e-6 + 1e-5 * std::fabs(expected)) << isa_name(isa);
    }
  }
}

TEST(Matmul, NormsAndQuantizesInOnePass) {
  ThreadPool pool(2);
  const size_t cols = 576;
  const auto x = random_floats(30 * cols, 17, 5.0F);
  const auto weight = random_floats(cols, 18);
  for (const Isa isa : test::isas()) {
    const Kernels& kernels = kernels_for(isa);
    const PackedMatrix w = test::packed(
        TensorType::kQ4_0, random_matrix(TensorType::kQ4_0, 33, cols, 19), 33, cols, isa, pool);
    std::vector<float> normed(30 * cols);
    for (size_t t = 0; t < 30; ++t) {
      double sum = 0;
      for (size_t k = 0; k < cols; ++k)
        sum += static_cast<double>(x[t * cols + k]) * x[t * cols + k];
      const double scale = 1 / std::sqrt(sum / cols + 1e-5);
      for (size_t k = 0; k < cols; ++k)
        normed[t * cols + k] = static_cast<float>(x[t * cols + k] * scale * weight[k]);
    }
    Activations a;
    a.quantize_rms_norm(kernels, pool, x.data(), cols, 30, cols, weight.data(), 1e-5F);
    for (size_t i = 0; i < normed.size(); ++i) ASSERT_NEAR(a.x()[i], normed[i], 1e-5);
    std::vector<float> y(30 * 33);
    const MatmulJob job{&w, y.data(), 33};
    matmul(kernels, pool, a, {&job, 1});
    EXPECT_EQ(bits(y), bits(test::product(w, pool, a.x(), 30)));
  }
}

TEST(Matmul, SurvivesHostileActivations) {
  ThreadPool pool(1);
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const TensorType type :
       {TensorType::kQ4_0, TensorType::kQ4_1, TensorType::kQ8_0, TensorType::kF16}) {
    for (const Isa isa : test::isas()) {
      const PackedMatrix w = test::packed(type, random_matrix(type, 16, 64, 20), 16, 64, isa, pool);
      for (const float bad : {nan, inf, -inf}) {
        std::vector<float> x = random_floats(2 * 64, 21);
        const auto clean = test::product(w, pool, x.data(), 2);
        x[5] = bad;  // of token 0
        const auto y = test::product(w, pool, x.data(), 2);
        for (size_t r = 0; r < 16; ++r) EXPECT_FALSE(std::isfinite(y[r])) << isa_name(isa);
        for (size_t r = 16; r < 32; ++r) EXPECT_EQ(y[r], clean[r]) << "a neighbour was touched";
      }
      for (const float odd : {1e-38F, 1e-45F, 1e30F, 0.0F}) {
        const std::vector<float> x(64, odd);
        for (const float v : test::product(w, pool, x.data(), 1))
          EXPECT_FALSE(std::isnan(v)) << odd;
      }
    }
  }
}

TEST(Matmul, AcceptsNoTokens) {
  ThreadPool pool(2);
  const PackedMatrix w = test::packed(
      TensorType::kQ4_0, random_matrix(TensorType::kQ4_0, 16, 64, 22), 16, 64, Isa::kScalar, pool);
  EXPECT_TRUE(test::product(w, pool, nullptr, 0).empty());
}

TEST(Matmul, TakesOddColumnsForFloatFormats) {
  ThreadPool pool(1);
  const auto x = random_floats(2 * 37, 23);
  for (const Isa isa : test::isas()) {
    const auto bytes = random_matrix(TensorType::kF16, 5, 37, 24);
    const auto weights = test::decoded(TensorType::kF16, bytes, 5 * 37);
    const auto y =
        test::product(test::packed(TensorType::kF16, bytes, 5, 37, isa, pool), pool, x.data(), 2);
    for (size_t i = 0; i < 10; ++i) {
      double sum = 0;
      for (size_t k = 0; k < 37; ++k)
        sum += static_cast<double>(x[i / 5 * 37 + k]) * weights[i % 5 * 37 + k];
      EXPECT_NEAR(y[i], sum, 1e-5);
    }
  }
}

}  // namespace
}  // namespace weir::kernels
