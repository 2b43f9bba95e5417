#include "ops/eval/stats.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/quantile.h"
#include "base/rng.h"
#include "base/student.h"

namespace weir::ops {
namespace {

constexpr size_t kNormalItems = 20'000;
constexpr uint64_t kStream = 0x6576616c;  // of random numbers: "eval"
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The t for which P(T <= t) is p, for p above 0.5.
double student_quantile(double p, double df) {
  double low = 0;
  double high = 1e6;
  for (int i = 0; i < 100; ++i) {
    const double middle = (low + high) / 2;
    (student_cdf(middle, df) < p ? low : high) = middle;
  }
  return high;
}

}  // namespace

PairedInterval paired_bootstrap(std::span<const double> d, const BootstrapOptions& options) {
  PairedInterval r;
  const auto n = static_cast<double>(d.size());
  r.mean = std::accumulate(d.begin(), d.end(), 0.0) / n;
  if (d.size() < 2) {
    r.low = -kInfinity;
    r.high = kInfinity;
    return r;
  }
  double squares = 0;
  for (const double v : d) squares += (v - r.mean) * (v - r.mean);
  r.sd = std::sqrt(squares / (n - 1));
  const double t = student_quantile(0.5 + options.confidence / 2, n - 1);
  if (d.size() >= kNormalItems) {
    r.low = r.mean - t * r.sd / std::sqrt(n);
    r.high = r.mean + t * r.sd / std::sqrt(n);
    return r;
  }
  r.means.reserve(static_cast<size_t>(options.resamples));
  for (int32_t i = 0; i < options.resamples; ++i) {
    Rng rng(options.seed, (kStream << 32) + static_cast<uint64_t>(i));
    double sum = 0;
    for (size_t k = 0; k < d.size(); ++k) sum += d[rng.below(d.size())];
    r.means.push_back(sum / n);
  }
  std::sort(r.means.begin(), r.means.end());
  const double tail = normal_cdf(-t * std::sqrt(n / (n - 1)));
  r.low = std::min(r.mean, sorted_quantile(r.means, tail));
  r.high = std::max(r.mean, sorted_quantile(r.means, 1 - tail));
  return r;
}

double share_at_or_above(const PairedInterval& r, double margin, size_t items) {
  if (items < 2) return 1;
  if (r.means.empty()) {
    if (r.sd <= 0) return r.mean >= margin ? 1 : 0;
    return normal_cdf((r.mean - margin) / (r.sd / std::sqrt(static_cast<double>(items))));
  }
  const auto above = r.means.end() - std::lower_bound(r.means.begin(), r.means.end(), margin);
  return (static_cast<double>(above) + 1) / (static_cast<double>(r.means.size()) + 1);
}

double mcnemar_exact(int64_t b, int64_t c) {
  const int64_t n = b + c;
  if (n == 0) return 1;
  const auto log_choose = [n](int64_t k) {
    return std::lgamma(static_cast<double>(n) + 1) - std::lgamma(static_cast<double>(k) + 1) -
           std::lgamma(static_cast<double>(n - k) + 1);
  };
  double tail = 0;
  for (int64_t k = 0; k <= std::min(b, c); ++k) {
    tail += std::exp(log_choose(k) - static_cast<double>(n) * std::log(2.0));
  }
  return std::min(1.0, 2 * tail);
}

std::vector<double> holm(std::span<const double> p) {
  std::vector<size_t> order(p.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p[a] < p[b]; });
  std::vector<double> adjusted(p.size());
  double so_far = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    so_far = std::max(so_far, std::min(1.0, p[order[i]] * static_cast<double>(p.size() - i)));
    adjusted[order[i]] = so_far;
  }
  return adjusted;
}

double normal_quantile(double p) {
  double low = -40;
  double high = 40;
  for (int i = 0; i < 100; ++i) {
    const double middle = (low + high) / 2;
    (normal_cdf(middle) < p ? low : high) = middle;
  }
  return high;
}

int64_t items_for_margin(double sd, double margin, double confidence, double power) {
  if (!(margin > 0)) return std::numeric_limits<int64_t>::max();
  const double z = normal_quantile(0.5 + confidence / 2) + normal_quantile(power);
  const double items = std::ceil(std::pow(z * sd / margin, 2));
  if (!(items < 9e18)) return std::numeric_limits<int64_t>::max();
  return std::max<int64_t>(2, static_cast<int64_t>(items));
}

double careful_binary_sd(int64_t discordant, int64_t items) {
  return std::sqrt(static_cast<double>(discordant + 1) / static_cast<double>(items + 2));
}

}  // namespace weir::ops
