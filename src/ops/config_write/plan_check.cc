// What a plan must be to be written down: its file may come from anywhere.
#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "ops/config_write/environment.h"

namespace weir::ops {
namespace {

// Of numbers that come from a file: far above what there is, and far below what overflows.
Status check_bounds(const PlanFile& p) {
  const PlanDisaggregation split = p.disaggregation.value_or(PlanDisaggregation());
  const PlanAutoscaling scaling = p.autoscaling.value_or(PlanAutoscaling());
  const LoadPoint none;
  const struct {
    const char* name;
    double value, most;
  } kBounds[] = {
      {"tensor_parallel", static_cast<double>(p.tensor_parallel), 10'000},
      {"pipeline_parallel", static_cast<double>(p.pipeline_parallel), 10'000},
      {"expert_parallel", static_cast<double>(p.expert_parallel), 10'000},
      {"context_tokens", static_cast<double>(p.context_tokens), 1e9},
      {"max_running", static_cast<double>(p.max_running), 1e6},
      {"step_tokens", static_cast<double>(p.step_tokens), 1e8},
      {"max_queued", static_cast<double>(p.max_queued), 1e9},
      {"replicas", static_cast<double>(planned_replicas(p)), 10'000},
      {"spare", static_cast<double>(p.spare), 10'000},
      {"prefill_replicas", static_cast<double>(split.prefill_replicas), 10'000},
      {"decode_replicas", static_cast<double>(split.decode_replicas), 10'000},
      {"autoscaling.most", static_cast<double>(scaling.most), 10'000},
      {"cold_start_s", scaling.cold_start_s, 86'400},
      {"kv_tokens", static_cast<double>(p.memory.kv_tokens), 1e12},
      {"memory.device_gb", p.memory.device_gb, 1e6},
      {"memory.weights_gb", p.memory.weights_gb, 1e6},
      {"memory.kv_gb", p.memory.kv_gb, 1e6},
      {"slo.ttft_ms_p95", p.slo.ttft_ms_p95, 1e9},
      {"low.total_ms_p99", p.low.value_or(none).total_ms_p99, 1e9},
      {"high.total_ms_p99", p.high.value_or(none).total_ms_p99, 1e9},
  };
  for (const auto& b : kBounds) {
    if (b.value >= 0 && b.value <= b.most) continue;
    return make_error(ErrorCode::kUnsupported, "the plan's {} is {:g}: 0 to {:g} can be written",
                      b.name, b.value, b.most);
  }
  return {};
}

// What ends a line for a shell, a proxy or a reader of YAML.
bool has_control(std::string_view v) {
  for (size_t i = 0; i < v.size(); ++i) {
    const auto at = [&](size_t k) {
      return i + k < v.size() ? static_cast<unsigned char>(v[i + k]) : 0U;
    };
    if (at(0) < 0x20 || at(0) == 0x7f || (at(0) == 0xc2 && at(1) >= 0x80 && at(1) < 0xa0) ||
        (at(0) == 0xe2 && at(1) == 0x80 && (at(2) == 0xa8 || at(2) == 0xa9)))
      return true;
  }
  return false;
}

// Texts that become words of commands and files.
Status check_names(const PlanFile& p) {
  const std::pair<const char*, const std::string*> kNames[] = {
      {"model.source", &p.model_source},
      {"model.name", &p.model_name},
      {"model.architecture", &p.architecture},
      {"model.precision", &p.precision},
      {"kv_type", &p.kv_type},
      {"accelerator", &p.accelerator},
      {"accelerator_name", &p.accelerator_name},
      {"compute_type", &p.compute_type},
      {"created", &p.created},
  };
  for (const auto& [name, value] : kNames) {
    const char* problem = has_control(*value)                      ? "holds a control character"
                          : value->starts_with('-')                ? "begins with a dash"
                          : value->find("$(") != std::string::npos ? "holds $(, which is filled in"
                                                                   : nullptr;
    if (problem != nullptr)
      return make_error(ErrorCode::kUnsupported, "the plan's {} {}: no name that can be written",
                        name, problem);
  }
  return {};
}

}  // namespace

Status check_plan(const PlanFile& plan) {
  if (!plan.memory.fits) {
    const PlanMemory& m = plan.memory;
    return make_error(
        ErrorCode::kUnsupported,
        "{} does not fit: of a device's {:.1f} GB the engine may take {:.1f}, weights take {:.1f} "
        "and activations {:.1f}; plan more devices (weir plan --devices), fewer bits "
        "(--weight-bits) or a larger device",
        plan.model_name.empty() ? plan.model_source : plan.model_name, m.device_gb, m.usable_gb,
        m.weights_gb, m.activations_gb);
  }
  WEIR_TRY(check_bounds(plan));
  WEIR_TRY(check_names(plan));
  if (plan.model_source.empty())
    return make_error(ErrorCode::kUnsupported, "the plan does not say where its model comes from");
  if (plan.disaggregation &&
      (plan.disaggregation->prefill_replicas < 1 || plan.disaggregation->decode_replicas < 1)) {
    return make_error(ErrorCode::kUnsupported,
                      "the plan's disaggregation has {} prefill and {} decode replicas: it needs "
                      "one of each at least",
                      plan.disaggregation->prefill_replicas, plan.disaggregation->decode_replicas);
  }
  if (planned_replicas(plan) <= 0) {
    return make_error(ErrorCode::kUnsupported,
                      "the plan meets its SLO with no number of replicas: plan another device, "
                      "split or SLO first (weir plan)");
  }
  return {};
}

}  // namespace weir::ops
