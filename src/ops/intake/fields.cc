#include "ops/intake/fields.h"

#include <algorithm>
#include <array>
#include <vector>

#include "ops/intake/field_help.h"

namespace weir::ops {
namespace {

using config::Spec;
using config::Type;

constexpr double kMaxTokens = 1 << 26;
constexpr double kMaxMs = 86'400'000;  // a day
constexpr std::array kGroups = {
    IntakeGroup{"model", "Model and variant"},
    IntakeGroup{"traffic", "Traffic shape"},
    IntakeGroup{"slo", "SLOs and budgets"},
    IntakeGroup{"stack", "Serving stack"},
    IntakeGroup{"hardware", "Hardware and topology"},
    IntakeGroup{"constraints", "Constraints"},
    IntakeGroup{"observed", "Observed on a running server"},
};

enum Need : bool { kOptional = false, kRequired = true };

IntakeField field(const char* path, Type type, Need need, Spec spec, std::string_view question) {
  config::Value zero;
  switch (type) {
    case Type::kBool:
      zero = false;
      break;
    case Type::kInt:
      zero = int64_t{0};
      break;
    case Type::kNumber:
      zero = 0.0;
      break;
    case Type::kText:
      zero = std::string();
      break;
    case Type::kList:
      zero = std::vector<std::string>();
      break;
  }
  spec.help = field_help(path);
  return {{path, "", type, std::move(zero), std::move(spec)}, need == kRequired, question};
}

IntakeField text(const char* path, Need need, std::string_view question,
                 std::vector<std::string_view> choices = {}) {
  Spec spec;
  spec.choices = std::move(choices);
  return field(path, Type::kText, need, std::move(spec), question);
}

IntakeField flag(const char* path, Need need, std::string_view question) {
  return field(path, Type::kBool, need, {}, question);
}

IntakeField whole(const char* path, Need need, std::string_view unit, double min, double max,
                  std::string_view question) {
  return field(path, Type::kInt, need, {.min = min, .max = max, .unit = unit}, question);
}

IntakeField number(const char* path, Need need, std::string_view unit, double min, double max,
                   std::string_view question) {
  return field(path, Type::kNumber, need, {.min = min, .max = max, .unit = unit}, question);
}

IntakeField tokens(const char* path, Need need, std::string_view question) {
  return number(path, need, "tokens", 0, kMaxTokens, question);
}

IntakeField ms(const char* path, Need need, std::string_view question) {
  return number(path, need, "ms", 0, kMaxMs, question);
}

IntakeField share(const char* path, Need need, std::string_view question) {
  return number(path, need, "of 1", 0, 1, question);
}

using Fields = std::vector<IntakeField>;

void add(Fields& out, Fields more) {
  out.insert(out.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

Fields model_fields() {
  return {
      text("model.name", kRequired, "Which model, and which variant of it?"),
      text("model.source", kOptional,
           "Where is it: a GGUF file, a config.json, or an id of the models that weir knows?"),
      text("model.architecture", kOptional, "Which architecture (model_type of its config.json)?"),
      number("model.parameters_b", kRequired, "billions", 0.0001, 100'000,
             "How many parameters has it, in billions?"),
      number("model.active_parameters_b", kOptional, "billions", 0.0001, 100'000,
             "How many parameters does a token meet (of a mixture of experts less than all)?"),
      whole("model.context_tokens", kRequired, "tokens", 1, kMaxTokens,
            "What is the longest context, prompt and answer together, that must be served?"),
      text("model.precision", kRequired, "In which precision are the weights served?",
           {"f32", "bf16", "f16", "fp8", "int8", "fp6", "fp4", "int4", "int3", "int2"}),
      number("model.bits_per_weight", kOptional, "bits", 1, 32, "How many bits has a weight?"),
      text("model.attention", kOptional, "What kind of attention has it?",
           {"mha", "gqa", "mqa", "mla", "hybrid"}),
      text("model.tokenizer", kRequired, "Which tokenizer does it use?"),
      whole("model.vocabulary", kOptional, "tokens", 1, kMaxTokens, "How large is its vocabulary?"),
      number("model.kv_bytes_per_token", kOptional, "bytes", 0, 1e9,
             "How many bytes of KV cache does a token take?"),
  };
}

Fields traffic_fields() {
  return {
      text("traffic.kind", kRequired, "What is the traffic?",
           {"chat", "agents", "rag", "code", "batch", "embedding", "mixed"}),
      text("traffic.trace", kOptional, "Is there a trace of requests (--trace FILE)?"),
      tokens("traffic.prompt_tokens_p50", kRequired, "How long is a prompt, at the median?"),
      tokens("traffic.prompt_tokens_p95", kRequired,
             "How long is a prompt, at the 95th percentile?"),
      tokens("traffic.prompt_tokens_p99", kOptional,
             "How long is a prompt, at the 99th percentile?"),
      tokens("traffic.prompt_tokens_mean", kOptional, "How long is a prompt on average?"),
      tokens("traffic.output_tokens_p50", kRequired, "How long is an answer, at the median?"),
      tokens("traffic.output_tokens_p95", kRequired,
             "How long is an answer, at the 95th percentile?"),
      tokens("traffic.output_tokens_p99", kOptional,
             "How long is an answer, at the 99th percentile?"),
      tokens("traffic.output_tokens_mean", kOptional, "How long is an answer on average?"),
      number("traffic.requests_per_s", kRequired, "1/s", 0, 1e7,
             "How many requests come a second?"),
      number("traffic.requests_per_s_peak", kOptional, "1/s", 0, 1e7,
             "How many come in the busiest minute, a second?"),
      number("traffic.arrival_cv", kOptional, "", 0, 1000,
             "How uneven are the gaps between arrivals (their standard deviation over their mean; "
             "1: Poisson)?"),
      whole("traffic.concurrency", kRequired, "requests", 1, 1e7,
            "How many requests are under way at once?"),
      flag("traffic.streaming", kRequired, "Are answers streamed?"),
      share("traffic.shared_prefix_share", kOptional,
            "Which share of prompt tokens repeats the beginning of an earlier prompt?"),
      number("traffic.turns", kOptional, "turns", 1, 10'000,
             "How many turns has a conversation, on average?"),
  };
}

Fields slo_fields() {
  return {
      ms("slo.ttft_ms_p95", kRequired, "Within what time must 95 % of requests see a first token?"),
      ms("slo.itl_ms_p95", kRequired, "Within what time must 95 % of further tokens follow?"),
      ms("slo.total_ms_p99", kRequired, "Within what time must 99 % of answers be whole?"),
      share("slo.error_budget", kRequired, "Which share of requests may fail or miss these?"),
      number("slo.cost_usd_per_request", kRequired, "USD", 0, 1e6, "What may a request cost?"),
      number("slo.throughput_tok_s", kOptional, "tokens/s", 0, 1e12,
             "How many generated tokens a second must the whole service reach?"),
  };
}

Fields stack_fields() {
  return {
      text("stack.engine", kRequired, "Which engine serves it?",
           {"vllm", "sglang", "tensorrt-llm", "dynamo", "llm-d", "lmdeploy", "tgi", "deepspeed",
            "llama.cpp", "ollama", "weir", "hosted", "other", "none"}),
      text("stack.engine_version", kRequired, "Which version of it?"),
      text("stack.batching", kRequired, "How are requests batched?",
           {"none", "static", "dynamic", "continuous"}),
      flag("stack.prefix_cache", kRequired, "Is the KV cache of common prefixes reused?"),
      flag("stack.chunked_prefill", kOptional, "Are long prompts prefilled in chunks?"),
      flag("stack.disaggregated", kOptional, "Do prefill and decode run on machines of their own?"),
      whole("stack.tensor_parallel", kRequired, "ranks", 1, 4096,
            "Over how many devices is a layer split?"),
      whole("stack.pipeline_parallel", kOptional, "ranks", 1, 4096,
            "Over how many stages are layers spread?"),
      whole("stack.expert_parallel", kOptional, "ranks", 1, 4096,
            "Over how many devices are experts spread?"),
      whole("stack.replicas", kRequired, "replicas", 1, 100'000, "How many replicas are there?"),
      text("stack.autoscaling", kRequired, "What scales the replicas?",
           {"none", "cpu", "gpu", "queue", "concurrency", "slo"}),
      text("stack.speculation", kOptional, "Is there speculative decoding?",
           {"none", "ngram", "suffix", "draft", "medusa", "eagle", "mtp"}),
      text("stack.kv_dtype", kOptional, "In which type is the KV cache?",
           {"bf16", "f16", "fp8", "int8", "int4", "fp4"}),
      text("stack.routing", kOptional, "How are requests spread over replicas?",
           {"none", "round_robin", "least_loaded", "prefix_aware", "session"}),
      flag("stack.admission_limit", kOptional,
           "Is the queue bounded, so that overload is refused early?"),
      whole("stack.max_running", kOptional, "requests", 1, 1e6,
            "How many requests may run at once in a replica?"),
      whole("stack.max_batched_tokens", kOptional, "tokens", 1, kMaxTokens,
            "How many tokens may a step compute?"),
      share("stack.memory_utilization", kOptional,
            "Which share of the device's memory may the engine take?"),
      text("stack.config", kOptional, "Where is its configuration (--config FILE)?"),
  };
}

Fields hardware_fields() {
  return {
      text("hardware.accelerator", kRequired,
           "Which accelerator (an id of data/accelerators.yaml), or which CPU?"),
      whole("hardware.accelerators_per_node", kRequired, "devices", 0, 4096,
            "How many accelerators has a machine (0: it serves on its CPU)?"),
      whole("hardware.nodes", kRequired, "machines", 1, 100'000, "How many machines are there?"),
      number("hardware.memory_gb", kRequired, "GB", 0.1, 100'000,
             "How much memory has an accelerator (on a CPU: the machine)?"),
      text("hardware.interconnect", kRequired, "How are accelerators of a machine connected?",
           {"none", "pcie", "nvlink", "nvswitch", "infinity_fabric", "ici", "neuronlink", "roce"}),
      flag("hardware.rdma", kRequired, "Is there RDMA between machines?"),
      text("hardware.cpu", kOptional, "Which CPU?"),
      whole("hardware.cpu_cores", kRequired, "cores", 1, 100'000, "How many cores has a machine?"),
      number("hardware.ram_gb", kRequired, "GB", 0.1, 1e6, "How much RAM has a machine?"),
      text("hardware.isa", kOptional, "Which vector instructions has the CPU?"),
      number("hardware.storage_gb_per_s", kRequired, "GB/s", 0.001, 10'000,
             "How fast are model files read?"),
      text("hardware.runtime", kRequired, "Which driver, runtime and kernel?"),
      flag("hardware.edge", kOptional, "Is it at the edge: one small machine, perhaps offline?"),
  };
}

Fields constraint_fields() {
  return {
      number("constraints.quality_margin", kRequired, "points", 0, 100,
             "How many points of accuracy may a cheaper configuration lose?"),
      text("constraints.safety", kRequired,
           "Which rules of safety or privacy hold (filters, residency, retention)?"),
      text("constraints.rollout", kRequired, "How are changes rolled out?",
           {"canary", "blue_green", "rolling", "shadow", "all_at_once"}),
      number("constraints.rollback_minutes", kRequired, "minutes", 0, 100'000,
             "Within what time must a change be taken back?"),
      flag("constraints.draft_model", kOptional, "May a draft model be run beside the model?"),
      flag("constraints.smaller_model", kOptional,
           "May a smaller or cheaper model answer some requests?"),
      flag("constraints.quantization", kOptional, "May weights be quantized further?"),
      flag("constraints.offline", kOptional, "May answers come hours later (batch)?"),
      flag("constraints.interruptible", kOptional,
           "May work be interrupted and begun again (spot)?"),
  };
}

Fields observed_fields() {
  return {
      number("observed.throughput_tok_s", kOptional, "tokens/s", 0, 1e12,
             "weir intake --metrics URL, twice or with --window"),
      number("observed.requests_per_s", kOptional, "1/s", 0, 1e7, "weir intake --metrics URL"),
      ms("observed.ttft_ms_p50", kOptional, "weir intake --metrics URL"),
      ms("observed.ttft_ms_p95", kOptional, "weir intake --metrics URL"),
      ms("observed.ttft_ms_p99", kOptional, "weir intake --metrics URL"),
      ms("observed.itl_ms_p50", kOptional, "weir intake --metrics URL"),
      ms("observed.itl_ms_p95", kOptional, "weir intake --metrics URL"),
      ms("observed.itl_ms_p99", kOptional, "weir intake --metrics URL"),
      ms("observed.total_ms_p50", kOptional, "weir intake --metrics URL"),
      ms("observed.total_ms_p95", kOptional, "weir intake --metrics URL"),
      ms("observed.total_ms_p99", kOptional, "weir intake --metrics URL"),
      ms("observed.queue_ms_mean", kOptional, "weir intake --metrics URL"),
      ms("observed.prefill_ms_mean", kOptional, "weir intake --metrics URL"),
      ms("observed.decode_ms_mean", kOptional, "weir intake --metrics URL"),
      number("observed.running", kOptional, "requests", 0, 1e7, "weir intake --metrics URL"),
      number("observed.waiting", kOptional, "requests", 0, 1e7, "weir intake --metrics URL"),
      share("observed.kv_usage", kOptional, "weir intake --metrics URL"),
      share("observed.prefix_hit_rate", kOptional, "weir intake --metrics URL"),
      share("observed.acceptance", kOptional, "weir intake --metrics URL (of drafted tokens)"),
      share(
          "observed.accept_rate", kOptional,
          "the share of answers that were accepted, as users or graders say: weir cost --outcomes"),
      number("observed.preemptions_per_s", kOptional, "1/s", 0, 1e6, "weir intake --metrics URL"),
      share("observed.bandwidth_share", kOptional,
            "the share of the memory's bandwidth that decode reaches: weir bench engine, or a "
            "profiler"),
      share("observed.compute_share", kOptional,
            "the share of the peak that prefill reaches: weir bench engine, or a profiler"),
  };
}

Fields all_fields() {
  Fields out;
  add(out, model_fields());
  add(out, traffic_fields());
  add(out, slo_fields());
  add(out, stack_fields());
  add(out, hardware_fields());
  add(out, constraint_fields());
  add(out, observed_fields());
  return out;
}

}  // namespace

std::span<const IntakeGroup> intake_groups() { return kGroups; }

std::span<const IntakeField> intake_fields() {
  static const Fields fields = all_fields();
  return fields;
}

const IntakeField* find_intake_field(std::string_view path) {
  const auto fields = intake_fields();
  const auto it = std::find_if(fields.begin(), fields.end(),
                               [&](const IntakeField& f) { return f.key.path == path; });
  return it == fields.end() ? nullptr : &*it;
}

std::string_view nearest_intake_field(std::string_view path) {
  std::string_view best;
  size_t least = SIZE_MAX;
  for (const IntakeField& f : intake_fields()) {
    const size_t distance = config::edit_distance(path, f.key.path);
    if (distance >= least) continue;
    least = distance;
    best = f.key.path;
  }
  return best;
}

}  // namespace weir::ops
