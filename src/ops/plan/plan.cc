#include "ops/plan/plan.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace weir::ops {
namespace {

constexpr double kGiga = 1e9, kTera = 1e12, kBitsPerByte = 8;
constexpr double kSecondsPerHour = 3600, kMillion = 1e6;
// Logits, activations of a step and the runtime's own memory, of each device. A hypothesis: engines
// report 1 to 4 GB.
constexpr double kActivationsGb = 2;
// Unfitted ends of what engines reach of published rates: a hypothesis.
constexpr Efficiency kLow{0.35, 0.6, 0.5, 6.0, 0.03};
constexpr Efficiency kHigh{0.65, 0.85, 0.8, 1.5, 0.01};
constexpr int kSearchSteps = 9;
constexpr double kAloneShare = 0.02;  // of the rate at which alone requests would follow each other

// The type that matrices are multiplied in: that of the weights where the device has it, else 16
// bits.
std::pair<std::string, const Figure*> compute_rate(const ModelShape& shape, const Accelerator& a) {
  const bool four = shape.precision == "fp4";
  const std::array wanted = {four                        ? "fp4"
                             : shape.precision == "fp8"  ? "fp8"
                             : shape.precision == "int8" ? "int8"
                                                         : "bf16",
                             "bf16", "fp16", "fp32"};
  for (const char* type : wanted) {
    if (const Figure* f = a.tflops(type)) return {type, f};
  }
  return {"", nullptr};
}

bool meets(const LoadPoint& p, const PlanSlo& slo) {
  return (slo.ttft_ms_p95 == 0 || p.ttft_ms_p95 <= slo.ttft_ms_p95) &&
         (slo.itl_ms_p95 == 0 || p.itl_ms_p95 <= slo.itl_ms_p95) &&
         (slo.total_ms_p99 == 0 || p.total_ms_p99 <= slo.total_ms_p99);
}

// One replica at one rate.
class Trial {
 public:
  Trial(const PlanRequest& request, const StepTime& time, int64_t kv_tokens)
      : request_(request), time_(time) {
    fleet_.replica.kv_tokens = kv_tokens;
    fleet_.replica.max_running = request.max_running;
    fleet_.replica.step_tokens = request.step_tokens;
  }

  Result<LoadPoint> at(double rate) const {
    Workload w = request_.workload;
    w.rate_per_s = rate;
    w.context_tokens = std::min(w.context_tokens, fleet_.replica.kv_tokens);
    const auto requests = draw_requests(w, request_.requests, request_.seed);
    WEIR_ASSIGN(const SimOutcome o, simulate(requests, fleet_, time_));
    LoadPoint p;
    p.rate_per_s = rate;
    p.ttft_ms_p50 = sim_quantile(o.ttft_ms, 0.5);
    p.ttft_ms_p95 = sim_quantile(o.ttft_ms, 0.95);
    p.itl_ms_p50 = o.gaps.quantile(0.5);
    p.itl_ms_p95 = o.gaps.quantile(0.95);
    p.total_ms_p99 = sim_quantile(o.total_ms, 0.99);
    p.output_tok_s = o.span_s > 0 ? static_cast<double>(o.output_tokens) / o.span_s : 0;
    p.busy_share = o.span_s > 0 ? o.busy_s / o.span_s : 0;
    p.kv_share = o.max_kv_share;
    // A load that it cannot carry takes longer than its arrivals, whatever the SLO says.
    const double arrivals_s = requests.back().arrival_s;
    p.meets_slo = meets(p, request_.slo) && o.span_s < 1.2 * arrivals_s + 2 * p.total_ms_p99 / 1000;
    return p;
  }

