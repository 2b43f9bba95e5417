// Distributions fitted to samples by maximum likelihood, and how well they fit: what a trace's
// lengths and gaps are like, and what the planner draws from. Pure functions. Any thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace weir::ops {

// Densities over x > 0, with the parameters in this order:
//   exponential  rate                 rate·exp(-rate·x)
//   lognormal    mu, sigma            ln x is normal
//   gamma        shape, scale         x^(shape-1)·exp(-x/scale), normed
//   weibull      shape, scale         P(X > x) = exp(-(x/scale)^shape)
//   lognormal2   weight, mu1, sigma1, mu2, sigma2   a share `weight` of the first lognormal
enum class Family : uint8_t { kExponential, kLognormal, kGamma, kWeibull, kLognormal2 };
inline constexpr size_t kFamilies = 5;

std::string_view family_name(Family family);  // "lognormal"
std::optional<Family> find_family(std::string_view name);
std::span<const std::string_view> parameter_names(Family family);

struct Distribution {
  Family family = Family::kExponential;
  std::array<double, 5> p{};  // parameter_names(family).size() of them

  // Whether the parameters are finite and in their ranges; the functions below require it.
  bool valid() const;
};

double cdf(const Distribution& d, double x);
double log_density(const Distribution& d, double x);  // x > 0
// x with cdf(x) = u, u in (0, 1), to a relative 1e-9: draws are quantile(d, uniform).
double quantile(const Distribution& d, double u);

struct Fit {
  Distribution distribution;
  double log_likelihood = 0;
  double aic = 0;  // 2·parameters - 2·log_likelihood
  double ks = 0;   // Kolmogorov-Smirnov: the largest distance of the empirical cdf from the fitted
};

struct Fits {
  size_t count = 0;   // of the sample
  size_t zeros = 0;   // values <= 0, left out: the families are over x > 0
  size_t fitted = 0;  // values that were fitted; fewer than count - zeros only beyond kMaxFitted
  std::vector<Fit> fits;  // least AIC first; empty: see `why_none`
  std::string why_none;   // "the values are all 5", "3 values are too few"

  // Whether the first is close: KS at most kClose. Where it is not, draw from the quantiles.
  bool close() const;
};

inline constexpr size_t kMinFitted = 8;
// Larger samples are thinned to this many of their quantiles, evenly spaced: the shape stays, the
// time is bounded (Weibull costs some 60 passes, the mixture some 400).
inline constexpr size_t kMaxFitted = 50'000;
// Sampling alone moves KS to about 1.36/sqrt(n) at 95 %: 0.05 is what 740 values could hide.
inline constexpr double kCloseKs = 0.05;

// All families on one sample, in any order; values must be finite.
//
// Methods: exponential and lognormal in closed form; gamma by Newton on ln(shape) - digamma(shape)
// = ln(mean) - mean(ln x), from Minka's start ("Estimating a Gamma distribution", 2002); Weibull by
// bisection on its likelihood equation; the mixture by expectation maximization from three starts.
// A component's sigma stays above a tenth of the whole's: token counts repeat, and the likelihood
// of a spike has no bound.
Fits fit_all(std::span<const double> sample);

// Largest distance between the empirical cdf of `sorted` (ascending) and d's, on either side of
// each step.
double ks_distance(std::span<const double> sorted, const Distribution& d);

}  // namespace weir::ops
