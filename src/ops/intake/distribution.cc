// The families of fit.h as functions: cdf, density, quantile.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "base/student.h"
#include "ops/intake/fit.h"

namespace weir::ops {
namespace {

constexpr std::array<std::string_view, kFamilies> kNames = {"exponential", "lognormal", "gamma",
                                                            "weibull", "lognormal2"};
constexpr std::string_view kRate[] = {"rate"};
constexpr std::string_view kMuSigma[] = {"mu", "sigma"};
constexpr std::string_view kShapeScale[] = {"shape", "scale"};
constexpr std::string_view kMixture[] = {"weight", "mu1", "sigma1", "mu2", "sigma2"};

// The regularized lower incomplete gamma function P(a, x), by its series (DLMF 8.7.1) below a + 1
// and the continued fraction of its complement (DLMF 8.9.2, Lentz's method) above.
double incomplete_gamma(double a, double x) {
  if (x <= 0) return 0;
  if (std::isinf(x)) return 1;
  constexpr int kMaxTerms = 10'000;
  constexpr double kEpsilon = 1e-15;
  const double front = std::exp(a * std::log(x) - x - std::lgamma(a));
  if (x < a + 1) {
    double term = 1 / a;
    double sum = term;
    for (int n = 1; n < kMaxTerms && term > sum * kEpsilon; ++n) {
      term *= x / (a + n);
      sum += term;
    }
    return std::min(1.0, front * sum);
  }
  constexpr double kTiny = 1e-300;
  double b = x + 1 - a;
  double c = 1 / kTiny;
  double d = 1 / b;
  double h = d;
  for (int n = 1; n < kMaxTerms; ++n) {
    const double an = -n * (n - a);
    b += 2;
    d = an * d + b;
    if (std::abs(d) < kTiny) d = kTiny;
    c = b + an / c;
    if (std::abs(c) < kTiny) c = kTiny;
    d = 1 / d;
    const double step = d * c;
    h *= step;
    if (std::abs(step - 1) < kEpsilon) break;
  }
  return std::clamp(1 - front * h, 0.0, 1.0);
}

double log_normal_density(double log_x, double mu, double sigma) {
  const double z = (log_x - mu) / sigma;
  return -0.5 * z * z - std::log(sigma) - 0.5 * std::log(2 * std::numbers::pi) - log_x;
}

// A cdf on its way up: the root by bisection of ln x.
double bisect(const Distribution& d, double u) {
  double low = -700;
  double high = 700;
  for (int i = 0; i < 120 && high - low > 1e-12; ++i) {
    const double middle = (low + high) / 2;
    (cdf(d, std::exp(middle)) < u ? low : high) = middle;
  }
  return std::exp((low + high) / 2);
}

}  // namespace

std::string_view family_name(Family family) { return kNames[static_cast<size_t>(family)]; }

std::optional<Family> find_family(std::string_view name) {
  for (size_t i = 0; i < kFamilies; ++i) {
    if (kNames[i] == name) return static_cast<Family>(i);
  }
  return std::nullopt;
}

std::span<const std::string_view> parameter_names(Family family) {
  switch (family) {
    case Family::kExponential:
      return kRate;
    case Family::kLognormal:
      return kMuSigma;
    case Family::kGamma:
    case Family::kWeibull:
      return kShapeScale;
    case Family::kLognormal2:
      return kMixture;
  }
  return {};
}

bool Distribution::valid() const {
  const size_t n = parameter_names(family).size();
  if (!std::all_of(p.begin(), p.begin() + static_cast<ptrdiff_t>(n),
                   [](double v) { return std::isfinite(v) && std::abs(v) <= 1e100; }))
    return false;
  switch (family) {
    case Family::kExponential:
      return p[0] > 0;
    case Family::kLognormal:
      return p[1] > 0;
    case Family::kGamma:
    case Family::kWeibull:
      return p[0] > 0 && p[1] > 0;
    case Family::kLognormal2:
      return p[0] >= 0 && p[0] <= 1 && p[2] > 0 && p[4] > 0;
  }
  return false;
}

double cdf(const Distribution& d, double x) {
  if (x <= 0) return 0;
  const auto& p = d.p;
  switch (d.family) {
    case Family::kExponential:
      return -std::expm1(-p[0] * x);
    case Family::kLognormal:
      return normal_cdf((std::log(x) - p[0]) / p[1]);
    case Family::kGamma:
      return incomplete_gamma(p[0], x / p[1]);
    case Family::kWeibull:
      return -std::expm1(-std::pow(x / p[1], p[0]));
    case Family::kLognormal2:
      return p[0] * normal_cdf((std::log(x) - p[1]) / p[2]) +
             (1 - p[0]) * normal_cdf((std::log(x) - p[3]) / p[4]);
  }
  return 0;
}

double log_density(const Distribution& d, double x) {
  const auto& p = d.p;
  const double log_x = std::log(x);
  switch (d.family) {
    case Family::kExponential:
      return std::log(p[0]) - p[0] * x;
    case Family::kLognormal:
      return log_normal_density(log_x, p[0], p[1]);
    case Family::kGamma:
      return (p[0] - 1) * log_x - x / p[1] - std::lgamma(p[0]) - p[0] * std::log(p[1]);
    case Family::kWeibull:
      return std::log(p[0] / p[1]) + (p[0] - 1) * (log_x - std::log(p[1])) -
             std::pow(x / p[1], p[0]);
    case Family::kLognormal2: {
      const double a = std::log(p[0]) + log_normal_density(log_x, p[1], p[2]);
      const double b = std::log1p(-p[0]) + log_normal_density(log_x, p[3], p[4]);
      const double high = std::max(a, b);
      if (std::isinf(high)) return high;
      return high + std::log(std::exp(a - high) + std::exp(b - high));
    }
  }
  return -std::numeric_limits<double>::infinity();
}

double quantile(const Distribution& d, double u) {
  if (d.family == Family::kExponential) return -std::log1p(-u) / d.p[0];
  if (d.family == Family::kWeibull) return d.p[1] * std::pow(-std::log1p(-u), 1 / d.p[0]);
  return bisect(d, u);
}

}  // namespace weir::ops
