#include "ops/plan/workload.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/rng.h"

namespace weir::ops {
namespace {

constexpr double kNormal95 = 1.6448536269514722;  // the standard normal's 95th percentile
constexpr int32_t kGroupSize = 8;
constexpr double kSmallestShare = 0.01;  // less is not worth groups
enum Stream : uint64_t { kPrompts = 1, kOutputs = 2, kGaps = 3, kGroups = 4 };

double normal(uint64_t seed, uint64_t stream, uint64_t i) {
  const double u = 1 - random_unit(seed, stream, 2 * i);
  return std::sqrt(-2 * std::log(u)) *
         std::cos(2 * std::numbers::pi * random_unit(seed, stream, 2 * i + 1));
}

int32_t length(double p50, double p95, double z, int64_t most) {
  const double sigma = p95 > p50 ? std::log(p95 / p50) / kNormal95 : 0;
  const double tokens = std::round(p50 * std::exp(sigma * z));
  return static_cast<int32_t>(std::clamp(tokens, 1.0, static_cast<double>(most)));
}

// Marsaglia and Tsang's method, "A simple method for generating gamma variables" (2000).
double gamma(double shape, uint64_t seed, uint64_t i) {
  const double boosted = shape < 1 ? shape + 1 : shape;
  const double d = boosted - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  for (uint64_t attempt = 0;; ++attempt) {
    const uint64_t at = i * 64 + attempt;  // more than 60 attempts do not happen: each fails in 5 %
    const double x = normal(seed, kGaps, at);
    const double v = std::pow(1 + c * x, 3);
    if (v <= 0) continue;
    const double u = 1 - random_unit(seed, kGaps + 16, at);
    if (std::log(u) >= 0.5 * x * x + d - d * v + d * std::log(v)) continue;
    if (shape >= 1) return d * v;
    return d * v * std::pow(1 - random_unit(seed, kGaps + 32, i), 1 / shape);
  }
}

}  // namespace

Result<Workload> workload_of(const Intake& intake) {
  Workload w;
  std::string missing;
  const auto needed = [&](std::string_view path, double& out) {
    const auto value = intake.number(path);
    if (value) {
      out = *value;
    } else {
      missing += fmt::format("{}{}", missing.empty() ? "" : ", ", path);
    }
  };
  needed("traffic.prompt_tokens_p50", w.prompt_p50);
  needed("traffic.prompt_tokens_p95", w.prompt_p95);
  needed("traffic.output_tokens_p50", w.output_p50);
  needed("traffic.output_tokens_p95", w.output_p95);
  needed("traffic.requests_per_s", w.rate_per_s);
  if (!missing.empty()) {
    return make_error(ErrorCode::kUsage,
                      "a plan needs {}; weir intake --set FIELD=VALUE, or --trace FILE", missing);
  }
  const double peak = intake.number("traffic.requests_per_s_peak").value_or(0);
  if (peak > w.rate_per_s) {
    w.mean_per_s = w.rate_per_s;
    w.rate_per_s = peak;
  }
  w.arrival_cv = intake.number("traffic.arrival_cv").value_or(1);
  w.shared_share = intake.number("traffic.shared_prefix_share").value_or(0);
  if (const auto context = intake.number("model.context_tokens"))
    w.context_tokens = static_cast<int64_t>(*context);
  if (w.mean_rate() <= 0 || w.prompt_p50 < 1 || w.output_p50 < 1) {
    return make_error(ErrorCode::kUsage,
                      "a plan needs traffic.requests_per_s above 0, prompts and answers of a token "
                      "at least");
  }
  return w;
}

Result<int64_t> context_of(const Intake& intake, const ModelShape& shape) {
  const auto given = intake.number("model.context_tokens");
  if (given && shape.context_tokens > 0)
    return std::min(static_cast<int64_t>(*given), shape.context_tokens);
  if (given) return static_cast<int64_t>(*given);
  if (shape.context_tokens > 0) return shape.context_tokens;
  return make_error(ErrorCode::kUsage,
                    "a plan needs model.context_tokens, which the model does not say; weir intake "
                    "--set model.context_tokens=N");
}

double mean_tokens(const Workload& w) {
  const auto mean = [](double p50, double p95) {
    const double sigma = p95 > p50 && p50 > 0 ? std::log(p95 / p50) / kNormal95 : 0;
    return p50 * std::exp(sigma * sigma / 2);
  };
  return mean(w.prompt_p50, w.prompt_p95) + mean(w.output_p50, w.output_p95);
}

std::vector<SimRequest> draw_requests(const Workload& w, size_t count, uint64_t seed) {
  std::vector<SimRequest> out(count);
  const int64_t most = std::max<int64_t>(2, w.context_tokens);
  const double cv = std::max(w.arrival_cv, 0.05);
  const double shape = 1 / (cv * cv);
  const auto groups = static_cast<uint64_t>(count / kGroupSize + 1);
  double now = 0;
  for (size_t i = 0; i < count; ++i) {
    SimRequest& r = out[i];
    r.prompt_tokens = length(w.prompt_p50, w.prompt_p95, normal(seed, kPrompts, i), most - 1);
    r.output_tokens =
        length(w.output_p50, w.output_p95, normal(seed, kOutputs, i), most - r.prompt_tokens);
    now += gamma(shape, seed, i) / shape / w.rate_per_s;
    r.arrival_s = now;
    if (w.shared_share < kSmallestShare) continue;
    r.group = static_cast<int32_t>(random_u64(seed, kGroups, i) % groups);
    r.prefix_tokens =
        std::min(static_cast<int32_t>(w.shared_share * w.prompt_p50), r.prompt_tokens);
  }
  return out;
}

}  // namespace weir::ops
