#include "ops/intake/read_trace.h"

#include <algorithm>
#include <cmath>

#include "ops/intake/rounded.h"

namespace weir::ops {
namespace {

constexpr std::string_view kLittle = "Little's law";

}  // namespace

Result<Intake> intake_of_trace(const TraceTraffic& t) {
  Intake out;
  const std::string evidence = fmt::format("{}, {}", t.source, trace_extent(t));
  const auto put = [&](const std::string& path, config::Value value, std::string_view how = "") {
    return out.set(path, std::move(value), Origin::kMeasured,
                   how.empty() ? evidence : fmt::format("{}: {}", evidence, how));
  };
  WEIR_TRY(put("traffic.trace", t.source));
  const auto lengths = [&](const std::string& name, const TraceQuantity& q) -> Status {
    WEIR_TRY(put(name + "_p50", rounded(q.at(0.5))));
    WEIR_TRY(put(name + "_p95", rounded(q.at(0.95))));
    WEIR_TRY(put(name + "_p99", rounded(q.at(0.99))));
    return put(name + "_mean", rounded(q.mean));
  };
  WEIR_TRY(lengths("traffic.prompt_tokens", t.prompt_tokens));
  WEIR_TRY(lengths("traffic.output_tokens", t.output_tokens));
  if (t.span_s > 0) WEIR_TRY(put("traffic.requests_per_s", rounded(t.requests_per_s)));
  if (t.peak_per_s) WEIR_TRY(put("traffic.requests_per_s_peak", rounded(*t.peak_per_s)));
  if (t.arrival_cv) WEIR_TRY(put("traffic.arrival_cv", rounded(std::min(*t.arrival_cv, 1000.0))));
  if (t.shared_prefix_share) {
    WEIR_TRY(put("traffic.shared_prefix_share", rounded(*t.shared_prefix_share),
                 "as a cache that forgets nothing would find them"));
  }
  return out;
}

Status infer_concurrency(Intake& intake) {
  const IntakeValue* known = intake.find("traffic.concurrency");
  if (known != nullptr &&
      (known->origin != Origin::kInferred || !known->evidence.starts_with(kLittle)))
    return {};
  const auto rate = intake.number("traffic.requests_per_s");
  const auto queue = intake.number("observed.queue_ms_mean");
  const auto prefill = intake.number("observed.prefill_ms_mean");
  const auto decode = intake.number("observed.decode_ms_mean");
  if (!rate || !queue || !prefill || !decode) return {};
  const double seconds = (*queue + *prefill + *decode) / 1000;
  const double requests = std::clamp(std::round(*rate * seconds), 1.0, 1e7);
  return intake.set("traffic.concurrency", static_cast<int64_t>(requests), Origin::kInferred,
                    fmt::format("{}: {:.4g} requests/s x {:.4g} s in queue, prefill and decode, as "
                                "a server showed them",
                                kLittle, *rate, seconds));
}

}  // namespace weir::ops
