// weir config vllm, sglang, trtllm, llamacpp, deepspeed and weir: the engine's own files.
#include <fmt/format.h>

#include <algorithm>

#include "ops/config_write/shell_script.h"
#include "ops/config_write/write.h"
#include "ops/config_write/yaml_text.h"
#include "ops/data/accelerators.h"
#include "text/json.h"

namespace weir::ops {
namespace {

constexpr int32_t kMostRunning = 4096;  // of weir's limits.max_running
constexpr int64_t kCachedShare = 2;     // of what running requests use, with prefixes that stay

YamlText tree_of(const std::vector<ConfigLine>& lines) {
  YamlText out;
  for (const ConfigLine& l : lines) out.set_path(l.key, value_of(l).why(l.reason()));
  return out;
}

// Each machine of a replica has its own rank; the first one serves.
std::string multi_node_note(const WriteContext& c) {
  return fmt::format(
      "one replica spans {} machines: start the same on each with its rank (--node-rank) and the "
      "first one's address, or let weir config kubernetes write a LeaderWorkerSet",
      c.nodes);
}

void note_replicas(const WriteContext& c, WrittenConfig& out) {
  const EnvironmentValues& e = c.environment;
  if (e.replicas > 1)
    out.notes.push_back(fmt::format("{} replicas, each started with this: {} [{}]", e.replicas,
                                    e.replicas_why, e.replicas_source));
  if (c.nodes > 1) out.notes.push_back(multi_node_note(c));
}

// A file of JSON has no comments: they stand beside it.
std::string reasons_file(const std::vector<ConfigLine>& lines, std::string_view title) {
  std::string out =
      fmt::format("# Why {}\n\n| key | value | why | source |\n|---|---|---|---|\n", title);
  for (const ConfigLine& l : lines)
    out += fmt::format("| `{}` | `{}` | {} | {} |\n", l.key, l.value, l.why, l.source);
  return out;
}

// Its memory and rates are those of the plan, and weir computes on CPUs.
Status check_cpu(const PlanFile& p) {
  if (p.accelerator == kThisMachine) return {};
  WEIR_ASSIGN(const Accelerators known, load_accelerators());
  const Accelerator* a = known.find(p.accelerator);
  if (a != nullptr && a->cores) return {};  // only entries of CPUs have cores
  return make_error(ErrorCode::kUnsupported,
                    "weir serves on CPUs, and the plan is for {}: plan for one (weir plan "
                    "--accelerator this-machine, or a CPU of weir plan --accelerators)",
                    p.accelerator_name.empty() ? p.accelerator : p.accelerator_name);
}

// What requests can use, not all memory of the machine.
ConfigLine kv_tokens(const PlanFile& p, const EnvironmentValues& e) {
  const int64_t running = std::min(e.max_running, kMostRunning);
  const int64_t useful = kCachedShare * running * p.context_tokens;
  ConfigLine l{"kv.tokens", fmt::format("{}", p.memory.kv_tokens), memory_words(p),
               std::string(kFromPlan), true};
  if (p.context_tokens <= 0 || useful >= p.memory.kv_tokens) return l;
  l.value = fmt::format("{}", useful);
  l.why = fmt::format(
      "{} requests of {} tokens at once, and as much again for prefixes that stay; there is memory "
      "for {}",
      running, p.context_tokens, p.memory.kv_tokens);
  l.source = kHypothesis;
  return l;
}

text::Json json_of(const YamlText& t) {
  if (t.kind() == YamlText::Kind::kScalar) {
    auto j = text::Json::parse(t.scalar());
    return j.ok() ? std::move(*j) : text::Json(t.scalar());
  }
  text::Json out = t.kind() == YamlText::Kind::kMap ? text::Json::object() : text::Json::array();
  for (const auto& [key, value] : t.members()) out.set(key, json_of(value));
  for (const YamlText& item : t.items()) out.push_back(json_of(item));
  return out;
}

}  // namespace

Status write_engine(const WriteContext& c, WrittenConfig& out) {
  WEIR_ASSIGN(const EngineConfig base, engine_config(c.engine_request(c.base, false)));
  WEIR_ASSIGN(const EngineConfig own, engine_config(c.engine_request(c.environment, false)));
  out.left_out = own.left_out;
  if (!own.keys.empty()) {
    const std::string name = c.path("config.yaml");
    out.files.push_back({name, file_head(c) + tree_of(own.keys).dump()});
    out.differences = list_differences(tree_of(base.keys), tree_of(own.keys), name);
  }
  const std::string name = c.path("serve.sh");
  std::string text = "#!/bin/sh\n" + file_head(c) + "#\n" + shell_reasons(own.flags) + "set -eu\n";
  // The file of keys stands beside the script.
  if (!own.keys.empty()) text += "cd \"$(dirname \"$0\")\"\n";
  out.files.push_back({name, text + shell_command("exec ", own.program, own.flags)});
  for (EnvironmentDifference& d : line_differences(base.flags, own.flags, name))
    out.differences.push_back(std::move(d));
  note_replicas(c, out);
  return {};
}

Status write_deepspeed(const WriteContext& c, WrittenConfig& out) {
  const PlanFile& p = *c.plan;
  LineSet lines(c.snapshot, true);
  // The only types that it computes in; FP8 and 4 bits are converted when they are loaded.
  lines.set("dtype", p.precision == "f16" || p.precision == "fp16" ? "float16" : "bfloat16",
            "the plan's weights are " + p.precision + "; DeepSpeed's own default is float16",
            kFromPlan);
  lines.set("tensor_parallel.tp_size", fmt::format("{}", p.tensor_parallel),
            fmt::format("{:.1f} GB of weights a device", p.memory.weights_gb), kFromPlan);
  if (p.context_tokens > 0)
    lines.set("max_out_tokens", fmt::format("{}", p.context_tokens),
              "prompt and answer of the longest request together", kFromPlan);
  if (p.expert_parallel > 1)
    lines.set("moe.ep_size", fmt::format("{}", p.expert_parallel), "experts over the devices",
              kFromPlan);
  WEIR_TRY(lines.status());
  out.left_out = lines.take_left_out();
  if (p.bits_per_weight < 15)
    out.left_out.push_back(fmt::format(
        "{:g} bits a weight: DeepSpeed computes in 16, so that weights take {:.2g} times "
        "the memory of the plan",
        p.bits_per_weight, 16 / p.bits_per_weight));
  const std::vector<ConfigLine> written = lines.take_lines();
  out.files.push_back(
      {c.path("deepspeed.json"), json_of(tree_of(written)).dump({.indent = 2}) + "\n"});
  out.files.push_back({c.path("README.md"), reasons_file(written, "deepspeed.json")});
  out.notes.emplace_back(
      "deepspeed.init_inference(model, config=\"deepspeed.json\"); the library has no server, no "
      "batching of requests in flight and no KV paging: the plan's load needs an engine");
  if (p.pipeline_parallel > 1)
    out.left_out.emplace_back("pipeline_parallel: init_inference has tensor parallelism only");
  return {};
}

Status write_weir(const WriteContext& c, WrittenConfig& out) {
  const PlanFile& p = *c.plan;
  WEIR_TRY(check_cpu(p));
  WEIR_TRY(check_weights(p, "weir"));
  const auto lines_for = [&](const EnvironmentValues& e) {
    std::vector<ConfigLine> l;
    const std::string plan(kFromPlan);
    const auto add = [&](const char* key, const std::string& value, std::string why,
                         const std::string& source) {
      l.push_back({key, value, std::move(why), source, true});
    };
    l.push_back({"model", p.model_source, "the plan's model, " + p.precision, plan});
    l.push_back({"name", object_name(p), "what clients ask for, wherever it is loaded from",
                 std::string(kHypothesis)});
    if (p.context_tokens > 0)
      add("ctx", fmt::format("{}", p.context_tokens), "the longest request of the plan", plan);
    l.push_back(kv_tokens(p, e));
    if (p.kv_type == "fp8" || p.kv_type == "q8")
      l.push_back({"kv.type", "q8_0",
                   fmt::format("{:.0f} bytes a token", p.memory.kv_bytes_per_token), plan});
    if (p.kv_type == "fp4") l.push_back({"kv.type", "q4_0", "half of 8 bits", plan});
    if (!p.prefix_cache) add("prefix_cache.enabled", "false", "the plan is without it", plan);
    if (p.slo.itl_ms_p95 > 0)
      add("slo.itl_ms", fmt::format("{:g}", p.slo.itl_ms_p95),
          "steps are cut so that running answers keep it", plan);
    if (p.slo.ttft_ms_p95 > 0)
      add("slo.ttft_ms", fmt::format("{:g}", p.slo.ttft_ms_p95),
          "a request that would miss it is refused at once", "sre-handling-overload");
    add("limits.max_running", fmt::format("{}", std::min(e.max_running, kMostRunning)),
        "requests at once", plan);
    add("limits.step_tokens", fmt::format("{}", std::min(p.step_tokens, 8192)),
        "as the plan simulated them", plan);
    add("limits.max_queued_requests", fmt::format("{}", std::max<int64_t>(1, e.max_queued)),
        e.limits_why, e.queued_source);
    if (p.speculative_tokens > 0)
      add("speculation.depth", fmt::format("{}", p.speculative_tokens), "drafts a step", plan);
    add("drain_timeout_s", fmt::format("{}", longest_answer_s(p)),
        "running answers end first: " + longest_answer_why(p), plan);
    return l;
  };
  const YamlText base = tree_of(lines_for(c.base)), own = tree_of(lines_for(c.environment));
  const std::string name = c.path("weir.yaml");
  out.files.push_back({name, file_head(c) + own.dump()});
  out.differences = list_differences(base, own, name);
  note_replicas(c, out);
  out.notes.emplace_back("weir serve --config weir.yaml; keys come from weir keys new (keys_file)");
  return {};
}

}  // namespace weir::ops
