#include "ops/plan/plan_report.h"

#include <algorithm>
#include <tuple>

namespace weir::ops {
namespace {

using text::Json;

constexpr int kCurvePoints = 12;
constexpr double kBeyond = 1.25;  // of the most load

Json point_json(const LoadPoint& p) {
  Json j = Json::object();
  j.set("rate_per_s", p.rate_per_s);
  j.set("ttft_ms_p50", p.ttft_ms_p50);
  j.set("ttft_ms_p95", p.ttft_ms_p95);
  j.set("itl_ms_p50", p.itl_ms_p50);
  j.set("itl_ms_p95", p.itl_ms_p95);
  j.set("output_tok_s", p.output_tok_s);
  j.set("meets_slo", p.meets_slo);
  return j;
}

Json figures_json(const LoadFigures& f) {
  Json j = Json::object();
  j.set("ttft_ms_p50", f.ttft_ms_p50);
  j.set("ttft_ms_p95", f.ttft_ms_p95);
  j.set("itl_ms_p50", f.itl_ms_p50);
  j.set("itl_ms_p95", f.itl_ms_p95);
  j.set("output_tok_s", f.output_tok_s);
  return j;
}

}  // namespace

Result<std::vector<LoadPoint>> load_curve(const ReplicaTrial& trial, const LoadPoint& alone,
                                          const std::optional<LoadPoint>& most) {
  const double end = kBeyond * (most ? most->rate_per_s : 20 * alone.rate_per_s);
  std::vector<LoadPoint> out;
  for (int i = 1; i <= kCurvePoints; ++i) {
    WEIR_ASSIGN(const LoadPoint p, trial.at(end * i / kCurvePoints));
    out.push_back(p);
  }
  return out;
}

MachineNeed machine_need(const PlanReport& r) {
  const int64_t each = r.plan.devices();
  return {r.plan.replicas_high * each, r.plan.replicas_low * each, r.request.machine_devices};
}

const PlanReport* best_plan(std::span<const PlanReport> reports) {
  const auto rank = [](const PlanReport& r) {
    const MachineNeed need = machine_need(r);
    const bool both = r.plan.low && r.plan.replicas_high > 0;
    return std::tuple(!both, both ? need.pessimistic : need.optimistic, r.plan.devices());
  };
  const PlanReport* best = nullptr;
  for (const PlanReport& r : reports) {
    if (!r.plan.memory.fits || (!r.plan.low && !r.plan.high)) continue;
    if (best == nullptr || rank(r) < rank(*best)) best = &r;
  }
  return best;
}

Json plan_report_json(const PlanReport& r) {
  Json j = plan_file_json(r.plan);
  j.set("devices", static_cast<int64_t>(r.plan.devices()));  // of a replica
  if (!r.name.empty()) j.set("what_if", r.name);
  if (!r.request.engine.empty()) j.set("engine", r.request.engine);
  if (const MachineNeed need = machine_need(r); need.devices > 0) {
    Json m = Json::object();
    m.set("devices", need.devices);
    m.set("needed_pessimistic", need.pessimistic);
    m.set("needed_optimistic", need.optimistic);
    m.set("exceeded", std::max(need.pessimistic, need.optimistic) > need.devices);
    j.set("machines", std::move(m));
  }
  if (r.failure) {
    Json f = point_json(r.failure->load);
    f.set("restarted", r.failure->restarted);
    f.set("requests", static_cast<int64_t>(r.failure->requests));
    f.set("down_s", r.failure->down_s);
    if (r.failure->spare_that_meets > 0)
      f.set("spare_that_meets", static_cast<int64_t>(r.failure->spare_that_meets));
    j.set("failure", std::move(f));
  }
  if (r.disaggregated) {
    Json d = point_json(r.disaggregated->load);
    d.set("prefill_most_per_s", r.disaggregated->prefill_most.rate_per_s);
    d.set("decode_most_per_s", r.disaggregated->decode_most.rate_per_s);
    d.set("transfer_ms", r.disaggregated->transfer_ms);
    j.set("disaggregated", std::move(d));
  }
  if (r.autoscaled) {
    Json a = point_json(r.autoscaled->load);
    a.set("replica_share", r.autoscaled->replica_share);
    a.set("period_s", r.autoscaled->period_s);
    j.set("autoscaled", std::move(a));
  }
  if (r.sensitivity) {
    Json bars = Json::array();
    for (const SensitivityBar& b : r.sensitivity->bars) {
      Json o = Json::object();
      o.set("input", b.input);
      o.set("low", b.low_text);
      o.set("high", b.high_text);
      o.set("devices_at_low", b.at_low);
      o.set("devices_at_high", b.at_high);
      bars.push_back(std::move(o));
    }
    j.set("sensitivity", std::move(bars));
  }
  return j;
}

Json search_json(const SearchResult& result) {
  Json found = Json::array();
  for (const SearchFound& f : result.found) {
    Json o = point_json(f.load);
    o.set("accelerator", f.accelerator->id);
    o.set("engine", f.engine);
    o.set("devices", static_cast<int64_t>(f.devices));
    o.set("weight_bits", f.weights.bits);
    o.set("precision", f.weights.precision);
    o.set("compute_type", f.compute_type);
    o.set("replicas", static_cast<int64_t>(f.replicas));
    o.set("usd_per_million_output_tokens",
          f.usd_per_million_output_tokens > 0 ? Json(f.usd_per_million_output_tokens) : Json());
    o.set("kw", f.kw > 0 ? Json(f.kw) : Json());
    o.set("on_front", f.on_front);
    o.set("on_power_front", f.on_power_front);
    found.push_back(std::move(o));
  }
  Json j = Json::object();
  j.set("class", "hypothesis");
  j.set("tried", static_cast<int64_t>(result.tried));
  j.set("too_small", static_cast<int64_t>(result.too_small));
  j.set("too_slow", static_cast<int64_t>(result.too_slow));
  j.set("found", std::move(found));
  return j;
}

Json validation_json(const Validation& v) {
  Json loads = Json::array();
  for (const ValidatedLoad& l : v.loads) {
    Json o = Json::object();
    o.set("rate_per_s", l.rate_per_s);
    o.set("requests", static_cast<int64_t>(l.requests));
    o.set("others_cores", l.others_cores);
    o.set("drift", l.drift);
    o.set("attempts", int64_t{l.attempts});
    o.set("predicted", figures_json(l.predicted));
    o.set("measured", figures_json(l.measured));
    loads.push_back(std::move(o));
  }
  Json costs = Json::object();
  costs.set("fixed_ms", v.fit.costs.fixed_ms);
  costs.set("prefill_token_ms", v.fit.costs.prefill_token_ms);
  costs.set("decode_token_ms", v.fit.costs.decode_token_ms);
  costs.set("decode_kv_token_ms", v.fit.costs.decode_kv_token_ms);
  costs.set("prefill_kv_pair_ms", v.fit.costs.prefill_kv_pair_ms);
  Json j = Json::object();
  j.set("step_costs", std::move(costs));
  j.set("fitted_steps", static_cast<int64_t>(v.fitted_steps));
  j.set("most_per_s", v.most_per_s);
  j.set("loads", std::move(loads));
  j.set("median_error", v.median_error);
  j.set("p95_error", v.p95_error);
  j.set("simulated_per_minute", v.simulated_per_minute);
  return j;
}

}  // namespace weir::ops
