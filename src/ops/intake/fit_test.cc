#include "ops/intake/fit.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/rng.h"

namespace weir::ops {
namespace {

std::vector<double> drawn(const Distribution& d, size_t n, uint64_t seed = 1) {
  Rng rng(seed);
  std::vector<double> out;
  for (size_t i = 0; i < n; ++i) out.push_back(quantile(d, std::max(rng.unit(), 1e-12)));
  return out;
}

const Fit* find(const Fits& fits, Family family) {
  for (const Fit& f : fits.fits) {
    if (f.distribution.family == family) return &f;
  }
  return nullptr;
}

const std::vector<Distribution> kDistributions = {{Family::kExponential, {0.25}},
                                                  {Family::kLognormal, {6, 1.2}},
                                                  {Family::kGamma, {0.4, 900}},
                                                  {Family::kGamma, {30, 2}},
                                                  {Family::kWeibull, {0.6, 3}},
                                                  {Family::kWeibull, {4, 0.01}},
                                                  {Family::kLognormal2, {0.3, 3, 0.3, 8, 0.5}}};

TEST(Fit, RecoversWhatASampleWasDrawnFrom) {
  for (const Distribution& d : kDistributions) {
    const Fits fits = fit_all(drawn(d, 4000));
    const Fit* own = find(fits, d.family);
    ASSERT_NE(own, nullptr);
    const auto names = parameter_names(d.family);
    for (size_t i = 0; i < names.size(); ++i) {
      EXPECT_NEAR(own->distribution.p[i], d.p[i], 0.08 * std::abs(d.p[i]))
          << family_name(d.family) << " " << names[i];
    }
    // 1.63/sqrt(4000) is exceeded by 1 % of samples.
    EXPECT_LT(own->ks, 0.026) << family_name(d.family);
    EXPECT_TRUE(fits.close()) << family_name(d.family);
    // No family of fewer parameters explains it better.
    for (const Fit& f : fits.fits)
      EXPECT_GT(f.aic, own->aic - 8) << family_name(f.distribution.family);
  }
}

TEST(Fit, PrefersTheFamilyThatItIs) {
  for (const Distribution& d : kDistributions) {
    const Fits fits = fit_all(drawn(d, 4000, 7));
    const Family best = fits.fits.front().distribution.family;
    // The exponential is a gamma and a Weibull of shape 1, and a lognormal2 may be a lognormal.
    const bool close = fits.fits.front().aic > find(fits, d.family)->aic - 8;
    EXPECT_TRUE(best == d.family || close) << family_name(best) << " for " << family_name(d.family);
  }
  EXPECT_EQ(fit_all(drawn(kDistributions[1], 4000)).fits.back().distribution.family,
            Family::kExponential);
}

// The likelihood of a fit is the largest: moving any parameter lowers it.
TEST(Fit, IsAMaximumOfTheLikelihood) {
  const std::vector<double> sample = drawn(kDistributions[1], 500);
  const auto likelihood = [&](const Distribution& d) {
    double sum = 0;
    for (const double x : sample) sum += log_density(d, x);
    return sum;
  };
  for (const Fit& f : fit_all(sample).fits) {
    EXPECT_NEAR(f.log_likelihood, likelihood(f.distribution), 1e-6 * std::abs(f.log_likelihood));
    if (f.distribution.family == Family::kLognormal2) continue;  // EM stops near it
    for (size_t i = 0; i < parameter_names(f.distribution.family).size(); ++i) {
      for (const double factor : {0.98, 1.02}) {
        Distribution moved = f.distribution;
        moved.p[i] *= factor;
        EXPECT_LT(likelihood(moved), f.log_likelihood) << family_name(moved.family) << " " << i;
      }
    }
  }
}

TEST(Fit, NothingToFitSaysWhy) {
  const Fits constant = fit_all(std::vector<double>(100, 5.0));
  EXPECT_TRUE(constant.fits.empty());
  EXPECT_EQ(constant.why_none, "the values are all 5");
  EXPECT_FALSE(constant.close());
  EXPECT_EQ(fit_all({}).why_none, "0 values above 0 are too few, 8 are needed");
  for (size_t n = 0; n < 12; ++n) {
    std::vector<double> few;
    for (size_t i = 0; i < n; ++i) few.push_back(1 + static_cast<double>(i));
    const Fits fits = fit_all(few);
    EXPECT_EQ(fits.fits.empty(), n < kMinFitted) << n;
    EXPECT_EQ(fits.why_none.empty(), n >= kMinFitted) << n;
  }
  EXPECT_TRUE(fit_all(std::vector<double>(50, 0.0)).fits.empty());
}

TEST(Fit, ZerosAreCountedAndLeftOut) {
  std::vector<double> sample = drawn(kDistributions[0], 1000);
  const Fits without = fit_all(sample);
  sample.insert(sample.end(), 300, 0.0);
  const Fits with = fit_all(sample);
  EXPECT_EQ(with.zeros, 300U);
  EXPECT_EQ(with.count, 1300U);
  EXPECT_EQ(with.fitted, 1000U);
  EXPECT_EQ(with.fits.front().aic, without.fits.front().aic);
}

// Token counts repeat: the mixture must not end as a spike on one value.
TEST(Fit, ASpikeDoesNotMakeTheLikelihoodEndless) {
  std::vector<double> sample = drawn(kDistributions[1], 2000);
  sample.insert(sample.end(), 500, 91.0);
  const Fits fits = fit_all(sample);
  const Fit* mixture = find(fits, Family::kLognormal2);
  ASSERT_NE(mixture, nullptr);
  EXPECT_GT(mixture->distribution.p[2], 0.05);
  EXPECT_GT(mixture->distribution.p[4], 0.05);
  EXPECT_GT(mixture->ks, 0.01);
}

TEST(Fit, ALargeSampleIsThinnedAndKeepsItsShape) {
  const Fits fits = fit_all(drawn(kDistributions[0], kMaxFitted * 2));
  EXPECT_EQ(fits.fitted, kMaxFitted);
  EXPECT_NEAR(find(fits, Family::kExponential)->distribution.p[0], 0.25, 0.005);
}

TEST(Fit, ExtremeSamplesGiveFiniteNumbersOrNothing) {
  for (const std::vector<double>& ends :
       {std::vector<double>{1e-12, 1e12}, {1e-300, 1e300}, {1, 1 + 1e-7}, {1e9, 1e9 + 1}}) {
    std::vector<double> sample;
    for (int i = 0; i < 20; ++i) sample.push_back(ends[static_cast<size_t>(i % 2)]);
    for (const Fit& f : fit_all(sample).fits) {
      EXPECT_TRUE(f.distribution.valid());
      EXPECT_TRUE(std::isfinite(f.aic));
      EXPECT_GE(f.ks, 0);
      EXPECT_LE(f.ks, 1);
    }
  }
}

TEST(Distribution, QuantileTurnsTheCdfAround) {
  for (const Distribution& d : kDistributions) {
    double before = 0;
    for (const double u : {1e-6, 0.01, 0.3, 0.5, 0.9, 0.999, 1 - 1e-9}) {
      const double x = quantile(d, u);
      EXPECT_NEAR(cdf(d, x), u, 1e-9) << family_name(d.family);
      EXPECT_GT(x, before);
      before = x;
    }
    EXPECT_EQ(cdf(d, 0), 0);
    // The density is the slope of the cdf.
    const double x = quantile(d, 0.4);
    const double h = 1e-5 * x;
    EXPECT_NEAR(std::exp(log_density(d, x)) * 2 * h, cdf(d, x + h) - cdf(d, x - h),
                1e-4 * 2 * h * std::exp(log_density(d, x)) + 1e-12);
  }
}

TEST(Distribution, KnownValues) {
  EXPECT_NEAR(cdf({Family::kGamma, {1, 2}}, 2), 1 - std::exp(-1.0), 1e-14);
  EXPECT_NEAR(cdf({Family::kGamma, {0.5, 2}}, 1), 0.6826894921370859, 1e-12);  // chi-squared, 1
  EXPECT_NEAR(cdf({Family::kGamma, {50, 1}}, 50), 0.5188083154720433, 1e-10);
  EXPECT_NEAR(cdf({Family::kLognormal, {0, 1}}, std::exp(1.0)), 0.8413447460685429, 1e-10);
  EXPECT_NEAR(quantile({Family::kWeibull, {2, 3}}, 0.5), 3 * std::sqrt(std::log(2.0)), 1e-12);
  EXPECT_FALSE((Distribution{Family::kGamma, {-1, 2}}).valid());
  EXPECT_FALSE((Distribution{Family::kLognormal, {0, 0}}).valid());
  EXPECT_FALSE((Distribution{Family::kLognormal2, {1.5, 0, 1, 0, 1}}).valid());
  for (size_t i = 0; i < kFamilies; ++i) {
    const auto family = static_cast<Family>(i);
    EXPECT_EQ(find_family(family_name(family)), family);
  }
  EXPECT_FALSE(find_family("normal"));
}

TEST(KsDistance, OfKnownSteps) {
  const Distribution uniform_like{Family::kWeibull, {1, 1}};
  const std::vector<double> one = {std::log(2.0)};  // its median
  EXPECT_NEAR(ks_distance(one, uniform_like), 0.5, 1e-12);
  // The larger distance is before the step of a high value, behind that of a low one.
  for (const double u : {0.9, 0.1}) {
    const std::vector<double> value = {quantile(uniform_like, u)};
    EXPECT_NEAR(ks_distance(value, uniform_like), 0.9, 1e-12);
  }
  const std::vector<double> three = {quantile(uniform_like, 1.0 / 6), quantile(uniform_like, 0.5),
                                     quantile(uniform_like, 5.0 / 6)};
  EXPECT_NEAR(ks_distance(three, uniform_like), 1.0 / 6, 1e-9);
}

}  // namespace
}  // namespace weir::ops
