#include "ops/plan/what_if.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "config/key.h"

namespace weir::ops {
namespace {

struct Key {
  const char* name;
  double least, most;
  bool whole;
  void (*set)(PlanRequest&, double);
};

constexpr Key kKeys[] = {
    {"devices", 1, 1024, true, [](PlanRequest& r, double v) { r.devices = static_cast<int>(v); }},
    {"pipeline", 1, 256, true, [](PlanRequest& r, double v) { r.pipeline = static_cast<int>(v); }},
    {"experts", 1, 1024, true,
     [](PlanRequest& r, double v) { r.expert_parallel = static_cast<int>(v); }},
    {"weight-bits", 1, 32, false, [](PlanRequest& r, double v) { set_weight_bits(r.shape, v); }},
    {"max-running", 1, 1e6, true,
     [](PlanRequest& r, double v) { r.max_running = static_cast<int32_t>(v); }},
    {"step-tokens", 1, 1e6, true,
     [](PlanRequest& r, double v) { r.step_tokens = static_cast<int32_t>(v); }},
    {"requests-per-s", 1e-6, 1e7, false,
     [](PlanRequest& r, double v) { r.workload.rate_per_s = v; }},
    {"prompt-scale", 0.01, 100, false,
     [](PlanRequest& r, double v) {
       r.workload.prompt_p50 = std::max(1.0, r.workload.prompt_p50 * v);
       r.workload.prompt_p95 = std::max(1.0, r.workload.prompt_p95 * v);
     }},
    {"output-scale", 0.01, 100, false,
     [](PlanRequest& r, double v) {
       r.workload.output_p50 = std::max(1.0, r.workload.output_p50 * v);
       r.workload.output_p95 = std::max(1.0, r.workload.output_p95 * v);
     }},
    {"prefix-share", 0, 1, false, [](PlanRequest& r, double v) { r.workload.shared_share = v; }},
    {"draft-tokens", 0, 64, true,
     [](PlanRequest& r, double v) { r.draft_tokens = static_cast<int32_t>(v); }},
    {"acceptance", 0, 1, false, [](PlanRequest& r, double v) { r.draft_acceptance = v; }},
    {"ttft-ms", 0.001, 1e9, false, [](PlanRequest& r, double v) { r.slo.ttft_ms_p95 = v; }},
    {"itl-ms", 0.001, 1e9, false, [](PlanRequest& r, double v) { r.slo.itl_ms_p95 = v; }},
    {"spare", 0, 10'000, true,
     [](PlanRequest& r, double v) { r.spare_replicas = static_cast<int>(v); }}};
constexpr std::string_view kKvType = "kv-type", kActivations = "activations";

Status set_one(PlanRequest& request, std::string_view name, std::string_view value) {
  if (name == kKvType) {
    WEIR_ASSIGN(request.kv_element_bytes, kv_element_bytes(value));
    request.kv_type = value;
    return {};
  }
  if (name == kActivations) return set_activations(request.shape, value);
  const Key* key = std::find_if(std::begin(kKeys), std::end(kKeys),
                                [name](const Key& k) { return name == k.name; });
  if (key == std::end(kKeys)) {
    return make_error(ErrorCode::kUsage, "--what-if has no key {}; the nearest is {}", name,
                      config::nearest(name, what_if_keys()));
  }
  double v = 0;
  const auto [end, problem] = std::from_chars(value.data(), value.data() + value.size(), v);
  if (problem != std::errc() || end != value.data() + value.size() || !(v >= key->least) ||
      v > key->most || (key->whole && v != std::floor(v))) {
    return make_error(ErrorCode::kUsage, "--what-if {}={}: must be {} from {:g} to {:g}", name,
                      value, key->whole ? "an integer" : "a number", key->least, key->most);
  }
  key->set(request, v);
  return {};
}

}  // namespace

Result<double> kv_element_bytes(std::string_view type) {
  constexpr std::pair<std::string_view, double> kTypes[] = {
      {"f16", 2}, {"fp8", 1}, {"q8", 1}, {"fp4", 0.5}};
  for (const auto& [name, bytes] : kTypes) {
    if (name == type) return bytes;
  }
  return make_error(ErrorCode::kUsage, "a KV cache of type {}: weir plans f16, fp8, q8, fp4", type);
}

void set_weight_bits(ModelShape& shape, double bits) {
  shape.bits_per_weight = bits;
  shape.precision = bits > 9 ? "bf16" : bits > 7 ? "fp8" : "int4";
  shape.activations.clear();
}

Status set_activations(ModelShape& shape, std::string_view type) {
  for (const std::string_view known : {"bf16", "fp8", "int8", "fp4"}) {
    if (type != known) continue;
    shape.activations = type;
    return {};
  }
  return make_error(ErrorCode::kUsage, "activations in {}: weir plans bf16, fp8, int8, fp4", type);
}

std::vector<std::string> what_if_keys() {
  std::vector<std::string> names{std::string(kKvType), std::string(kActivations)};
  for (const Key& k : kKeys) names.emplace_back(k.name);
  return names;
}

Result<PlanRequest> what_if(PlanRequest request, std::string_view changes) {
  while (!changes.empty()) {
    const size_t comma = std::min(changes.find(','), changes.size());
    const std::string_view one = changes.substr(0, comma);
    const size_t equals = one.find('=');
    if (equals == std::string_view::npos) {
      return make_error(ErrorCode::kUsage, "--what-if {}: wants KEY=VALUE, several with commas",
                        one);
    }
    WEIR_TRY(set_one(request, one.substr(0, equals), one.substr(equals + 1)));
    changes.remove_prefix(std::min(changes.size(), comma + 1));
  }
  return request;
}

}  // namespace weir::ops
