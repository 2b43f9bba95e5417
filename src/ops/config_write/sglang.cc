#include <fmt/format.h>

#include "ops/config_write/engine_config.h"

namespace weir::ops {

void add_sglang(const EngineRequest& r, LineSet& out) {
  const PlanFile& p = *r.plan;
  const PlanMemory& m = p.memory;
  out.set("--model-path", model_reference(p), "the plan's model, " + p.precision, kFromPlan);
  out.set("--served-model-name", object_name(p), "what clients ask for, wherever it is loaded from",
          kHypothesis);
  if (r.container)
    out.set("--host", "0.0.0.0", "reached from other pods; a NetworkPolicy says from which",
            kFromPlan);
  for (PlanFact f : facts_of_plan(r)) {
    // Its share is of weights and KV cache alone; activations come on top.
    if (f.fact == "memory_utilization") {
      f.values = {fmt::format("{:.3f}", (m.weights_gb + m.kv_gb) / m.device_gb)};
      f.why = fmt::format(
          "weights {:.1f} and KV cache {:.1f} of {:.0f} GB; {:.1f} GB stay free "
          "for activations",
          m.weights_gb, m.kv_gb, m.device_gb, m.device_gb - m.weights_gb - m.kv_gb);
    }
    out.fact(f);
  }
  if (p.speculative_tokens > 0) {
    const char* why = "drafts from the prompt need no second model; leave it out when load is high";
    out.set("--speculative-algorithm", "NGRAM", why, "sglang-spec-decode-docs");
    out.set("--speculative-num-draft-tokens", fmt::format("{}", p.speculative_tokens),
            "drafts a step", kFromPlan);
  }
  if (r.nodes > 1)
    out.set("--nnodes", fmt::format("{}", r.nodes),
            fmt::format("{} devices of a replica", p.devices()), kFromPlan);
}

}  // namespace weir::ops