 private:
  const PlanRequest& request_;
  const StepTime& time_;
  SimFleet fleet_;
};

Result<PlanEnd> plan_end(const PlanRequest& request, const DeviceRates& rates,
                         const PlanMemory& memory, const Efficiency& efficiency) {
  PlanEnd end;
  end.efficiency = efficiency;
  const RooflineStepTime time(request.shape, rates, request.devices, request.kv_element_bytes,
                              efficiency);
  const Trial trial(request, time, memory.kv_tokens);
  // What one request takes by itself sets the scale of the search.
  WEIR_ASSIGN(const LoadPoint first, trial.at(1e-3));
  const double alone_s = std::max(first.total_ms_p99, 1.0) / 1000;
  WEIR_ASSIGN(end.alone, trial.at(kAloneShare / alone_s));
  if (!end.alone.meets_slo) return end;
  double low = end.alone.rate_per_s, high = low;
  LoadPoint best = end.alone;
  for (int i = 0; i < 24; ++i) {
    high = 2 * low;
    WEIR_ASSIGN(const LoadPoint p, trial.at(high));
    if (!p.meets_slo) break;
    low = high;
    best = p;
  }
  for (int i = 0; i < kSearchSteps; ++i) {
    const double middle = (low + high) / 2;
    WEIR_ASSIGN(const LoadPoint p, trial.at(middle));
    (p.meets_slo ? low : high) = middle;
    if (p.meets_slo) best = p;
  }
  end.most = best;
  end.replicas = static_cast<int>(std::ceil(request.workload.rate_per_s / best.rate_per_s)) +
                 request.spare_replicas;
  if (request.device->price_usd_per_hour && best.output_tok_s > 0) {
    const auto& price = *request.device->price_usd_per_hour;
    const double hourly = (price.low_usd + price.high_usd) / 2 * request.devices;
    // At the workload's own rate, spread over all replicas, spare ones too.
    const double tok_s = best.output_tok_s / best.rate_per_s * request.workload.rate_per_s;
    end.usd_per_million_output_tokens =
        hourly * end.replicas / (tok_s * kSecondsPerHour) * kMillion;
  }
  return end;
}

}  // namespace

PlanSlo slo_of(const Intake& intake) {
  return {intake.number("slo.ttft_ms_p95").value_or(0), intake.number("slo.itl_ms_p95").value_or(0),
          intake.number("slo.total_ms_p99").value_or(0)};
}

PlanMemory plan_memory(const PlanRequest& request, double device_gb) {
  PlanMemory m;
  m.device_gb = device_gb;
  m.usable_gb = device_gb * request.memory_share;
  m.weights_gb = request.shape.parameters() * request.shape.bits_per_weight / kBitsPerByte / kGiga /
                 request.devices;
  m.activations_gb = std::min(kActivationsGb, 0.1 * device_gb);
  m.kv_gb = m.usable_gb - m.weights_gb - m.activations_gb;
  m.kv_bytes_per_token = request.shape.kv_bytes_per_token(Mixer::kFull, request.kv_element_bytes) +
                         request.shape.kv_bytes_per_token(Mixer::kWindow, request.kv_element_bytes);
  // Fewer key heads than devices are copied: each holds one at least.
  const double copies =
      request.shape.kv_rank > 0
          ? request.devices
          : std::max(1.0, static_cast<double>(request.devices) /
                              static_cast<double>(std::max<int64_t>(1, request.shape.kv_heads)));
  if (m.kv_gb > 0 && m.kv_bytes_per_token > 0) {
    m.kv_tokens =
        static_cast<int64_t>(m.kv_gb * kGiga * request.devices / (m.kv_bytes_per_token * copies));
  }
  m.fits = m.kv_tokens > 1;
  return m;
}

Result<Plan> make_plan(const PlanRequest& request) {
  const Accelerator& a = *request.device;
  const double device_gb = a.memory_gb ? a.memory_gb->value : request.memory_gb;
  if (device_gb <= 0) {
    return make_error(ErrorCode::kUsage,
                      "{} has no memory of its own: give the machine's with --memory-gb or "
                      "hardware.memory_gb",
                      a.id);
  }
  const auto [type, rate] = compute_rate(request.shape, a);
  if (rate == nullptr) {
    return make_error(
        ErrorCode::kUsage,
        "{} has no published rate of matrix arithmetic in {} or 16 bits, so its prefill "
        "cannot be computed",
        a.id, request.shape.precision);
  }
  Plan plan;
  plan.compute_type = type;
  plan.memory = plan_memory(request, device_gb);
  DeviceRates rates;
  rates.flops = rate->value * kTera;
  const Figure* sixteen = a.tflops("bf16") != nullptr ? a.tflops("bf16") : rate;
  rates.attention_flops = sixteen->value * kTera;
  rates.bytes = a.bandwidth_gb_per_s.value * kGiga;
  plan.rates_verified = rate->verified && a.bandwidth_gb_per_s.verified;
  if (request.devices > 1) {
    if (a.interconnect) {
      rates.link_bytes = a.interconnect->gb_per_s.value * kGiga;
      plan.rates_verified = plan.rates_verified && a.interconnect->gb_per_s.verified;
    } else if (a.pcie) {
      // GB/s of a lane and direction, after encoding: 2 in generation 4, doubling.
      rates.link_bytes = a.pcie->lanes * std::pow(2.0, a.pcie->generation - 3) * kGiga;
    }
  }
  if (!plan.memory.fits) return plan;
  WEIR_ASSIGN(plan.low, plan_end(request, rates, plan.memory, kLow));
  WEIR_ASSIGN(plan.high, plan_end(request, rates, plan.memory, kHigh));
  return plan;
}

}  // namespace weir::ops
