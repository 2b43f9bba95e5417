#include "kernels/ops.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <numbers>

#include "kernels/table.h"
#include "kernels/test_util.h"

namespace weir::kernels {
namespace {

using test::random_floats;

constexpr size_t kSizes[] = {1, 2, 7, 8, 15, 16, 17, 63, 64, 65, 576, 1000};
const float kInf = std::numeric_limits<float>::infinity();
const float kNan = std::numeric_limits<float>::quiet_NaN();

TEST(Ops, SoftmaxFollowsFloat64) {
  for (const Isa isa : test::isas()) {
    for (const size_t n : kSizes) {
      std::vector<float> x = random_floats(n, 1, 20.0F);
      double top = -1e300;
      double sum = 0;
      for (const float v : x) top = std::max<double>(top, v);
      for (const float v : x) sum += std::exp(v - top);
      std::vector<float> y = x;
      softmax(kernels_for(isa), y.data(), n);
      for (size_t i = 0; i < n; ++i) {
        const double expected = std::exp(x[i] - top) / sum;
        // x - max is rounded to f32, which exp turns into a relative error.
        const double bound = (1e-6 + std::fabs(x[i] - top) * 0x1p-24) * expected + 1e-37;
        EXPECT_NEAR(y[i], expected, bound) << isa_name(isa) << " " << n;
      }
    }
    std::vector<float> masked = {0.0F, -kInf, 0.0F};
    softmax(kernels_for(isa), masked.data(), 3);
    EXPECT_EQ(masked, (std::vector<float>{0.5F, 0.0F, 0.5F}));
  }
}

TEST(Ops, LogSumExpFollowsFloat64) {
  for (const Isa isa : test::isas()) {
    const Kernels& k = kernels_for(isa);
    for (const size_t n : {size_t{1}, size_t{5}, size_t{1023}, size_t{1025}, size_t{49152}}) {
      const auto x = random_floats(n, 4, 12.0F);
      const double max = *std::max_element(x.begin(), x.end());
      double sum = 0;
      for (const float v : x) sum += std::exp(static_cast<double>(v) - max);
      EXPECT_NEAR(exp_sum(k, x.data(), n, static_cast<float>(max)), sum, 2e-6 * sum) << n;
      EXPECT_NEAR(log_sum_exp(k, x.data(), n), max + std::log(sum), 2e-6) << isa_name(isa) << n;
    }
    for (const float bad : {kNan, kInf}) {
      std::vector<float> x(40, 1.0F);
      x[37] = bad;
      EXPECT_FALSE(std::isfinite(log_sum_exp(k, x.data(), x.size()))) << isa_name(isa) << bad;
    }
  }
}

TEST(Ops, MassAndGapFollowFloat64AboveTheFloor) {
  for (const Isa isa : test::isas()) {
    const Kernels& k = kernels_for(isa);
    for (const size_t n : {size_t{1}, size_t{17}, size_t{1025}, size_t{5000}}) {
      auto log_p = random_floats(n, 5, 20.0F);
      for (float& v : log_p) v = -std::fabs(v) - 0.1F;
      if (n > 3) log_p[3] = -16;  // at the floor: counts as nothing
      const auto y = random_floats(n, 6, 12.0F);
      double mass = 0, gap = 0;
      for (size_t i = 0; i < n; ++i) {
        if (log_p[i] <= -16) continue;
        const double p = std::exp(static_cast<double>(log_p[i]));
        mass += p;
        gap += p * (static_cast<double>(log_p[i]) - (static_cast<double>(y[i]) - 2.5));
      }
      const MassAndGap got = mass_and_gap(k, log_p.data(), -16, y.data(), 2.5F, n);
      EXPECT_NEAR(got.mass, mass, 2e-6 * mass) << isa_name(isa) << n;
      EXPECT_NEAR(got.gap, gap, 4e-5 * mass) << isa_name(isa) << n;
    }
    std::vector<float> log_p(20, -3.0F), y(20, 0.0F);
    log_p[19] = -50;
    for (const float bad : {kNan, kInf, -kInf}) {
      y[19] = bad;  // refused where it would weigh nothing too
      EXPECT_FALSE(std::isfinite(mass_and_gap(k, log_p.data(), -16, y.data(), 0, 20).gap)) << bad;
    }
  }
}

// exp through softmax of {0, x}: p1 / p0 = exp(x) up to the rounding of the division.
TEST(Ops, ExpStaysWithinItsBound) {
  for (const Isa isa : test::isas()) {
    for (float x = -87.0F; x < 0.0F; x += 0.0137F) {
      float pair[] = {0.0F, x};
      softmax(kernels_for(isa), pair, 2);
      const double e = std::exp(static_cast<double>(x));
      const double expected = e / (1 + e);
      ASSERT_NEAR(pair[1], expected, expected * (kExpMaxRelativeError + 2.4e-7))
          << isa_name(isa) << " " << x;
    }
  }
}

TEST(Ops, SiluMulFollowsFloat64) {
  for (const Isa isa : test::isas()) {
    for (const size_t n : kSizes) {
      const auto g = random_floats(n, 2, 10.0F);
      const auto u = random_floats(n, 3);
      std::vector<float> y(n);
      silu_mul(kernels_for(isa), g.data(), u.data(), n, y.data());
      for (size_t i = 0; i < n; ++i) {
        const double expected = g[i] / (1 + std::exp(-static_cast<double>(g[i]))) * u[i];
        EXPECT_NEAR(y[i], expected, 1e-6 * std::fabs(expected) + 1e-30) << isa_name(isa);
      }
    }
    const float gates[] = {-1000.0F, 1000.0F, -kInf, kNan};
    const float ones[] = {1, 1, 1, 1};
    float y[4];
    silu_mul(kernels_for(isa), gates, ones, 4, y);
    EXPECT_NEAR(y[0], 0.0F, 1e-30F);
    EXPECT_EQ(y[1], 1000.0F);
    EXPECT_TRUE(std::isnan(y[3]));
  }
}

// A value's bits do not depend on where it stands: tails take the vector path.
TEST(Ops, SiluMulGivesTheSameBitsAtAnyOffset) {
  const auto g = random_floats(40, 4, 5.0F);
  const auto u = random_floats(40, 5);
  for (const Isa isa : test::isas()) {
    std::vector<float> whole(40);
    silu_mul(kernels_for(isa), g.data(), u.data(), 40, whole.data());
    for (size_t i = 0; i < 40; ++i) {
      float one;
      silu_mul(kernels_for(isa), &g[i], &u[i], 1, &one);
      EXPECT_EQ(std::bit_cast<uint32_t>(one), std::bit_cast<uint32_t>(whole[i]));
    }
  }
}

// What each activation is, in float64.
double exact(Activation activation, double x) {
  switch (activation) {
    case Activation::kSilu:
      return x / (1 + std::exp(-x));
    case Activation::kGeluTanh:
      return 0.5 * x *
             (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
    default:
      return 0.5 * x * (1 + std::erf(x / std::numbers::sqrt2));
  }
}

TEST(Ops, ActivationsFollowFloat64) {
  ThreadPool pool(2);
  for (const Isa isa : test::isas()) {
    for (const Activation activation :
         {Activation::kSilu, Activation::kGeluTanh, Activation::kGelu}) {
      const size_t cols = 577;
      const auto x = random_floats(40 * cols, 21, 12.0F);
      auto y = x;
      activate(kernels_for(isa), pool, activation, y.data(), cols, 40, cols);
      for (size_t i = 0; i < x.size(); ++i) {
        const double want = exact(activation, static_cast<double>(x[i]));
        ASSERT_NEAR(y[i], want, 1e-6 * std::fabs(want) + 4e-7 * std::fabs(x[i]))
            << isa_name(isa) << " " << x[i];
      }
    }
  }
}

TEST(Ops, ActivationsKeepInfinityAndNotANumberApart) {
  ThreadPool pool(1);
  for (const Isa isa : test::isas()) {
    for (const Activation activation : {Activation::kGeluTanh, Activation::kGelu}) {
      float x[] = {1000.0F, -1000.0F, kNan, 0.0F};
      activate(kernels_for(isa), pool, activation, x, 4, 1, 4);
      EXPECT_EQ(x[0], 1000.0F);
      EXPECT_NEAR(x[1], 0.0F, 1e-30F);
      EXPECT_TRUE(std::isnan(x[2]));
      EXPECT_EQ(x[3], 0.0F);
    }
  }
}

TEST(Ops, SwigluOaiClampsGateAndUp) {
  const std::vector<float> g{-3.0F, 0.5F, 7.0F, 50.0F, 2.0F, 2.0F};
  const std::vector<float> u{1.0F, -2.0F, 3.0F, 3.0F, 50.0F, -50.0F};
  for (const Isa isa : test::isas()) {
    std::vector<float> y(g.size());
    kernels_for(isa).gate(Activation::kSwigluOai, g.data(), u.data(), g.size(), y.data());
    for (size_t i = 0; i < g.size(); ++i) {
      const double gate = std::min(static_cast<double>(g[i]), 7.0);
      const double up = std::clamp(static_cast<double>(u[i]), -7.0, 7.0);
      const double want = gate / (1 + std::exp(-1.702 * gate)) * (up + 1);
      EXPECT_NEAR(y[i], want, 1e-5) << isa_name(isa) << " " << i;
    }
  }
}

TEST(Ops, SoftcapAndScaleFollowFloat64) {
  for (const Isa isa : test::isas()) {
    const auto x = random_floats(100, 22, 90.0F);
    auto y = x;
    softcap(kernels_for(isa), 30.0F, y.data(), y.size());
    for (size_t i = 0; i < x.size(); ++i)
      EXPECT_NEAR(y[i], 30.0 * std::tanh(static_cast<double>(x[i]) / 30.0), 2e-5);
    y = x;
    scale(kernels_for(isa), 0.37F, y.data(), y.size());
    for (size_t i = 0; i < x.size(); ++i) EXPECT_EQ(y[i], x[i] * 0.37F);
  }
}

TEST(Ops, LayerNormFollowsFloat64WithAndWithoutBias) {
  for (const Isa isa : test::isas()) {
    for (const size_t cols : kSizes) {
      const auto x = random_floats(cols, 23, 4.0F);
      const auto w = random_floats(cols, 24);
      const auto b = random_floats(cols, 25);
      for (const float* bias : {static_cast<const float*>(nullptr), b.data()}) {
        std::vector<float> y(cols);
        kernels_for(isa).layer_norm_row(x.data(), cols, w.data(), bias, 1e-5F, y.data());
        double mean = 0;
        for (const float v : x) mean += static_cast<double>(v) / static_cast<double>(cols);
        double variance = 0;
        for (const float v : x) variance += (v - mean) * (v - mean) / static_cast<double>(cols);
        for (size_t i = 0; i < cols; ++i) {
          const double want = (x[i] - mean) / std::sqrt(variance + 1e-5) * w[i] +
                              (bias == nullptr ? 0.0 : static_cast<double>(bias[i]));
          ASSERT_NEAR(y[i], want, 2e-5) << isa_name(isa) << " " << cols;
        }
      }
    }
  }
}

TEST(Ops, RmsNormFollowsFloat64InPlaceAndOverThePool) {
  for (const int threads : {1, 2}) {
    ThreadPool pool(threads);
    for (const Isa isa : test::isas()) {
      for (const size_t cols : kSizes) {
        const size_t rows = cols == 576 ? 100 : 3;
        const auto x = random_floats(rows * cols, 6, 4.0F);
        const auto w = random_floats(cols, 7);
        std::vector<float> y = x;
        rms_norm(kernels_for(isa), pool, y.data(), cols, rows, cols, w.data(), 1e-5F, y.data(),
                 cols);
        for (size_t r = 0; r < rows; ++r) {
          double sum = 0;
          for (size_t i = 0; i < cols; ++i)
            sum += static_cast<double>(x[r * cols + i]) * x[r * cols + i];
          const double scale = 1 / std::sqrt(sum / static_cast<double>(cols) + 1e-5);
          for (size_t i = 0; i < cols; ++i) {
            ASSERT_NEAR(y[r * cols + i], x[r * cols + i] * scale * w[i], 1e-5)
                << isa_name(isa) << " " << cols;
          }
        }
      }
    }
  }
}

TEST(Ops, RmsNormHeadsNormsEachHead) {
  ThreadPool pool(1);
  for (const Isa isa : test::isas()) {
    const auto x = random_floats(2 * 100, 8);
    const auto w = random_floats(32, 9);
    std::vector<float> y = x;
    rms_norm_heads(kernels_for(isa), pool, y.data(), 100, 2, 3, 32, w.data(), 1e-6F);
    std::vector<float> head(32);
    rms_norm(kernels_for(isa), pool, x.data() + 100 + 64, 32, 1, 32, w.data(), 1e-6F, head.data(),
             32);
    for (size_t i = 0; i < 32; ++i) EXPECT_EQ(y[100 + 64 + i], head[i]);
    for (size_t i = 96; i < 100; ++i) EXPECT_EQ(y[i], x[i]) << "past the heads";
  }
}

TEST(Ops, RopeRotatesPairs) {
  ThreadPool pool(2);
  constexpr size_t kHeadDim = 40;
  constexpr size_t kDims = 24;
  const auto x = random_floats(3 * 2 * kHeadDim, 10);
  const auto angles = random_floats(3 * kDims / 2, 11, 3.0F);
  std::vector<float> cos;
  std::vector<float> sin;
  for (const float a : angles) {
    cos.push_back(std::cos(a));
    sin.push_back(std::sin(a));
  }
  for (const RopeStyle style : {RopeStyle::kInterleaved, RopeStyle::kHalves}) {
    for (const Isa isa : test::isas()) {
      std::vector<float> y = x;
      rope(kernels_for(isa), pool, y.data(), 2 * kHeadDim, 3, 2, kHeadDim, kDims, style, cos.data(),
           sin.data());
      for (size_t r = 0; r < 3; ++r) {
        for (size_t h = 0; h < 2; ++h) {
          const size_t at = (r * 2 + h) * kHeadDim;
          for (size_t i = 0; i < kDims / 2; ++i) {
            const size_t a = at + (style == RopeStyle::kInterleaved ? 2 * i : i);
            const size_t b = at + (style == RopeStyle::kInterleaved ? 2 * i + 1 : i + kDims / 2);
            const float c = cos[r * kDims / 2 + i];
            const float s = sin[r * kDims / 2 + i];
            EXPECT_NEAR(y[a], x[a] * c - x[b] * s, 1e-6);
            EXPECT_NEAR(y[b], x[a] * s + x[b] * c, 1e-6);
          }
          for (size_t i = kDims; i < kHeadDim; ++i) EXPECT_EQ(y[at + i], x[at + i]);
        }
      }
    }
  }
}

TEST(Ops, ArgmaxTakesTheFirstOfEqualsAndIgnoresNan) {
  for (const Isa isa : test::isas()) {
    const Kernels& k = kernels_for(isa);
    for (const size_t n : kSizes) {
      auto x = random_floats(n, 12);
      const size_t expected = static_cast<size_t>(std::max_element(x.begin(), x.end()) - x.begin());
      EXPECT_EQ(argmax(k, x.data(), n), expected);
      if (n > 2) {
        x[n - 1] = x[n / 2] = 100.0F;
        x[0] = kNan;
        EXPECT_EQ(argmax(k, x.data(), n), n / 2);
      }
    }
    const float nans[] = {kNan, kNan};
    EXPECT_EQ(argmax(k, nans, 2), 0U);
    const float low[] = {kNan, -kInf};
    EXPECT_EQ(argmax(k, low, 2), 1U);
  }
}

TEST(Ops, AddsAndDots) {
  for (const Isa isa : test::isas()) {
    const Kernels& k = kernels_for(isa);
    for (const size_t n : kSizes) {
      const auto a = random_floats(n, 13);
      const auto b = random_floats(n, 14);
      std::vector<float> y = b;
      add(k, a.data(), n, y.data());
      double sum = 0;
      for (size_t i = 0; i < n; ++i) {
        EXPECT_EQ(y[i], b[i] + a[i]);
        sum += static_cast<double>(a[i]) * b[i];
      }
      EXPECT_NEAR(dot(k, a.data(), b.data(), n), sum, 1e-4);
      std::vector<float> rows(2 * n, 1.0F);
      add_bias(k, a.data(), 2, n, rows.data(), n);
      for (size_t i = 0; i < 2 * n; ++i) EXPECT_EQ(rows[i], 1.0F + a[i % n]);
    }
  }
}

}  // namespace
}  // namespace weir::kernels
