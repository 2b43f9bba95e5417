#include "ops/plan/plan.h"

#include <algorithm>
#include <cmath>

#include "ops/plan/replica_trial.h"

namespace weir::ops {
namespace {

constexpr double kGiga = 1e9, kBitsPerByte = 8;
constexpr double kSecondsPerHour = 3600, kMillion = 1e6;
// Logits, activations of a step and the runtime's own memory, of each device. A hypothesis: engines
// report 1 to 4 GB.
constexpr double kActivationsGb = 2;

Result<PlanEnd> plan_end(const PlanRequest& request, const PlanDevice& device,
                         const Efficiency& efficiency, PriceEnd price) {
  PlanEnd end;
  end.efficiency = efficiency;
  const ReplicaTrial trial(request, device, efficiency);
  WEIR_ASSIGN(end.alone, trial.alone());
  WEIR_ASSIGN(end.most, trial.most(end.alone));
  if (!end.most) return end;
  end.replicas = static_cast<int>(std::ceil(request.workload.rate_per_s / end.most->rate_per_s)) +
                 request.spare_replicas;
  end.usd_per_million_output_tokens = usd_per_million(request, *end.most, end.replicas, price);
  return end;
}

// What the cache holds in sequences of so many tokens.
void hold(const PlanRequest& request, double tokens, PlanMemory& m) {
  m.kv_bytes_per_token = request.shape.kv_bytes_per_token_at(tokens, request.kv_element_bytes);
  if (m.kv_gb < 0) return;
  if (m.kv_bytes_per_token == 0) {  // states alone: as long as the context allows
    m.kv_tokens = request.workload.context_tokens * request.max_running;
    return;
  }
  m.kv_tokens =
      static_cast<int64_t>(m.kv_gb * kGiga * request.devices * request.pipeline /
                           m.kv_bytes_per_token / request.shape.kv_copies(request.devices));
}

}  // namespace

double usd_per_million(const PlanRequest& request, const LoadPoint& load, double replicas,
                       PriceEnd end) {
  if (!request.device->price_usd_per_hour || load.output_tok_s <= 0) return 0;
  const auto& price = *request.device->price_usd_per_hour;
  const double hourly = (end == PriceEnd::kLowest ? price.low_usd : price.high_usd) *
                        request.devices * request.pipeline;
  // At the workload's mean rate, spread over all replicas, spare ones too: a fleet for the peak is
  // paid for all day.
  const double tok_s = load.output_tok_s / load.rate_per_s * request.workload.mean_rate();
  return hourly * replicas / (tok_s * kSecondsPerHour) * kMillion;
}

PlanSlo slo_of(const Intake& intake) {
  return {intake.number("slo.ttft_ms_p95").value_or(0), intake.number("slo.itl_ms_p95").value_or(0),
          intake.number("slo.total_ms_p99").value_or(0)};
}

bool is_fitted(const PlanRequest& request) {
  return request.fitted &&
         (request.fitted_devices == 0 || request.fitted_devices == request.devices);
}

PlanMemory plan_memory(const PlanRequest& request, double device_gb) {
  PlanMemory m;
  m.device_gb = device_gb;
  m.usable_gb = device_gb * request.memory_share;
  m.weights_gb = request.shape.parameters() * request.shape.bits_per_weight / kBitsPerByte / kGiga /
                 (request.devices * request.pipeline);
  m.activations_gb = std::min(kActivationsGb, 0.1 * device_gb);
  m.states_gb = request.max_running * request.shape.state_bytes_per_sequence() / kGiga /
                (request.devices * request.pipeline);
  m.kv_gb = m.usable_gb - m.weights_gb - m.activations_gb - m.states_gb;
  const Workload& w = request.workload;
  const auto context = static_cast<double>(w.context_tokens);
  m.longest_tokens = std::lround(std::min(context, std::max(2.0, w.prompt_p95 + w.output_p95)));
  hold(request, std::round(std::min(context, mean_tokens(w))), m);
  // Windows make a token of a long sequence smaller.
  if (m.most_tokens(request.pipeline) < m.longest_tokens)
    hold(request, static_cast<double>(m.longest_tokens), m);
  m.fits = m.kv_gb >= 0 && m.most_tokens(request.pipeline) >= m.longest_tokens;
  return m;
}

Result<Plan> make_plan(const PlanRequest& request) {
  if (request.devices % request.expert_parallel != 0) {
    return make_error(ErrorCode::kUsage,
                      "experts are spread over devices that share layers: their number must divide "
                      "{}, and is {}",
                      request.devices, request.expert_parallel);
  }
  WEIR_ASSIGN(const PlanDevice device, plan_device(request));
  Plan plan;
  plan.compute_type = device.compute_type;
  plan.rates_verified = device.verified;
  plan.memory = plan_memory(request, device.memory_gb);
  if (!plan.memory.fits) return plan;
  const EfficiencyRange range = efficiency_range(request);
  WEIR_ASSIGN(plan.low, plan_end(request, device, range.low, PriceEnd::kHighest));
  WEIR_ASSIGN(plan.high, plan_end(request, device, range.high, PriceEnd::kLowest));
  return plan;
}

}  // namespace weir::ops
