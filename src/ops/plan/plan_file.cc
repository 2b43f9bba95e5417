#include "ops/plan/plan_file.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <type_traits>
#include <utility>

#include "os/file.h"

namespace weir::ops {
namespace {

using text::Json;

constexpr std::string_view kSchema = "weir-plan-1";
constexpr uint64_t kMaxBytes = 1 << 20;
constexpr int64_t kLeastQueued = 4;

// One list of fields serves both directions: fields() visits each with its name.
class Writer {
 public:
  template <typename T>
  void field(const char* name, T& value) {
    if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, double> ||
                  std::is_same_v<T, std::string>) {
      json_.set(name, value);
    } else {
      json_.set(name, static_cast<int64_t>(value));
    }
  }
  template <typename F>
  void group(const char* name, F&& inner) {
    Writer w;
    inner(w);
    json_.set(name, std::move(w.json_));
  }
  template <typename T, typename F>
  void optional(const char* name, std::optional<T>& value, F&& inner) {
    if (!value) {
      json_.set(name, nullptr);
      return;
    }
    group(name, [&](Writer& w) { inner(w, *value); });
  }
  // A field that later versions of the schema have.
  template <typename T>
  void later(const char* name, T& value, const T&) {
    field(name, value);
  }
  Json take() { return std::move(json_); }

 private:
  Json json_ = Json::object();
};

class Reader {
 public:
  Reader(const Json& json, std::string path, Status& status)
      : json_(json), path_(std::move(path)), status_(status) {}

  template <typename T>
  void field(const char* name, T& value) {
    const Json* found = json_.find(name);
    if (!status_.ok()) return;
    if (found == nullptr) {
      status_ = wrong(name, "is missing");
    } else if constexpr (std::is_same_v<T, std::string>) {
      if (!found->is_string()) return fail(name, "a string", *found);
      value = found->as_string();
    } else if constexpr (std::is_same_v<T, bool>) {
      if (!found->is_bool()) return fail(name, "true or false", *found);
      value = found->as_bool();
    } else if constexpr (std::is_same_v<T, double>) {
      if (!found->is_number() || !(found->as_double() >= 0)) return fail(name, kPositive, *found);
      value = found->as_double();
    } else {
      constexpr int64_t kMost = std::is_same_v<T, int64_t> ? int64_t{1} << 53 : INT32_MAX;
      if (!found->is_int() || found->as_int() < 0 || found->as_int() > kMost)
        return fail(name, "an integer from 0 on", *found);
      value = static_cast<T>(found->as_int());
    }
  }
  // Where it is missing, `fallback`.
  template <typename T>
  void later(const char* name, T& value, const T& fallback) {
    value = fallback;
    if (json_.find(name) != nullptr) field(name, value);
  }
  template <typename F>
  void group(const char* name, F&& inner) {
    if (!status_.ok()) return;
    const Json* found = json_.find(name);
    if (found == nullptr || !found->is_object()) {
      status_ = wrong(name, "must be an object");
      return;
    }
    Reader r(*found, path_ + name + ".", status_);
    inner(r);
  }
  template <typename T, typename F>
  void optional(const char* name, std::optional<T>& value, F&& inner) {
    const Json* found = json_.find(name);
    if (found == nullptr || found->is_null()) {
      value.reset();
      return;
    }
    value.emplace();
    group(name, [&](Reader& r) { inner(r, *value); });
  }

 private:
  static constexpr std::string_view kPositive = "a number from 0 on";

  void fail(const char* name, std::string_view wanted, const Json& found) {
    status_ = wrong(name, fmt::format("must be {}, and is {}", wanted, found.dump().substr(0, 40)));
  }
  Error wrong(const char* name, std::string_view what) const {
    return make_error(ErrorCode::kInvalidValue,
                      "{}{} {}; weir plan -o FILE writes such a file anew", path_, name, what);
  }

