#include "ops/plan/replica_trial.h"

#include <algorithm>
#include <cmath>

#include "engine/scheduler.h"
#include "ops/plan/layout.h"

namespace weir::ops {
namespace {

constexpr double kGiga = 1e9, kTera = 1e12;
// Unfitted ends of what engines reach of published rates: a hypothesis.
constexpr Efficiency kLow{0.35, 0.6, 0.5, 6.0, 0.03};
constexpr Efficiency kHigh{0.65, 0.85, 0.8, 1.5, 0.01};
constexpr int kDoublings = 24;
constexpr int kHalvings = 9;
constexpr double kAloneShare = 0.02;  // of the rate at which alone requests would follow each other
constexpr double kMsPerS = 1000;
// A tenth: what a few thousand random arrivals can look like although they are carried.
constexpr double kMostGrowth = 0.1;

// That of the model's arithmetic where the device has it, else 16 bits. On CPUs engines multiply
// weights of up to 8 bits as int8 (llama.cpp's and weir's kernels).
std::pair<std::string, const Figure*> compute_rate(const ModelShape& shape, const Accelerator& a) {
  if (a.kind == AcceleratorKind::kCpu && shape.bits_per_weight <= 9) {
    if (const Figure* f = a.tflops("int8")) return {"int8", f};
  }
  const std::string wanted = arithmetic_type(shape);
  for (const std::string& type :
       {wanted, std::string("bf16"), std::string("fp16"), std::string("fp32")}) {
    if (const Figure* f = a.tflops(type)) return {type, f};
  }
  return {"", nullptr};
}

// Seconds that waiting grows by in each second of arrivals: of a load of R that is carried at C it
// is 1 - C / R.
double growth(std::span<const SimRequest> requests, const SimOutcome& o) {
  double n = 0, t = 0, q = 0, tt = 0, tq = 0;
  for (size_t i = 0; i < requests.size(); ++i) {
    if (std::isnan(o.queue_ms[i])) continue;
    const double at = requests[i].arrival_s, waited = o.queue_ms[i] / kMsPerS;
    n += 1;
    t += at;
    q += waited;
    tt += at * at;
    tq += at * waited;
  }
  const double spread = n * tt - t * t;
  return spread > 0 ? (n * tq - t * q) / spread : 0;
}

}  // namespace

bool is_carried(std::span<const SimRequest> requests, const SimOutcome& o) {
  // Few requests may all find room before any waits: then they take longer than their arrivals.
  const double arrivals_s = requests.back().arrival_s;
  const double last_ms = sim_quantile(o.total_ms, 0.99);
  return growth(requests, o) <= kMostGrowth && o.span_s < 1.2 * arrivals_s + 2 * last_ms / kMsPerS;
}

Result<PlanDevice> plan_device(const PlanRequest& request) {
  const Accelerator& a = *request.device;
  PlanDevice d;
  d.memory_gb = request.own_memory_gb > 0 ? request.own_memory_gb
                : a.memory_gb             ? a.memory_gb->value
                                          : request.memory_gb;
  if (d.memory_gb <= 0) {
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
  d.compute_type = type;
  d.rates.flops = rate->value * kTera;
  const Figure* sixteen = a.tflops("bf16") != nullptr ? a.tflops("bf16") : rate;
  d.rates.attention_flops = sixteen->value * kTera;
  d.rates.bytes = a.bandwidth_gb_per_s.value * kGiga;
  d.verified = rate->verified && a.bandwidth_gb_per_s.verified;
  WEIR_TRY(check_layout(request));
  if (request.devices > 1) {
    const LinkRate link = link_between(a, request.devices);
    d.rates.link_bytes = link.bytes;
    d.verified = d.verified && link.verified;
  }
  if (request.pipeline > 1) {
    const LinkRate link = link_between(a, request.devices * request.pipeline);
    d.rates.handed_bytes = link.bytes;
    d.verified = d.verified && link.verified;
  }
  return d;
}

EfficiencyRange efficiency_range(const PlanRequest& request) {
  return request.fitted ? EfficiencyRange{request.fitted->first, request.fitted->second}
                        : EfficiencyRange{kLow, kHigh};
}

Efficiency middle(const EfficiencyRange& r) {
  const auto between = [](double a, double b) { return (a + b) / 2; };
  return {between(r.low.compute, r.high.compute), between(r.low.memory, r.high.memory),
          between(r.low.link, r.high.link), between(r.low.step_ms, r.high.step_ms),
          between(r.low.collective_ms, r.high.collective_ms)};
}

bool meets(const LoadPoint& p, const PlanSlo& slo) {
  return (slo.ttft_ms_p95 == 0 || p.ttft_ms_p95 <= slo.ttft_ms_p95) &&
         (slo.itl_ms_p95 == 0 || p.itl_ms_p95 <= slo.itl_ms_p95) &&
         (slo.total_ms_p99 == 0 || p.total_ms_p99 <= slo.total_ms_p99);
}

ReplicaTrial::ReplicaTrial(const PlanRequest& request, const PlanDevice& device,
                           const Efficiency& efficiency)
    : request_(request),
      time_(request.shape, device.rates,
            {request.devices, request.expert_parallel, request.pipeline}, request.kv_element_bytes,
            efficiency) {
  const int32_t batches = request.pipeline;
  fleet_.replicas = batches;
  SimReplica& r = fleet_.replica;
  r.kv_tokens = std::max<int64_t>(2, plan_memory(request, device.memory_gb).kv_tokens / batches);
  r.max_running = std::max(1, request.max_running / batches);
  r.step_tokens = request.step_tokens;
  if (request.engine == "weir") r.short_part = engine::kShortPart;
  r.prefix_cache = request.prefix_cache;
  r.draft_tokens = request.draft_tokens;
  r.draft_acceptance = request.draft_acceptance;
}

Result<LoadPoint> ReplicaTrial::at(double rate_per_s) const {
  Workload w = request_.workload;
  w.rate_per_s = rate_per_s;
  w.context_tokens = std::min(w.context_tokens, fleet_.replica.kv_tokens);
  const auto requests = draw_requests(w, request_.requests, request_.seed);
  WEIR_ASSIGN(const SimOutcome o, simulate(requests, fleet_, time_));
  LoadPoint p = load_point(o, rate_per_s);
  p.busy_share /= fleet_.replicas;
  p.meets_slo = meets(p, request_.slo) && is_carried(requests, o);
  return p;
}

LoadPoint load_point(const SimOutcome& o, double rate_per_s) {
  LoadPoint p;
  p.rate_per_s = rate_per_s;
  p.ttft_ms_p50 = sim_quantile(o.ttft_ms, 0.5);
  p.ttft_ms_p95 = sim_quantile(o.ttft_ms, 0.95);
  p.itl_ms_p50 = o.gaps.quantile(0.5);
  p.itl_ms_p95 = o.gaps.quantile(0.95);
  p.total_ms_p99 = sim_quantile(o.total_ms, 0.99);
  if (o.span_s > 0) {
    p.output_tok_s = static_cast<double>(o.output_tokens) / o.span_s;
    p.busy_share = o.busy_s / o.span_s;
  }
  p.kv_share = o.max_kv_share;
  return p;
}

Result<LoadPoint> ReplicaTrial::alone() const {
  // What one request takes by itself sets the scale.
  WEIR_ASSIGN(const LoadPoint first, at(1e-3));
  return at(kAloneShare * kMsPerS / std::max(first.total_ms_p99, 1.0));
}

Result<std::optional<LoadPoint>> ReplicaTrial::most(const LoadPoint& alone) const {
  return highest_load([this](double rate) { return at(rate); }, alone);
}

Result<std::optional<LoadPoint>> highest_load(const std::function<Result<LoadPoint>(double)>& at,
                                              const LoadPoint& alone) {
  if (!alone.meets_slo) return std::optional<LoadPoint>();
  double low = alone.rate_per_s, high = low;
  LoadPoint best = alone;
  for (int i = 0; i < kDoublings; ++i) {
    high = 2 * low;
    WEIR_ASSIGN(const LoadPoint p, at(high));
    if (!p.meets_slo) break;
    low = high;
    best = p;
  }
  for (int i = 0; i < kHalvings; ++i) {
    const double half = (low + high) / 2;
    WEIR_ASSIGN(const LoadPoint p, at(half));
    (p.meets_slo ? low : high) = half;
    if (p.meets_slo) best = p;
  }
  return std::optional(best);
}

}  // namespace weir::ops
