#include "bench/report/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/rng.h"

namespace weir::bench {
namespace {

std::vector<double> lognormal(uint64_t seed, size_t n) {
  Rng rng(seed);
  std::vector<double> out;
  for (size_t i = 0; i < n; ++i) {
    double normal = -6;
    for (int k = 0; k < 12; ++k) normal += rng.unit();
    out.push_back(20 * std::exp(2 * normal));
  }
  return out;
}

// The exact value of rank ceil(q n).
double exact(const std::vector<double>& sorted, double q) {
  const auto rank = static_cast<size_t>(std::ceil(q * static_cast<double>(sorted.size()) - 1e-9));
  return sorted[std::max<size_t>(rank, 1) - 1];
}

TEST(Histogram, QuantilesAreWithinTheStatedErrorOfTheExactOnes) {
  for (int digits = Histogram::kMinDigits; digits <= Histogram::kMaxDigits; ++digits) {
    std::vector<double> values = lognormal(static_cast<uint64_t>(digits), 20'000);
    Histogram h(digits);
    for (const double v : values) h.record(v);
    std::sort(values.begin(), values.end());
    const double bound = 0.5 * std::pow(10.0, -digits);
    for (const double q : {0.0, 0.001, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999, 0.9999, 1.0}) {
      const double want = exact(values, q);
      EXPECT_NEAR(h.quantile(q), want, want * bound) << digits << " digits, q " << q;
    }
    EXPECT_EQ(h.count(), 20'000);
    EXPECT_EQ(h.min(), values.front());
    EXPECT_EQ(h.max(), values.back());
    EXPECT_NEAR(h.mean(), 20 * std::exp(2), 20);
  }
}

TEST(Histogram, MergeIsTheHistogramOfAll) {
  Histogram all(3), left(3), right(3);
  const std::vector<double> values = lognormal(5, 5000);
  for (size_t i = 0; i < values.size(); ++i) {
    all.record(values[i]);
    (i % 3 == 0 ? left : right).record(values[i]);
  }
  Histogram merged(3);
  merged.merge(Histogram(3));
  merged.merge(right);
  merged.merge(left);
  EXPECT_EQ(merged.count(), all.count());
  EXPECT_EQ(merged.min(), all.min());
  EXPECT_EQ(merged.max(), all.max());
  EXPECT_NEAR(merged.sum(), all.sum(), 1e-6 * all.sum());
  for (double q = 0; q <= 1; q += 0.01) EXPECT_EQ(merged.quantile(q), all.quantile(q));
}

TEST(Histogram, MemoryStaysWithinItsBound) {
  Histogram h(3);
  for (int e = -30; e < 60; ++e) h.record(std::ldexp(1.0, e), 1'000'000'000);
  h.record(-5);
  h.record(std::numeric_limits<double>::infinity());
  h.record(std::numeric_limits<double>::quiet_NaN());
  EXPECT_EQ(h.count(), 90'000'000'002);
  EXPECT_LE(h.memory_bytes(), 8u * static_cast<size_t>(h.bucket_count()) * 2);
  EXPECT_EQ(h.bucket_count(), 1 + 37 * 1024);
  EXPECT_EQ(h.min(), -5);
}

TEST(Histogram, EveryValueLiesInItsBucket) {
  const Histogram empty(2);
  EXPECT_EQ(empty.quantile(0.5), 0);
  for (const double v : {0.0, 0.0009, 0x1p-10, 0.5, 1.0, 1.007, 1.0078125, 99.9, 1e6, 1.3e8}) {
    Histogram h(2);
    h.record(v);
    ASSERT_EQ(h.buckets().size(), 1u);
    const auto [from, to] = h.bounds(h.buckets()[0].index);
    EXPECT_LE(from, v);
    EXPECT_LT(v, to);
    EXPECT_EQ(h.quantile(0.3), v);  // clamped to [min, max]
  }
}

TEST(Histogram, ShareBelowIsTheCurve) {
  Histogram h(2);
  for (int i = 1; i <= 100; ++i) h.record(i);
  EXPECT_EQ(h.share_below(0.5), 0);
  EXPECT_NEAR(h.share_below(50), 0.5, 0.011);
  EXPECT_EQ(h.share_below(100), 1);
}

TEST(Histogram, RestoresWhatItSaidAndRefusesWhatNoneSays) {
  Histogram h(2);
  for (const double v : lognormal(9, 500)) h.record(v);
  const auto back = Histogram::restore(2, h.buckets(), h.min(), h.max(), h.sum());
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_TRUE(*back == h);
  EXPECT_TRUE(Histogram::restore(2, {}, 0, 0, 0).ok());

  const auto refused = [](int digits, const std::vector<Histogram::Bucket>& b, double min,
                          double max, double sum) {
    return !Histogram::restore(digits, b, min, max, sum).ok();
  };
  EXPECT_TRUE(refused(0, {}, 0, 0, 0));
  EXPECT_TRUE(refused(9, {}, 0, 0, 0));
  EXPECT_TRUE(refused(2, {{-1, 1}}, 0, 0, 0));
  EXPECT_TRUE(refused(2, {{1 << 20, 1}}, 0, 0, 0));
  EXPECT_TRUE(refused(2, {{0, 0}}, 0, 0, 0));
  EXPECT_TRUE(refused(2, {{0, INT64_MAX}, {1, INT64_MAX}}, 0, 0.001, 1));
  EXPECT_TRUE(refused(2, {{5, 1}, {5, 1}}, 0, 0, 0));
  EXPECT_TRUE(refused(2, {{0, 1}}, 5, 5, 5));  // 5 is in no bucket 0
  EXPECT_TRUE(refused(2, h.buckets(), h.max(), h.min(), h.sum()));
}

}  // namespace
}  // namespace weir::bench
