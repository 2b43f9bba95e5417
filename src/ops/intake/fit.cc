#include "ops/intake/fit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace weir::ops {
namespace {

// What the equations need of a sample: x ascending and > 0.
struct Sample {
  std::vector<double> x, log_x;
  double mean = 0;
  double log_mean = 0;
  double log_sd = 0;
};

Sample describe(std::vector<double> sorted) {
  Sample s;
  s.x = std::move(sorted);
  const auto n = static_cast<double>(s.x.size());
  for (const double v : s.x) {
    s.log_x.push_back(std::log(v));
    s.mean += v / n;
    s.log_mean += s.log_x.back() / n;
  }
  double squares = 0;
  for (const double l : s.log_x) squares += (l - s.log_mean) * (l - s.log_mean);
  s.log_sd = std::sqrt(squares / n);
  return s;
}

// Digamma and trigamma: up to x >= 8 by their recurrence, then the asymptotic series (DLMF 5.11.2,
// 5.15.8).
double digamma(double x) {
  double out = 0;
  while (x < 8) {
    out -= 1 / x;
    x += 1;
  }
  const double r = 1 / (x * x);
  return out + std::log(x) - 0.5 / x -
         r * (1.0 / 12 - r * (1.0 / 120 - r * (1.0 / 252 - r * (1.0 / 240 - r / 132))));
}

double trigamma(double x) {
  double out = 0;
  while (x < 8) {
    out += 1 / (x * x);
    x += 1;
  }
  const double r = 1 / (x * x);
  return out + 1 / x + r / 2 + r / x * (1.0 / 6 - r * (1.0 / 30 - r * (1.0 / 42 - r / 30)));
}

Distribution fit_gamma(const Sample& s) {
  const double gap = std::max(std::log(s.mean) - s.log_mean, 1e-12);
  double shape = (3 - gap + std::sqrt((gap - 3) * (gap - 3) + 24 * gap)) / (12 * gap);
  for (int i = 0; i < 50; ++i) {
    const double error = std::log(shape) - digamma(shape) - gap;
    const double slope = 1 / shape - trigamma(shape);
    const double next = std::clamp(shape - error / slope, shape / 4, shape * 4);
    const bool done = std::abs(next - shape) <= 1e-12 * shape;
    shape = next;
    if (done) break;
  }
  return {Family::kGamma, {shape, s.mean / shape}};
}

Distribution fit_weibull(const Sample& s) {
  // 0 = sum(x^k ln x) / sum(x^k) - 1/k - mean(ln x), which rises with k. Powers are of x / max.
  const double high_log = s.log_x.back();
  double mean_power = 0;
  const auto error = [&](double k) {
    double powers = 0;
    double weighted = 0;
    for (const double l : s.log_x) {
      const double power = std::exp(k * (l - high_log));
      powers += power;
      weighted += power * l;
    }
    mean_power = powers / static_cast<double>(s.x.size());
    return weighted / powers - 1 / k - s.log_mean;
  };
  // Of a Weibull sample sd(ln x) = pi / (k sqrt 6).
  const double guess = std::numbers::pi / std::sqrt(6.0) / s.log_sd;
  double low = guess / 50;
  double high = guess * 50;
  for (int i = 0; i < 60 && high / low > 1 + 1e-11; ++i) {
    const double middle = std::sqrt(low * high);
    (error(middle) < 0 ? low : high) = middle;
  }
  const double shape = std::sqrt(low * high);
  (void)error(shape);
  return {Family::kWeibull, {shape, std::exp(high_log + std::log(mean_power) / shape)}};
}

double normal_density(double z) { return std::exp(-0.5 * z * z); }

// Expectation maximization of ln x, beginning with the values below the quantile `split` in the
// first component. Returns the log likelihood of ln x up to a constant.
double maximize(const Sample& s, double split, Distribution& d) {
  constexpr int kSteps = 130;
  const auto n = static_cast<double>(s.x.size());
  const double floor = 0.1 * s.log_sd;
  const auto cut = static_cast<size_t>(split * n);
  std::vector<double> first(s.x.size(), 0.0);  // the share of each value in the first component
  std::fill(first.begin(), first.begin() + static_cast<ptrdiff_t>(cut), 1.0);
  double before = -std::numeric_limits<double>::infinity();
  double likelihood = before;
  for (int step = 0; step < kSteps; ++step) {
    double weight = 0;
    double sums[2] = {0, 0};
    double squares[2] = {0, 0};
    for (size_t i = 0; i < first.size(); ++i) {
      const double l = s.log_x[i] - s.log_mean;
      weight += first[i];
      sums[0] += first[i] * l;
      sums[1] += (1 - first[i]) * l;
      squares[0] += first[i] * l * l;
      squares[1] += (1 - first[i]) * l * l;
    }
    if (weight < 1 || weight > n - 1) break;  // one component has taken all
    const double m1 = sums[0] / weight;
    const double m2 = sums[1] / (n - weight);
    const double s1 = std::max(std::sqrt(std::max(squares[0] / weight - m1 * m1, 0.0)), floor);
    const double s2 =
        std::max(std::sqrt(std::max(squares[1] / (n - weight) - m2 * m2, 0.0)), floor);
    d = {Family::kLognormal2, {weight / n, m1 + s.log_mean, s1, m2 + s.log_mean, s2}};
    likelihood = 0;
    for (size_t i = 0; i < first.size(); ++i) {
      const double l = s.log_x[i] - s.log_mean;
      const double a = weight / n * normal_density((l - m1) / s1) / s1;
      const double b = (1 - weight / n) * normal_density((l - m2) / s2) / s2;
      const double sum = std::max(a + b, 1e-300);
      first[i] = a / sum;
      likelihood += std::log(sum);
    }
    if (likelihood - before < 1e-8 * n) break;
    before = likelihood;
  }
  return likelihood;
}

std::optional<Distribution> fit_mixture(const Sample& s) {
  std::optional<Distribution> best;
  double most = -std::numeric_limits<double>::infinity();
  for (const double split : {0.25, 0.5, 0.75}) {
    Distribution d;
    const double likelihood = maximize(s, split, d);
    if (d.family != Family::kLognormal2 || !d.valid() || !(likelihood > most)) continue;
    most = likelihood;
    best = d;
  }
  return best;
}

Fit rate(const Sample& s, const Distribution& d) {
  Fit f;
  f.distribution = d;
  for (const double x : s.x) f.log_likelihood += log_density(d, x);
  f.aic = 2 * static_cast<double>(parameter_names(d.family).size()) - 2 * f.log_likelihood;
  f.ks = ks_distance(s.x, d);
  return f;
}

// `wanted` of the values, evenly spaced by rank.
std::vector<double> thinned(const std::vector<double>& sorted, size_t wanted) {
  if (sorted.size() <= wanted) return sorted;
  std::vector<double> out;
  for (size_t i = 0; i < wanted; ++i)
    out.push_back(sorted[(2 * i + 1) * sorted.size() / (2 * wanted)]);
  return out;
}

}  // namespace

