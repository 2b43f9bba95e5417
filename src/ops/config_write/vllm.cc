#include <fmt/format.h>

#include <algorithm>

#include "ops/config_write/engine_config.h"

namespace weir::ops {
namespace {

// vLLM's bound counts requests in flight, those that run among them, over all data-parallel ranks
// (vllm-queue-limit-pr#scope); nothing here starts more than one rank a server.
PlanFact in_flight(PlanFact f, const EnvironmentValues& e) {
  const int64_t waiting = std::max<int64_t>(1, e.max_queued);
  f.values = {fmt::format("{}", e.max_running + waiting)};
  f.why = fmt::format("counts running too: {} run and {} wait; {}", e.max_running, waiting, f.why);
  return f;
}

}  // namespace

void add_vllm(const EngineRequest& r, LineSet& out) {
  const PlanFile& p = *r.plan;
  out.word(model_reference(p), "the plan's model, " + p.precision, kFromPlan);
  out.set("--served-model-name", object_name(p), "what clients ask for, wherever it is loaded from",
          kHypothesis);
  if (!r.container)
    out.set("--host", "127.0.0.1", "for this machine alone; a proxy stands in front",
            "vllm-security-docs");
  if (p.expert_parallel > 1)
    out.set("--enable-expert-parallel", "true",
            fmt::format("experts over {} devices", p.expert_parallel), kFromPlan);
  for (const PlanFact& f : facts_of_plan(r))
    out.fact(f.fact == "max_queued" ? in_flight(f, *r.environment) : f);
  if (p.speculative_tokens > 0) {
    out.set("--speculative-config",
            fmt::format(R"({{"method":"ngram","num_speculative_tokens":{},"prompt_lookup_max":4}})",
                        p.speculative_tokens),
            "drafts from the prompt need no second model; leave it out when load is high",
            "vllm-spec-decode-docs");
  }
  out.set("--sse-keep-alive-interval", "15", "a comment in silences, so that no proxy closes them",
          "whatwg-sse");
  out.set("--shutdown-timeout", fmt::format("{}", longest_answer_s(p)),
          "running answers end first: " + longest_answer_why(p), kFromPlan);
  if (r.nodes > 1)
    out.set("--nnodes", fmt::format("{}", r.nodes),
            fmt::format("{} devices of a replica", p.devices()), kFromPlan);
}

}  // namespace weir::ops