  const Json& json_;
  std::string path_;
  Status& status_;
};

template <typename V>
void visit(V& v, LoadPoint& p) {
  v.field("rate_per_s", p.rate_per_s);
  v.field("ttft_ms_p50", p.ttft_ms_p50);
  v.field("ttft_ms_p95", p.ttft_ms_p95);
  v.field("itl_ms_p50", p.itl_ms_p50);
  v.field("itl_ms_p95", p.itl_ms_p95);
  v.field("total_ms_p99", p.total_ms_p99);
  v.field("output_tok_s", p.output_tok_s);
  v.field("busy_share", p.busy_share);
  v.field("kv_share", p.kv_share);
  v.field("meets_slo", p.meets_slo);
}

template <typename V>
void visit_end(V& v, Efficiency& e, std::optional<LoadPoint>& alone, std::optional<LoadPoint>& most,
               int& replicas, double& usd) {
  v.group("efficiency", [&](auto& g) {
    g.field("compute", e.compute);
    g.field("memory", e.memory);
    g.field("link", e.link);
    g.field("step_ms", e.step_ms);
    g.field("collective_ms", e.collective_ms);
  });
  const auto point = [](auto& g, LoadPoint& p) { visit(g, p); };
  v.optional("alone", alone, point);
  v.optional("most", most, point);
  v.field("replicas", replicas);
  v.field("usd_per_million_output_tokens", usd);
}

template <typename V>
void visit_model(V& v, PlanFile& p) {
  v.field("source", p.model_source);
  v.field("name", p.model_name);
  v.field("architecture", p.architecture);
  v.field("precision", p.precision);
  v.field("parameters", p.parameters);
  v.field("bits_per_weight", p.bits_per_weight);
  v.field("context_tokens", p.context_tokens);
}

template <typename V>
void visit_limits(V& v, PlanFile& p) {
  v.field("memory_share", p.memory_share);
  v.field("max_running", p.max_running);
  v.field("step_tokens", p.step_tokens);
  v.field("max_queued", p.max_queued);
  v.field("prefix_cache", p.prefix_cache);
  v.field("speculative_tokens", p.speculative_tokens);
}

template <typename V>
void visit_fleet(V& v, PlanFile& p) {
  v.field("spare", p.spare);
  v.optional("disaggregation", p.disaggregation, [](auto& g, PlanDisaggregation& d) {
    g.field("prefill_replicas", d.prefill_replicas);
    g.field("decode_replicas", d.decode_replicas);
  });
  v.optional("autoscaling", p.autoscaling, [](auto& g, PlanAutoscaling& a) {
    g.field("least", a.least);
    g.field("most", a.most);
    g.field("queued_per_replica", a.queued_per_replica);
    g.field("cold_start_s", a.cold_start_s);
  });
}

template <typename V>
void visit(V& v, PlanMemory& m) {
  v.field("device_gb", m.device_gb);
  v.field("usable_gb", m.usable_gb);
  v.field("weights_gb", m.weights_gb);
  v.field("activations_gb", m.activations_gb);
  v.field("kv_gb", m.kv_gb);
  v.later("states_gb", m.states_gb, 0.0);
  v.field("kv_bytes_per_token", m.kv_bytes_per_token);
  v.field("kv_tokens", m.kv_tokens);
  v.later("longest_tokens", m.longest_tokens, int64_t{0});
  v.field("fits", m.fits);
}

template <typename V>
void visit(V& v, Workload& w) {
  v.field("prompt_tokens_p50", w.prompt_p50);
  v.field("prompt_tokens_p95", w.prompt_p95);
  v.field("output_tokens_p50", w.output_p50);
  v.field("output_tokens_p95", w.output_p95);
  // The mean, and what the plan is for: the peak, where it is known.
  double mean = w.mean_rate(), rate = w.rate_per_s;
  v.field("requests_per_s", mean);
  v.later("rate_per_s", rate, mean);
  w.rate_per_s = rate;
  w.mean_per_s = mean < rate ? mean : 0;
  v.field("arrival_cv", w.arrival_cv);
  v.field("shared_prefix_share", w.shared_share);
  v.field("context_tokens", w.context_tokens);
}

template <typename V>
void visit(V& v, PlanFile& p) {
  v.field("created", p.created);
  v.field("class", p.evidence_class);
  v.group("model", [&](auto& g) { visit_model(g, p); });
  v.field("accelerator", p.accelerator);
  v.field("accelerator_name", p.accelerator_name);
  v.field("tensor_parallel", p.tensor_parallel);
  v.field("pipeline_parallel", p.pipeline_parallel);
  v.field("expert_parallel", p.expert_parallel);
  v.field("kv_type", p.kv_type);
  v.field("compute_type", p.compute_type);
  v.field("rates_verified", p.rates_verified);
  v.group("limits", [&](auto& g) { visit_limits(g, p); });
  v.group("fleet", [&](auto& g) { visit_fleet(g, p); });
  v.group("slo", [&](auto& g) {
    g.field("ttft_ms_p95", p.slo.ttft_ms_p95);
    g.field("itl_ms_p95", p.slo.itl_ms_p95);
    g.field("total_ms_p99", p.slo.total_ms_p99);
  });
  v.group("workload", [&](auto& g) { visit(g, p.workload); });
  v.group("memory", [&](auto& g) { visit(g, p.memory); });
  v.group("low", [&](auto& g) {
    visit_end(g, p.low_efficiency, p.low_alone, p.low, p.replicas_high, p.low_usd_per_million);
  });
  v.group("high", [&](auto& g) {
    visit_end(g, p.high_efficiency, p.high_alone, p.high, p.replicas_low, p.high_usd_per_million);
  });
}

Status check(const PlanFile& p) {
  const auto least = [](int64_t value, const char* name) -> Status {
    if (value >= 1) return {};
    return make_error(ErrorCode::kInvalidValue, "{} must be 1 at least, and is {}", name, value);
  };
  WEIR_TRY(least(p.tensor_parallel, "tensor_parallel"));
  WEIR_TRY(least(p.pipeline_parallel, "pipeline_parallel"));
  WEIR_TRY(least(p.expert_parallel, "expert_parallel"));
  WEIR_TRY(least(p.max_running, "limits.max_running"));
  WEIR_TRY(least(p.step_tokens, "limits.step_tokens"));
  if (p.memory_share <= 0 || p.memory_share > 1) {
    return make_error(ErrorCode::kInvalidValue,
                      "limits.memory_share must be above 0 and at most 1, and is {}",
                      p.memory_share);
  }
  if (p.evidence_class != "hypothesis" && p.evidence_class != "fitted") {
    return make_error(ErrorCode::kInvalidValue,
                      "class must be \"hypothesis\" or \"fitted\", and is \"{}\"",
                      p.evidence_class.substr(0, 40));
  }
  return {};
}

// The 99th percentile of a Poisson count.
int64_t most_arrivals(double mean) {
  constexpr double kNormal99 = 2.326, kLarge = 400;
  if (mean > kLarge) return std::llround(mean + kNormal99 * std::sqrt(mean));
  int64_t n = 0;
  double p = std::exp(-mean), below = p;
  while (below < 0.99) {
    ++n;
    p *= mean / static_cast<double>(n);
    below += p;
  }
  return n;
}

// Who waits as long as the objective allows leaves room for what may arrive meanwhile. The
// pessimistic end, since a queue that is too long misses the objective and one too short refuses
// requests that come close together.
int64_t most_queued(const PlanFile& p) {
  const std::optional<LoadPoint>& load = p.low ? p.low : p.high;
  if (!load) return 0;
  if (p.slo.ttft_ms_p95 <= 0) return p.max_running;
  const double waiting_s = p.slo.ttft_ms_p95 / 1000;
  return std::max(kLeastQueued, most_arrivals(load->rate_per_s * waiting_s));
}

}  // namespace