bool Fits::close() const { return !fits.empty() && fits.front().ks <= kCloseKs; }

double ks_distance(std::span<const double> sorted, const Distribution& d) {
  const auto n = static_cast<double>(sorted.size());
  double largest = 0;
  for (size_t begin = 0; begin < sorted.size();) {
    size_t end = begin + 1;
    while (end < sorted.size() && sorted[end] == sorted[begin]) ++end;
    const double f = cdf(d, sorted[begin]);
    largest =
        std::max({largest, f - static_cast<double>(begin) / n, static_cast<double>(end) / n - f});
    begin = end;
  }
  return largest;
}

Fits fit_all(std::span<const double> sample) {
  Fits out;
  out.count = sample.size();
  std::vector<double> positive;
  for (const double v : sample) {
    if (v > 0) positive.push_back(v);
  }
  out.zeros = sample.size() - positive.size();
  if (positive.size() < kMinFitted) {
    out.why_none =
        fmt::format("{} values above 0 are too few, {} are needed", positive.size(), kMinFitted);
    return out;
  }
  std::sort(positive.begin(), positive.end());
  if (positive.back() <= positive.front() * (1 + 1e-9)) {
    out.why_none = fmt::format("the values are all {:.6g}", positive.front());
    return out;
  }
  const Sample s = describe(thinned(positive, kMaxFitted));
  out.fitted = s.x.size();
  std::vector<Distribution> all = {{Family::kExponential, {1 / s.mean}}};
  if (s.log_sd > 0) {
    all.push_back({Family::kLognormal, {s.log_mean, s.log_sd}});
    all.push_back(fit_gamma(s));
    all.push_back(fit_weibull(s));
    if (const auto mixture = fit_mixture(s)) all.push_back(*mixture);
  }
  for (const Distribution& d : all) {
    if (!d.valid()) continue;
    const Fit f = rate(s, d);
    if (std::isfinite(f.log_likelihood) && std::isfinite(f.ks)) out.fits.push_back(f);
  }
  std::stable_sort(out.fits.begin(), out.fits.end(),
                   [](const Fit& a, const Fit& b) { return a.aic < b.aic; });
  return out;
}

}  // namespace weir::ops
