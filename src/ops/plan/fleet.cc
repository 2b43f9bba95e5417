#include "ops/plan/fleet.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "ops/plan/disaggregated.h"

namespace weir::ops {
namespace {

constexpr double kMsPerS = 1000;
// Of a transfer between machines: a round trip and the call. A hypothesis.
constexpr double kLinkLatencyS = 0.002;
constexpr std::array kQueued = {0.5, 1.0, 2.0, 4.0, 8.0, 16.0};  // rules that are tried
constexpr int kMostMore = 3;                // spare replicas that are tried as a remedy
constexpr size_t kRequestsPerReplica = 60;  // so that each sees more than its first few

Workload workload_for(const PlanRequest& request, const SimFleet& fleet, double rate) {
  Workload w = request.workload;
  w.rate_per_s = rate;
  w.context_tokens = std::min(w.context_tokens, fleet.replica.kv_tokens);
  return w;
}

// A pool that prefills sees answers of one token; one that decodes sees prompts that are known.
std::vector<SimRequest> prefills(std::vector<SimRequest> all) {
  for (SimRequest& r : all) r.output_tokens = 1;
  return all;
}
std::vector<SimRequest> decodes(std::vector<SimRequest> all) {
  for (SimRequest& r : all) {
    r.first_token_s = r.arrival_s;
    if (r.output_tokens > 1) continue;
    r.output_tokens = 2;  // one that ends with its first token would not come here at all
    r.prompt_tokens = std::max(1, r.prompt_tokens - 1);
    r.prefix_tokens = std::min(r.prefix_tokens, r.prompt_tokens);
  }
  return all;
}

class Pool {
 public:
  Pool(const PlanRequest& request, const ReplicaTrial& trial, bool prefill)
      : request_(request), trial_(trial), prefill_(prefill) {}

  Result<LoadPoint> at(double rate) const {
    const auto all = draw_requests(workload_for(request_, trial_.fleet(), rate), request_.requests,
                                   request_.seed);
    const auto requests = prefill_ ? prefills(all) : decodes(all);
    WEIR_ASSIGN(const SimOutcome o, simulate(requests, trial_.fleet(), trial_.time()));
    LoadPoint p = load_point(o, rate);
    // Each answers for its part: the first token, or those after it.
    const PlanSlo& slo = request_.slo;
    const PlanSlo own = prefill_ ? PlanSlo{slo.ttft_ms_p95, 0, slo.total_ms_p99}
                                 : PlanSlo{0, slo.itl_ms_p95, slo.total_ms_p99};
    p.meets_slo = meets(p, own) && is_carried(requests, o);
    return p;
  }

