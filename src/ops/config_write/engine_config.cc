#include "ops/config_write/engine_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>

namespace weir::ops {
namespace {

constexpr int kShortestGrace_s = 60, kLongestGrace_s = 3600;

std::string split_why(const PlanFile& p) {
  return fmt::format("{} x {:.1f} GB of weights a device; {}", p.devices(), p.memory.weights_gb,
                     p.accelerator_name.empty() ? p.accelerator : p.accelerator_name);
}

// Spellings of a type of the KV cache, of all engines; "auto" is the weights' own.
std::vector<std::string> kv_spellings(std::string_view type) {
  if (type == "fp8") return {"fp8", "fp8_e4m3", "q8_0"};
  if (type == "q8") return {"q8_0", "fp8", "fp8_e4m3"};
  if (type == "fp4") return {"nvfp4", "fp4_e2m1", "q4_0"};
  return {"auto", "f16"};
}

std::string kv_why(const PlanFile& p) {
  return fmt::format("{:.0f} bytes a token, so {} tokens fit; calibrate and compare quality first",
                     p.memory.kv_bytes_per_token, p.memory.kv_tokens);
}

std::string shared_why(const PlanFile& p) {
  return fmt::format("{:.0f} % of a prompt is shared with others", 100 * p.workload.shared_share);
}

}  // namespace

std::string memory_words(const PlanFile& p) {
  const PlanMemory& m = p.memory;
  return fmt::format(
      "{:.0f} GB a device, {:.1f} for the engine, less {:.1f} of weights and {:.1f} of "
      "activations: {:.1f} GB for {} tokens",
      m.device_gb, m.usable_gb, m.weights_gb, m.activations_gb, m.kv_gb, m.kv_tokens);
}

std::string object_name(const PlanFile& plan) {
  std::string name = plan.model_name.empty() ? plan.model_source : plan.model_name;
  while (name.ends_with('/')) name.pop_back();
  name = name.substr(name.rfind('/') + 1);
  std::string out;
  for (const char c : name) {
    const auto u = static_cast<unsigned char>(c);
    if (std::isalnum(u) != 0) {
      out += static_cast<char>(std::tolower(u));
    } else if (!out.empty() && out.back() != '-') {
      out += '-';
    }
  }
  out = out.substr(0, 40);
  while (!out.empty() && out.back() == '-') out.pop_back();
  if (out.empty()) return "model";
  return std::isdigit(static_cast<unsigned char>(out[0])) != 0 ? "m-" + out : out;
}

int longest_answer_s(const PlanFile& p) {
  double ms = 0;
  if (p.low) ms = std::max(ms, p.low->total_ms_p99);
  if (p.high) ms = std::max(ms, p.high->total_ms_p99);
  return std::clamp(static_cast<int>(std::ceil(2 * ms / 1000)), kShortestGrace_s, kLongestGrace_s);
}

std::string longest_answer_why(const PlanFile& p) {
  double ms = 0;
  if (p.low) ms = std::max(ms, p.low->total_ms_p99);
  if (p.high) ms = std::max(ms, p.high->total_ms_p99);
  return fmt::format("twice the plan's p99 of a whole answer, {:.1f} s, and 60 s at least",
                     ms / 1000);
}

std::vector<PlanFact> facts_of_plan(const EngineRequest& r) {
  const PlanFile& p = *r.plan;
  const EnvironmentValues& e = *r.environment;
  const std::string plan(kFromPlan);
  std::vector<PlanFact> out;
  const auto add = [&](const char* fact, std::vector<std::string> values, std::string why,
                       const std::string& source) {
    out.push_back({fact, std::move(values), std::move(why), source});
  };
  const auto number = [](auto v) { return std::vector<std::string>{fmt::format("{}", v)}; };
  add("tensor_parallel", number(p.tensor_parallel), split_why(p), plan);
  add("pipeline_parallel", number(p.pipeline_parallel), split_why(p), plan);
  if (p.expert_parallel > 1)
    add("expert_parallel", number(p.expert_parallel),
        fmt::format("experts over {} devices", p.expert_parallel), plan);
  if (quantizes_at_load(p, r.snapshot->engine()))
    add("quantization", {"fp8"},
        fmt::format("the checkpoint has {:g} bits a weight and the plan {:g}; or name one that is "
                    "FP8 already, with calibrated scales",
                    stored_bits(p), p.bits_per_weight),
        "vllm-fp8-docs");
  if (p.context_tokens > 0)
    add("max_model_len", number(p.context_tokens), "the longest request of the plan", plan);
  add("memory_utilization", {fmt::format("{:.3g}", p.memory_share)}, memory_words(p), plan);
  const bool small = e.max_running != p.max_running;
  add("max_running", number(e.max_running),
      small ? "a few requests at once"
            : fmt::format(
                  "requests at once, as the plan simulated them; {}",
                  p.low ? fmt::format("{:.2g} requests/s a replica keep the SLO", p.low->rate_per_s)
                        : "at the pessimistic end the SLO is missed"),
      small ? std::string(kHypothesis) : plan);
  add("max_batched_tokens", number(std::max(p.step_tokens, e.max_running)),
      "tokens of a step, as the plan simulated them: more help the first token, fewer the next",
      plan);
  add("chunked_prefill", {"true"}, "long prompts share steps with running answers",
      "vllm-optimization-docs");
  add("max_queued", number(std::max<int64_t>(1, e.max_queued)), e.limits_why, e.queued_source);
  add("prefix_cache", {p.prefix_cache ? "true" : "false"},
      p.prefix_cache ? shared_why(p) : "the plan is without it", plan);
  if (p.kv_type != "f16" && !p.kv_type.empty())
    add("kv_dtype", kv_spellings(p.kv_type), kv_why(p), plan);
  add("metrics", {"true"}, "queue, KV use and latencies to alert and scale on", plan);
  return out;
}

Result<EngineConfig> engine_config(const EngineRequest& r) {
  const EngineSnapshot& s = *r.snapshot;
  WEIR_ASSIGN(const EngineProfile* profile, engine_profile(s.engine()));
  if (s.engine() == "llama.cpp") WEIR_TRY(check_gguf(*r.plan));
  WEIR_TRY(check_weights(*r.plan, s.engine()));
  EngineConfig out;
  out.engine = s.engine();
  out.version = s.version();
  for (const std::string_view word : profile->program) out.program.emplace_back(word);
  LineSet flags(s), keys(s, true);
  if (s.engine() == "vllm") {
    add_vllm(r, flags);
  } else if (s.engine() == "sglang") {
    add_sglang(r, flags);
  } else if (s.engine() == "tensorrt-llm") {
    add_trtllm_flags(r, flags);
    add_trtllm_keys(r, keys);
  } else {
    add_llama(r, flags);
  }
  WEIR_TRY(flags.status());
  WEIR_TRY(keys.status());
  out.left_out = flags.take_left_out();
  for (std::string& left : keys.take_left_out()) out.left_out.push_back(std::move(left));
  out.flags = flags.take_lines();
  out.keys = keys.take_lines();
  if (r.plan->disaggregation) {
    out.left_out.emplace_back(
        "disaggregation: prefill and decode apart need a router; weir config dynamo and llm-d "
        "write both");
  }
  return out;
}

}  // namespace weir::ops
