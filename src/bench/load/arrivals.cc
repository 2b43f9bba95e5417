#include "bench/load/arrivals.h"

#include <charconv>
#include <cmath>
#include <numbers>

#include "base/rng.h"
#include "bench/load/streams.h"

namespace weir::bench {
namespace {

double normal(Rng& rng) {
  const double u1 = 1 - rng.unit();
  const double u2 = rng.unit();
  return std::sqrt(-2 * std::log(u1)) * std::cos(2 * std::numbers::pi * u2);
}

// Marsaglia and Tsang, "A Simple Method for Generating Gamma Variables", ACM TOMS 2000; for shapes
// below 1 the draw of shape + 1 times u^(1/shape).
double gamma(Rng& rng, double shape) {
  if (shape < 1) {
    const double u = 1 - rng.unit();
    return gamma(rng, shape + 1) * std::pow(u, 1 / shape);
  }
  const double d = shape - 1.0 / 3;
  const double c = 1 / std::sqrt(9 * d);
  while (true) {
    const double x = normal(rng);
    const double v = std::pow(1 + c * x, 3);
    if (v <= 0) continue;
    if (std::log(1 - rng.unit()) < x * x / 2 + d - d * v + d * std::log(v)) return d * v;
  }
}

}  // namespace

double Arrivals::gap_s(uint64_t seed, uint64_t i) const {
  const double mean = 1 / rate_per_s;
  Rng rng(seed, stream_of(Draw::kArrival, i));
  switch (kind) {
    case Kind::kConstant:
      return i == 0 ? 0 : mean;
    case Kind::kGamma: {
      const double shape = 1 / (cv * cv);
      return gamma(rng, shape) * mean / shape;
    }
    case Kind::kPoisson:
      break;
  }
  return -std::log(1 - rng.unit()) * mean;
}

std::string Arrivals::text() const {
  if (kind == Kind::kGamma) return fmt::format("gamma:{}", cv);
  return kind == Kind::kConstant ? "constant" : "poisson";
}

Result<Arrivals> parse_arrivals(std::string_view text, double rate_per_s) {
  Arrivals a;
  a.rate_per_s = rate_per_s;
  constexpr std::string_view kGamma = "gamma:";
  if (text == "poisson") return a;
  if (text == "constant") {
    a.kind = Arrivals::Kind::kConstant;
    return a;
  }
  if (text.starts_with(kGamma)) {
    const std::string_view number = text.substr(kGamma.size());
    const auto [end, ec] = std::from_chars(number.data(), number.data() + number.size(), a.cv);
    a.kind = Arrivals::Kind::kGamma;
    if (ec == std::errc() && end == number.data() + number.size() && a.cv >= 0.1 && a.cv <= 10)
      return a;
  }
  return make_error(ErrorCode::kUsage,
                    "--arrival: \"{}\" is none of poisson, constant, gamma:CV (0.1 to 10)", text);
}

}  // namespace weir::bench
