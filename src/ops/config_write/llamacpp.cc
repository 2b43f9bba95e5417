#include <fmt/format.h>

#include <algorithm>

#include "ops/config_write/engine_config.h"

namespace weir::ops {
namespace {

constexpr int32_t kMostSlots = 256;  // LLAMA_MAX_SEQ of llama.cpp

}  // namespace

void add_llama(const EngineRequest& r, LineSet& out) {
  const PlanFile& p = *r.plan;
  const std::string model = model_reference(p);
  out.set(model.ends_with(".gguf") ? "--model" : "--hf-repo", model,
          "the plan's model, " + p.precision, kFromPlan);
  if (r.container)
    out.set("--host", "0.0.0.0", "reached from other pods; a NetworkPolicy says from which",
            kFromPlan);
  const int32_t slots = std::min(r.environment->max_running, kMostSlots);
  const int64_t pool = std::min(p.memory.kv_tokens, slots * std::max<int64_t>(1, p.context_tokens));
  for (PlanFact f : facts_of_plan(r)) {
    if (f.fact == "max_running") f.values = {fmt::format("{}", slots)};
    if (f.fact == "max_model_len") {
      f.values = {fmt::format("{}", pool)};
      f.why = fmt::format("for all slots together; {}", memory_words(p));
    }
    out.fact(f);
    if (f.fact == "kv_dtype") {
      out.set("--cache-type-v", f.values.front() == "nvfp4" ? "q4_0" : "q8_0", f.why, f.source);
      out.set("--flash-attn", "on", "values in 8 bits or fewer need it", "llamacpp-server-readme");
    }
  }
  if (slots > 1)
    out.set("--kv-unified", "true",
            "slots share one cache, so that a long request may take more than its even share",
            "llamacpp-server-readme");
  if (p.tensor_parallel > 1)
    out.set("--split-mode", "tensor",
            fmt::format("every layer over {} devices, as planned; measure layer as well",
                        p.tensor_parallel),
            kHypothesis);
  if (p.speculative_tokens > 0) {
    out.set("--spec-type", "ngram-simple", "drafts from the prompt need no second model",
            kHypothesis);
    out.set("--spec-ngram-simple-size-m", fmt::format("{}", p.speculative_tokens), "drafts a step",
            kFromPlan);
  }
}

}  // namespace weir::ops