 private:
  const PlanRequest& request_;
  const ReplicaTrial& trial_;
  bool prefill_;
};

int replicas_for(double rate, const LoadPoint& most) {
  return static_cast<int>(std::ceil(rate / most.rate_per_s));
}

size_t requests_for(const PlanRequest& request, int replicas) {
  return std::max(request.requests, kRequestsPerReplica * static_cast<size_t>(replicas));
}

// Arrivals of a cosine between trough and 1 times the rate: drawn at the mean rate, then moved so
// that the integral of the rate up to each is what it was.
void bend(std::vector<SimRequest>& requests, double rate, double trough, double period_s) {
  const double mean = rate * (1 + trough) / 2, swing = rate * (1 - trough) / 2;
  const double omega = 2 * std::numbers::pi / period_s;
  double t = 0;
  for (SimRequest& r : requests) {
    const double wanted = r.arrival_s * mean;  // requests up to then
    for (int i = 0; i < 12; ++i) {             // Newton's method from the arrival before
      const double have = mean * t - swing / omega * std::sin(omega * t);
      const double slope = std::max(mean - swing * std::cos(omega * t), 0.05 * mean);
      t += (wanted - have) / slope;
    }
    r.arrival_s = std::max(t, 0.0);
  }
  std::sort(requests.begin(), requests.end(),
            [](const SimRequest& a, const SimRequest& b) { return a.arrival_s < b.arrival_s; });
}

SimFleet fleet_of(const ReplicaTrial& trial, int replicas) {
  SimFleet fleet = trial.fleet();
  fleet.replicas *= replicas;
  return fleet;
}

}  // namespace

Result<std::optional<DisaggregatedFleet>> plan_disaggregated(const PlanRequest& request,
                                                             const PlanDevice& device,
                                                             const Efficiency& efficiency,
                                                             double link_bytes_per_s) {
  const ReplicaTrial trial(request, device, efficiency);
  WEIR_ASSIGN(const LoadPoint together_alone, trial.alone());
  std::array<std::optional<LoadPoint>, 2> most;
  for (const bool prefill : {true, false}) {
    const Pool pool(request, trial, prefill);
    const auto at = [&pool](double rate) { return pool.at(rate); };
    WEIR_ASSIGN(const LoadPoint alone, pool.at(together_alone.rate_per_s));
    WEIR_ASSIGN(most[prefill ? 0 : 1], highest_load(at, alone));
  }
  if (!most[0] || !most[1]) return std::optional<DisaggregatedFleet>();
  DisaggregatedFleet out;
  const double rate = request.workload.rate_per_s;
  out.prefill_most = *most[0];
  out.decode_most = *most[1];
  out.prefill_replicas = replicas_for(rate, out.prefill_most);
  out.decode_replicas = replicas_for(rate, out.decode_most);
  SimDisaggregated fleet;
  fleet.prefill = fleet_of(trial, out.prefill_replicas);
  fleet.decode = fleet_of(trial, out.decode_replicas);
  const ModelShape& shape = request.shape;
  fleet.kv_bytes_per_token = shape.kv_bytes_per_token(Mixer::kFull, request.kv_element_bytes);
  fleet.window_bytes_per_token = shape.kv_bytes_per_token(Mixer::kWindow, request.kv_element_bytes);
  fleet.window_tokens = shape.window;
  fleet.state_bytes = shape.state_bytes_per_sequence();
  fleet.links = std::min(out.prefill_replicas, out.decode_replicas);
  fleet.link_bytes_per_s = link_bytes_per_s;
  fleet.link_latency_s = kLinkLatencyS;
  out.transfer_ms = kMsPerS * (fleet.link_latency_s + shape.kv_bytes(request.workload.prompt_p50,
                                                                     request.kv_element_bytes) /
                                                          link_bytes_per_s);
  const auto requests = draw_requests(
      workload_for(request, trial.fleet(), rate),
      requests_for(request, out.prefill_replicas + out.decode_replicas), request.seed);
  WEIR_ASSIGN(const SimOutcome o,
              simulate_disaggregated(requests, fleet, trial.time(), trial.time()));
  out.load = load_point(o, rate);
  out.load.meets_slo = meets(out.load, request.slo) && is_carried(requests, o);
  return std::optional(out);
}

Result<std::optional<AutoscaledFleet>> plan_autoscaling(const PlanRequest& request,
                                                        const ReplicaTrial& trial, int replicas,
                                                        const AutoscaleQuestion& question) {
  if (request.pipeline > 1) return std::optional<AutoscaledFleet>();
  const double rate = request.workload.rate_per_s;
  const double mean = rate * (1 + question.trough) / 2;
  const double period_s =
      std::min(question.period_s, static_cast<double>(AutoscaleQuestion::kMostRequests) / mean);
  const auto count = static_cast<size_t>(std::max(1.0, mean * period_s));
  auto requests = draw_requests(workload_for(request, trial.fleet(), mean), count, request.seed);
  bend(requests, rate, question.trough, period_s);
  // Spare replicas are for failures: the load must be met without them, and they are always there.
  const int working = std::max(1, replicas - request.spare_replicas);
  std::optional<AutoscaledFleet> best;
  for (const double queued : kQueued) {
    SimFleet fleet = trial.fleet();
    SimAutoscaler rule;
    rule.least = std::max(1, static_cast<int>(std::ceil(working * question.trough)));
    rule.most = working;
    rule.queued_per_replica = queued;
    rule.cold_start_s = question.cold_start_s;
    rule.calm_s = std::min(rule.calm_s, period_s / 8);
    fleet.replicas = rule.least;
    fleet.autoscaler = rule;
    WEIR_ASSIGN(const SimOutcome o, simulate(requests, fleet, trial.time()));
    AutoscaledFleet found;
    found.load = load_point(o, rate);
    found.load.meets_slo = meets(found.load, request.slo);
    if (!found.load.meets_slo) continue;
    found.replica_share = (o.replica_s + request.spare_replicas * o.span_s) /
                          (o.span_s * (working + request.spare_replicas));
    if (best && best->replica_share <= found.replica_share) continue;
    found.rule = rule;
    found.rule.least = rule.least + request.spare_replicas;
    found.rule.most = working + request.spare_replicas;
    found.period_s = period_s;
    found.scale = o.scale;
    best = std::move(found);
  }
  return best;
}

Result<FailureOutcome> plan_failure(const PlanRequest& request, const ReplicaTrial& trial,
                                    int replicas, double down_s) {
  FailureOutcome out;
  const double rate = request.workload.rate_per_s;
  const double needed_s = 3 * down_s;  // before, meanwhile and after
  out.requests =
      std::min(AutoscaleQuestion::kMostRequests,
               std::max(requests_for(request, replicas), static_cast<size_t>(rate * needed_s)));
  out.down_s = down_s;
  const auto requests =
      draw_requests(workload_for(request, trial.fleet(), rate), out.requests, request.seed);
  SimFleet fleet = fleet_of(trial, replicas);
  const double at = requests.front().arrival_s + (requests.back().arrival_s) / 3;
  for (int32_t i = 0; i < trial.fleet().replicas; ++i) fleet.failures.push_back({at, down_s, i});
  WEIR_ASSIGN(const SimOutcome o, simulate(requests, fleet, trial.time()));
  out.load = load_point(o, rate);
  out.load.meets_slo = meets(out.load, request.slo);
  out.restarted = o.restarted;
  return out;
}

Result<FailureOutcome> plan_failure_with_remedy(const PlanRequest& request,
                                                const ReplicaTrial& trial, int replicas,
                                                double down_s) {
  WEIR_ASSIGN(FailureOutcome out, plan_failure(request, trial, replicas, down_s));
  for (int more = 1; !out.load.meets_slo && more <= kMostMore; ++more) {
    WEIR_ASSIGN(const FailureOutcome larger, plan_failure(request, trial, replicas + more, down_s));
    if (!larger.load.meets_slo) continue;
    out.spare_that_meets = request.spare_replicas + more;
    break;
  }
  return out;
}

}  // namespace weir::ops
