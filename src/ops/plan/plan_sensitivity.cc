#include "ops/plan/plan_sensitivity.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

namespace weir::ops {
namespace {

constexpr size_t kRequests = 1200;  // of each simulation: forty-odd of them
constexpr double kStep = 0.2;

Result<double> devices_for(const PlanRequest& request, const Efficiency& efficiency) {
  WEIR_ASSIGN(const PlanDevice device, plan_device(request));
  if (!plan_memory(request, device.memory_gb).fits) return 0.0;
  const ReplicaTrial trial(request, device, efficiency);
  WEIR_ASSIGN(const LoadPoint alone, trial.alone());
  WEIR_ASSIGN(const std::optional<LoadPoint> most, trial.most(alone));
  if (!most) return 0.0;
  return request.workload.rate_per_s / most->rate_per_s * request.devices * request.pipeline;
}

// An input that is scaled by 1 ± kStep.
struct Scaled {
  const char* name;
  std::function<void(PlanRequest&, double)> scale;
};

std::vector<Scaled> scaled_inputs(const PlanRequest& request) {
  std::vector<Scaled> out = {
      {"requests a second", [](PlanRequest& r, double f) { r.workload.rate_per_s *= f; }},
      {"prompt tokens",
       [](PlanRequest& r, double f) {
         r.workload.prompt_p50 = std::max(1.0, r.workload.prompt_p50 * f);
         r.workload.prompt_p95 *= f;
       }},
      {"answer tokens",
       [](PlanRequest& r, double f) {
         r.workload.output_p50 = std::max(1.0, r.workload.output_p50 * f);
         r.workload.output_p95 *= f;
       }},
      {"burstiness of arrivals", [](PlanRequest& r, double f) { r.workload.arrival_cv *= f; }},
      {"bits of a weight", [](PlanRequest& r, double f) { r.shape.bits_per_weight *= f; }},
      {"bytes of a cache element", [](PlanRequest& r, double f) { r.kv_element_bytes *= f; }}};
  if (request.slo.ttft_ms_p95 > 0)
    out.push_back({"TTFT objective", [](PlanRequest& r, double f) { r.slo.ttft_ms_p95 *= f; }});
  if (request.slo.itl_ms_p95 > 0)
    out.push_back({"ITL objective", [](PlanRequest& r, double f) { r.slo.itl_ms_p95 *= f; }});
  if (request.slo.total_ms_p99 > 0)
    out.push_back(
        {"total time objective", [](PlanRequest& r, double f) { r.slo.total_ms_p99 *= f; }});
  return out;
}

// One of the efficiencies, over its own range.
struct Ranged {
  const char* name;
  double Efficiency::*field;
};
constexpr Ranged kRanged[] = {{"share of arithmetic reached", &Efficiency::compute},
                              {"share of bandwidth reached", &Efficiency::memory},
                              {"share of the link reached", &Efficiency::link},
                              {"fixed ms of a step", &Efficiency::step_ms}};

double swing(const SensitivityBar& b) {
  // What cannot be met at one end moves the answer most.
  if (b.at_low == 0 || b.at_high == 0) return std::numeric_limits<double>::infinity();
  return std::fabs(b.at_high - b.at_low);
}

}  // namespace

Result<PlanSensitivity> plan_sensitivity(const PlanRequest& asked) {
  PlanRequest request = asked;
  request.requests = kRequests;
  const EfficiencyRange range = efficiency_range(request);
  const Efficiency mid = middle(range);
  PlanSensitivity out;
  WEIR_ASSIGN(out.devices, devices_for(request, mid));
  if (out.devices == 0) return out;
  for (const Scaled& input : scaled_inputs(request)) {
    SensitivityBar bar{input.name, fmt::format("-{:.0f} %", 100 * kStep),
                       fmt::format("+{:.0f} %", 100 * kStep)};
    PlanRequest less = request, more = request;
    input.scale(less, 1 - kStep);
    input.scale(more, 1 + kStep);
    WEIR_ASSIGN(bar.at_low, devices_for(less, mid));
    WEIR_ASSIGN(bar.at_high, devices_for(more, mid));
    out.bars.push_back(std::move(bar));
  }
  for (const Ranged& input : kRanged) {
    if (input.field == &Efficiency::link && request.devices * request.pipeline == 1) continue;
    Efficiency low = mid, high = mid;
    low.*input.field = range.low.*input.field;
    high.*input.field = range.high.*input.field;
    SensitivityBar bar{input.name, fmt::format("{:.3g}", low.*input.field),
                       fmt::format("{:.3g}", high.*input.field)};
    WEIR_ASSIGN(bar.at_low, devices_for(request, low));
    WEIR_ASSIGN(bar.at_high, devices_for(request, high));
    out.bars.push_back(std::move(bar));
  }
  std::stable_sort(
      out.bars.begin(), out.bars.end(),
      [](const SensitivityBar& a, const SensitivityBar& b) { return swing(a) > swing(b); });
  return out;
}

}  // namespace weir::ops
