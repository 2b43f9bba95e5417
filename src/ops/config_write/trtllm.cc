#include <fmt/format.h>

#include "ops/config_write/engine_config.h"

namespace weir::ops {

void add_trtllm_flags(const EngineRequest& r, LineSet& out) {
  const PlanFile& p = *r.plan;
  out.word(model_reference(p), "the plan's model, " + p.precision, kFromPlan);
  out.set("--extra_llm_api_options", r.container ? "/config/config.yaml" : "config.yaml",
          "the rest stands there", kHypothesis);
  out.set("--served_model_name", object_name(p), "what clients ask for, wherever it is loaded from",
          kHypothesis);
  if (r.container)
    out.set("--host", "0.0.0.0", "reached from other pods; a NetworkPolicy says from which",
            kFromPlan);
  const PlanMemory& m = p.memory;
  for (PlanFact f : facts_of_plan(r)) {
    // Its share is of what the weights leave, for the KV cache alone.
    if (f.fact == "memory_utilization") {
      f.values = {fmt::format("{:.3f}", m.kv_gb / (m.device_gb - m.weights_gb))};
      f.why = fmt::format(
          "{:.1f} GB of the {:.1f} that weights leave; the others are for "
          "activations",
          m.kv_gb, m.device_gb - m.weights_gb);
    }
    out.fact(f);
  }
}

// What has no flag.
void add_trtllm_keys(const EngineRequest& r, LineSet& out) {
  const PlanFile& p = *r.plan;
  for (const PlanFact& f : facts_of_plan(r)) {
    if (f.fact == "prefix_cache") out.fact(f);
  }
  if (p.speculative_tokens > 0) {
    const char* why = "drafts from the prompt need no second model; leave it out when load is high";
    out.set("speculative_config",
            fmt::format(R"({{"decoding_type":"NGram","max_draft_len":{}}})", p.speculative_tokens),
            why, "trtllm-spec-decode-docs");
  }
  out.set("return_perf_metrics", "true", "latencies of requests on /prometheus/metrics", kFromPlan);
}

}  // namespace weir::ops
