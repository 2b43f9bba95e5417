#include "base/student.h"

#include <algorithm>
#include <cmath>

namespace weir {
namespace {

// Keeps a term of the fraction away from 0 (modified Lentz).
double away_from_zero(double v) { return std::abs(v) < 1e-300 ? 1e-300 : v; }

double beta_fraction(double a, double b, double x) {
  double c = 1;
  double d = 1 / away_from_zero(1 - (a + b) * x / (a + 1));
  double value = d;
  for (int m = 1; m <= 500; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / away_from_zero(1 + even * d);
    c = away_from_zero(1 + even / c);
    value *= d * c;
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / away_from_zero(1 + odd * d);
    c = away_from_zero(1 + odd / c);
    value *= d * c;
    if (std::abs(d * c - 1) < 1e-12) break;
  }
  return value;
}

// Regularized incomplete beta I_x(a, b).
double incomplete_beta(double a, double b, double x) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const double front = std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) +
                                a * std::log(x) + b * std::log1p(-x));
  if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(a, b, x) / a;
  return 1 - front * beta_fraction(b, a, 1 - x) / b;
}

// Beyond it t and normal quantiles agree to 1e-5.
constexpr double kNormalFrom = 1e5;

}  // namespace

double normal_cdf(double z) { return 0.5 * std::erfc(-z / std::sqrt(2.0)); }

double student_cdf(double t, double df) {
  if (df >= kNormalFrom) return normal_cdf(t);
  const double tail = 0.5 * incomplete_beta(df / 2, 0.5, df / (df + t * t));
  return t > 0 ? 1 - tail : tail;
}

double student_p(double t, double df) { return std::min(1.0, 2 * student_cdf(-std::abs(t), df)); }

double student_95(double df) {
  double low = 0;
  double high = 1000;  // 12.7 for one degree of freedom
  for (int i = 0; i < 80; ++i) {
    const double middle = (low + high) / 2;
    (student_cdf(middle, df) < 0.975 ? low : high) = middle;
  }
  return high;
}

}  // namespace weir