PlanFile plan_file(const PlanRequest& request, const Plan& plan, std::string created) {
  PlanFile p;
  p.created = std::move(created);
  p.evidence_class = is_fitted(request) ? "fitted" : "hypothesis";
  p.model_source = request.model_source;
  p.model_name = request.shape.name;
  p.architecture = request.shape.architecture;
  p.precision = request.shape.precision;
  p.parameters = request.shape.parameters();
  p.bits_per_weight = request.shape.bits_per_weight;
  p.context_tokens = request.workload.context_tokens;
  if (plan.memory.fits)
    p.context_tokens = std::min(p.context_tokens, plan.memory.most_tokens(request.pipeline));
  p.kv_type = request.kv_type;
  p.accelerator = request.device->id;
  p.accelerator_name = request.device->name;
  p.tensor_parallel = request.devices;
  p.pipeline_parallel = request.pipeline;
  p.expert_parallel = request.expert_parallel;
  p.compute_type = plan.compute_type;
  p.rates_verified = plan.rates_verified;
  p.memory_share = request.memory_share;
  p.max_running = request.max_running;
  p.step_tokens = request.step_tokens;
  p.prefix_cache = request.prefix_cache;
  p.speculative_tokens = request.draft_tokens;
  p.spare = request.spare_replicas;
  p.memory = plan.memory;
  p.memory.kv_gb = std::max(0.0, p.memory.kv_gb);
  p.slo = request.slo;
  p.workload = request.workload;
  const auto take = [](const PlanEnd& end, auto& efficiency, auto& alone, auto& most, int& replicas,
                       double& usd) {
    efficiency = end.efficiency;
    if (end.alone.rate_per_s > 0) alone = end.alone;
    most = end.most;
    replicas = end.replicas;
    usd = end.usd_per_million_output_tokens;
  };
  take(plan.low, p.low_efficiency, p.low_alone, p.low, p.replicas_high, p.low_usd_per_million);
  take(plan.high, p.high_efficiency, p.high_alone, p.high, p.replicas_low, p.high_usd_per_million);
  p.max_queued = most_queued(p);
  return p;
}

Json plan_file_json(const PlanFile& plan) {
  PlanFile copy = plan;  // the visitor binds references that it could write through
  Writer w;
  std::string schema(kSchema);
  w.field("schema", schema);
  visit(w, copy);
  return w.take();
}

Result<PlanFile> parse_plan_file(std::string_view json) {
  WEIR_ASSIGN(const Json all, Json::parse(json));
  const Json* schema = all.find("schema");
  if (schema == nullptr || !schema->is_string() || schema->as_string() != kSchema) {
    return make_error(ErrorCode::kInvalidValue,
                      "is no plan: schema must be \"{}\"; weir plan -o FILE writes one", kSchema);
  }
  PlanFile plan;
  Status status;
  Reader r(all, "", status);
  visit(r, plan);
  WEIR_TRY(status);
  WEIR_TRY(check(plan));
  return plan;
}

Result<PlanFile> read_plan_file(const std::string& path) {
  WEIR_ASSIGN(const std::string text, os::read_file(path, kMaxBytes));
  auto plan = parse_plan_file(text);
  if (plan.ok()) return plan;
  return make_error(plan.error().code, "{}: {}", path, plan.error().message);
}

}  // namespace weir::ops
