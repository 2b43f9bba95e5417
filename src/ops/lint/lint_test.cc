#include "ops/lint/lint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <tuple>

#include "base/paths_testing.h"
#include "ops/engines/engine_facts.h"
#include "ops/lint/config_intake.h"

namespace weir::ops {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

LintReport lint(std::string_view text, std::string_view name = "f.sh",
                const LintOptions& options = {}) {
  auto r = lint_text(text, name, options);
  EXPECT_TRUE(r.ok()) << r.error().message;
  return r.ok() ? std::move(*r) : LintReport();
}

// "id:line" of all findings.
std::vector<std::string> found(const LintReport& report) {
  std::vector<std::string> out;
  for (const CheckedCall& c : report.calls) {
    for (const Finding& f : c.findings) out.push_back(fmt::format("{}:{}", f.rule, f.line));
  }
  return out;
}

std::vector<std::string> found(std::string_view text, const LintOptions& options = {},
                               std::string_view name = "f.sh") {
  return found(lint(text, name, options));
}

const Finding* find(const LintReport& report, std::string_view rule) {
  for (const CheckedCall& c : report.calls) {
    for (const Finding& f : c.findings) {
      if (f.rule == rule) return &f;
    }
  }
  return nullptr;
}

TEST(Rules, EverySourceIsInTheLedger) {
  std::ifstream file(paths::repository("skill/data/sources.json"));
  std::stringstream text;
  text << file.rdbuf();
  const auto ledger = text::Json::parse(text.str());
  ASSERT_TRUE(ledger.ok());
  std::set<std::string> ids;
  for (const text::Json& s : ledger->items()) ids.insert(s.find("id")->as_string());
  size_t sourced = 0;
  for (const LintRule& r : LintRules::built_in().all()) {
    if (r.source.empty()) continue;
    EXPECT_TRUE(ids.count(r.source) == 1) << r.id << " cites " << r.source;
    ++sourced;
  }
  EXPECT_GT(sourced, 30U);
}

// A name in a text or condition that nothing sets would stay empty for ever.
TEST(Rules, EveryFactIsOneThatIsSet) {
  const LintReport report = lint(
      "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec:\n  replicas: 2\n"
      "  template:\n    spec:\n      terminationGracePeriodSeconds: 30\n      containers:\n"
      "      - image: vllm/vllm-openai:v0.11.0\n        env: [{name: HF_TOKEN, value: x}]\n"
      "        args: [--model, m, -tp, \"2\", --max-num-seqs, \"4\", --max-model-len, \"64\"]\n"
      "---\napiVersion: autoscaling/v1\nkind: HorizontalPodAutoscaler\nspec:\n"
      "  scaleTargetRef: {name: a}\n  minReplicas: 1\n  targetCPUUtilizationPercentage: 80\n",
      "m.yaml", {.hardware = {*catalog_shape("llama-3.1-8b"), *lint_device("nvidia-h100-sxm"), 8}});
  std::set<std::string> known{"max_queued",   "speculation", "api_key",
                              "quantization", "eagle_topk",  "allow_remote_without_keys"};
  for (const auto& [name, fact] : report.calls.at(0).facts.all()) known.insert(name);
  for (const FactKind& kind : engine_facts().facts) known.insert(kind.name);
  for (const char* word : {"flag", "nearest", "value", "detail", "other", "instead"})
    known.insert(word);
  known.insert("queue_flag");
  known.insert("weights.unsaid_by");
  const auto check = [&](const std::string& rule, const std::string& name) {
    if (name.empty() || name.starts_with("env.")) return;
    EXPECT_EQ(known.count(name), 1U) << rule << " names " << name;
  };
  static const std::regex kName("\\{([a-z_.]+)\\}");
  for (const LintRule& r : LintRules::built_in().all()) {
    check(r.id, r.at);
    for (const RuleCondition& c : r.when) {
      for (const std::string& name :
           {c.fact, c.above_fact, c.below_fact, c.multiple_of, c.not_multiple_of})
        check(r.id, name);
    }
    for (const std::string& text : {r.reason, r.fix}) {
      for (auto it = std::sregex_iterator(text.begin(), text.end(), kName);
           it != std::sregex_iterator(); ++it)
        check(r.id, (*it)[1]);
    }
  }
}

TEST(Flags, ValuesThatTheEngineDoesNotNameAreSaid) {
  const std::string text = "vllm serve m --quantization foo --max-num-queued-reqs 300\n";
  const LintReport report = lint(text, "f.sh", {.engine = "vllm", .version = "0.33.0"});
  const Finding* f = find(report, "value-not-named");
  ASSERT_NE(f, nullptr);
  EXPECT_EQ(f->severity, Severity::kWarning);
  EXPECT_THAT(f->reason, HasSubstr("names no foo for --quantization"));
  for (const char* good : {"--quantization fp8", "--quantization $Q", "--kv-cache-dtype fp8",
                           "--distributed-executor-backend my.plugin.Executor"}) {
    const LintReport clean = lint(fmt::format("vllm serve m {}\n", good), "f.sh",
                                  {.engine = "vllm", .version = "0.33.0"});
    EXPECT_EQ(find(clean, "value-not-named"), nullptr) << good;
  }
}

TEST(Hardware, AFileThatDoesNotSayItsDevicesIsNotHeldAgainstOne) {
  const LintOptions options{
      .hardware = {*catalog_shape("llama-3.1-70b"), *lint_device("nvidia-h100-sxm"), 8}};
  LintOptions trtllm = options;
  trtllm.engine = "trtllm";  // its other name
  for (const auto& [text, name, o] :
       {std::tuple("print_iter_log: true\n", "extra.yaml", trtllm),
        std::tuple("exec python3 -m dynamo.frontend --router-mode kv\n", "f.sh", options),
        std::tuple("decode:\n  replicas: 6\n", "values.yaml", options)})
    EXPECT_EQ(find(lint(text, name, o), "weights-exceed-memory"), nullptr) << text;
  EXPECT_NE(find(lint("vllm serve m\n", "f.sh", options), "weights-exceed-memory"), nullptr);
  trtllm.engine = "tensorrt-llm";
  EXPECT_NE(find(lint("tensor_parallel_size: 1\n", "extra.yaml", trtllm), "weights-exceed-memory"),
            nullptr);
}

TEST(Names, TheNearestHoldsTheWholeWord) {
  const auto nearest = [](const Result<LintDevice>& r) { return r.error().message; };
  EXPECT_THAT(nearest(lint_device("h100")), HasSubstr("nearest is nvidia-h100"));
  EXPECT_THAT(nearest(lint_device("nvidia-h100-sxn")), HasSubstr("nearest is nvidia-h100-sxm"));
  EXPECT_THAT(catalog_shape("llama3").error().message, HasSubstr("nearest is llama-3"));
}

TEST(Rules, ConditionsAreHeldAgainstFacts) {
  FactSet facts;
  facts.set_number("n", 6, 3, true);
  facts.set("word", "a");
  const auto holds_ = [&](std::string_view condition) {
    const auto r = LintRules::parse(
        fmt::format("rules:\n  - {{id: x, when: [{}], reason: r, fix: f}}\n", condition), "f");
    EXPECT_TRUE(r.ok()) << r.error().message;
    return holds(r->all()[0].when[0], facts);
  };
  EXPECT_TRUE(holds_("{fact: n, above: 5, below: 7}"));
  EXPECT_FALSE(holds_("{fact: n, above: 6}"));
  EXPECT_TRUE(holds_("{fact: n, at_least: 6, at_most: 6, given: true}"));
  EXPECT_FALSE(holds_("{fact: n, given: false}"));
  EXPECT_TRUE(holds_("{fact: word, one_of: [a, b]}"));
  EXPECT_FALSE(holds_("{fact: word, is_not: a}"));
  EXPECT_TRUE(holds_("{fact: missing, present: false}"));
  EXPECT_FALSE(holds_("{fact: missing, is_not: a}"));
  EXPECT_FALSE(holds_("{fact: word, above: 1}"));
  EXPECT_TRUE(holds_("{fact: n, not_multiple_of: n4}") == false);  // n4 is not known
  facts.set_number("n4", 4);
  EXPECT_TRUE(holds_("{fact: n, not_multiple_of: n4}"));
  EXPECT_TRUE(holds_("{fact: n, above_fact: n4}"));
}

TEST(Rules, BadFilesSayWhere) {
  const auto error = [](std::string_view text) {
    const auto r = LintRules::parse(text, "r.yaml");
    return r.ok() ? "" : r.error().message;
  };
  EXPECT_THAT(error("rules:\n  - {id: x, reason: r, fix: f, severity: bad}\n"),
              HasSubstr("r.yaml:2: severity"));
  EXPECT_THAT(error("rules:\n  - {id: x, reason: r, fix: f, when: [{fact: a, abve: 1}]}\n"),
              HasSubstr("abve: no condition"));
  EXPECT_THAT(error("rules:\n  - {id: x}\n"), HasSubstr("needs id, reason and fix"));
}

TEST(LintFlags, UnknownRemovedDeprecatedAndWrongValues) {
  const auto f = found(
      "vllm serve m \\\n  --max-model-length 8 \\\n  --swap-space 4 \\\n"
      "  --log-config-file x \\\n  -tp two \\\n  --gpu-memory-util 0.9 \\\n"
      "  --enforce-eager true \\\n  --seed 1 --seed 2 \\\n  --port\n");
  for (const char* finding :
       {"flag-unknown:2", "flag-removed:3", "flag-deprecated:4", "flag-value:5",
        "flag-abbreviated:6", "flag-takes-no-value:7", "flag-twice:8", "flag-no-value:9"})
    EXPECT_THAT(f, Contains(finding));
  const LintReport old =
      lint("vllm serve m --max-num-queued-reqs 8 --swap-space 4\n", "f.sh", {.version = "0.11.0"});
  EXPECT_THAT(found(old), Contains("flag-too-new:1"));
  EXPECT_THAT(found(old), Contains("swap-space:1"));
  EXPECT_EQ(old.calls[0].version, "0.11.0");
  EXPECT_THAT(find(lint("vllm serve m --swap-space 4\n"), "flag-removed")->reason,
              HasSubstr("it was in 0.11.0, gone since 0.18.0"));
  EXPECT_THAT(find(lint("vllm serve m --max-model-length 8\n"), "flag-unknown")->fix,
              HasSubstr("--max-model-len"));
}

TEST(LintFlags, WhatTheShellFillsInIsNotJudged) {
  const auto f = found("vllm serve \"$MODEL\" -tp $TP $EXTRA --port ${PORT:-1} --host 127.0.0.1\n");
  for (const std::string& finding : f) EXPECT_THAT(finding, Not(HasSubstr("flag-")));
}

TEST(LintFlags, KeysOfFiles) {
  const auto f = found("kv_cache_config:\n  fraction: 0.8\n  dtype: fp8\nmax_batch_size: many\n",
                       {.engine = "tensorrt-llm"}, "e.yaml");
  EXPECT_THAT(f, Contains("key-unknown:2"));
  EXPECT_THAT(f, Contains("flag-value:4"));
  const auto vllm = found(
      "model: m\nmax-model-len: 8\nspeculative-config:\n  method: ngram\n"
      "  nmber: 3\ngpu_memory_utilisation: 0.9\n",
      {.engine = "vllm"}, "e.yaml");
  EXPECT_THAT(vllm, Contains("flag-unknown:5"));
  EXPECT_THAT(vllm, Contains("flag-unknown:6"));
  EXPECT_THAT(vllm, Not(Contains("flag-unknown:4")));
}

TEST(LintRules, WhatContradictsItself) {
  EXPECT_THAT(found("vllm serve m --no-enable-chunked-prefill --max-model-len 8192 \\\n"
                    " --max-num-batched-tokens 2048\n"),
              Contains("chunked-prefill-off-short-batch:2"));
  EXPECT_THAT(found("vllm serve m --max-model-len 8192 --max-num-batched-tokens 2048\n"),
              Not(Contains("chunked-prefill-off-short-batch:1")));
  EXPECT_THAT(found("vllm serve m --max-num-seqs 512 --max-num-batched-tokens 256\n"),
              Contains("batch-below-running:1"));
  EXPECT_THAT(found("llama-server -m x --ctx-size 8192 -np 4\n"),
              Contains("context-split-over-slots:1"));
  EXPECT_THAT(found("python -m sglang.launch_server --model-path m --disable-cuda-graph\n"),
              Contains("eager-mode:1"));
}

TEST(LintRules, MethodsOfSpeculationThatWentAway) {
  const std::string call =
      "vllm serve m --speculative-config '{\"method\":\"medusa\",\"num_speculative_tokens\":3}'\n";
  EXPECT_THAT(found(call), Contains("speculation-method-gone:1"));
  EXPECT_THAT(found(lint(call, "f", {.version = "0.22.0"})),
              Not(Contains("speculation-method-gone:1")));
}

TEST(LintRules, WhatIsRisky) {
  const auto f = found(
      "export HF_TOKEN=hf_1\nvllm serve m --gpu-memory-utilization 0.98 "
      "--enforce-eager --trust-remote-code --host 0.0.0.0\n");
  for (const char* finding : {"queue-unbounded:2", "memory-utilization-high:2", "eager-mode:2",
                              "trust-remote-code:2", "api-key-missing:2", "secret-in-clear:1"})
    EXPECT_THAT(f, Contains(finding));
  const auto good = found("vllm serve m --host 127.0.0.1 --max-num-queued-reqs 64\n");
  EXPECT_TRUE(good.empty()) << testing::PrintToString(good);
}

TEST(LintRules, BoundOfTheQueueCountsRunningOnesOverAllRanks) {
  const auto none = lint("vllm serve m -dp 4 --max-num-seqs 128 --host 127.0.0.1\n");
  ASSERT_NE(find(none, "queue-unbounded"), nullptr);
  EXPECT_THAT(find(none, "queue-unbounded")->fix,
              HasSubstr("512 running (4 x --max-num-seqs 128)"));
  const std::string call = "vllm serve m -dp 4 --max-num-seqs 128 --max-num-queued-reqs ";
  const auto low = lint(call + "256\n");
  ASSERT_NE(find(low, "queue-below-running"), nullptr);
  EXPECT_THAT(find(low, "queue-below-running")->reason, HasSubstr("4 x 128 could run"));
  EXPECT_THAT(find(low, "queue-below-running")->fix, HasSubstr("of 512"));
  EXPECT_EQ(find(lint(call + "576\n"), "queue-below-running"), nullptr);
  // SGLang's counts waiting ones alone.
  const auto sglang = lint(
      "python -m sglang.launch_server --model-path m --max-running-requests 64 "
      "--max-queued-requests 8\n");
  EXPECT_EQ(find(sglang, "queue-below-running"), nullptr);
}

TEST(LintRules, ModelAndDevicesWithTheArithmetic) {
  LintOptions o;
  o.hardware = {*catalog_shape("llama-3.1-70b"), *lint_device("nvidia-l40s"), 4};
  const LintReport r = lint("vllm serve m -tp 3 --max-model-len 131072 --host 127.0.0.1\n", "f", o);
  EXPECT_THAT(found(r), Contains("tp-across-pcie:1"));
  EXPECT_THAT(found(r), Contains("tp-not-dividing-heads:1"));
  EXPECT_THAT(found(r), Contains("tp-not-dividing-kv-heads:1"));
  EXPECT_THAT(found(r), Contains("weights-exceed-memory:1"));
  // 141 GB in 4 devices of 80 GB: 0.92 x 80 - 35.3 - 2 = 36.3 GB, 80 KiB of KV a token and device.
  o.hardware = {*catalog_shape("llama-3.1-70b"), *lint_device("nvidia-h100-sxm"), 8};
  const LintReport fits = lint("vllm serve m -tp 4 --max-model-len 131072\n", "f", o);
  EXPECT_EQ(find(fits, "context-exceeds-kv"), nullptr);
  EXPECT_NEAR(*fits.calls[0].facts.number("kv.tokens"), 36.3e9 / 81920, 3e3);
  o.hardware.device = *lint_device("nvidia-a100-sxm-40gb");
  const LintReport tight = lint("vllm serve m -tp 4 --max-model-len 131072\n", "f", o);
  EXPECT_NE(find(tight, "weights-exceed-memory"), nullptr);
  const LintReport eight = lint(
      "vllm serve m -tp 8 --max-model-len 131072 --max-num-seqs 2 "
      "--gpu-memory-utilization 0.55\n",
      "f", o);
  ASSERT_NE(find(eight, "context-exceeds-kv"), nullptr);
  EXPECT_THAT(find(eight, "context-exceeds-kv")->reason, HasSubstr("17.6 GB of weights"));
  EXPECT_THAT(found(lint("vllm serve m -tp 16\n", "f", o)), Contains("tp-repeats-kv:1"));
  EXPECT_THAT(lint_device("nvidia-h10").error().message, HasSubstr("the nearest is"));
  EXPECT_THAT(catalog_shape("llama-3.1-7b").error().message, HasSubstr("llama-3.1-"));
}

TEST(LintRules, BitsOfAWeightByTheNameOfItsQuantization) {
  LintOptions o;
  o.hardware = {*catalog_shape("llama-3.1-70b"), *lint_device("nvidia-h100-sxm"), 8};
  const auto arithmetic = [&](const std::string& flags) {
    const LintReport r = lint("vllm serve m --max-model-len 8192 -tp 2 " + flags + "\n", "f", o);
    const Fact* words = r.calls[0].facts.find("kv.arithmetic");
    return words == nullptr ? std::string() : words->text;
  };
  EXPECT_THAT(arithmetic(""), HasSubstr("70.6 GB of weights (70.6 billion at 16 bits over 2"));
  EXPECT_THAT(arithmetic("-q modelopt"), HasSubstr("35.3 GB of weights (70.6 billion at 8 bits"));
  EXPECT_THAT(arithmetic("-q modelopt_fp4"), HasSubstr("at 4.5 bits, modelopt_fp4 over"));
  EXPECT_THAT(arithmetic("-q gptq_marlin"), HasSubstr("18.3 GB of weights"));
  // A dense model has no experts, which is all that this one quantizes.
  EXPECT_THAT(arithmetic("-q experts_int8"), HasSubstr("at 16 bits"));
  EXPECT_THAT(arithmetic("-q compressed-tensors"), "");
  EXPECT_THAT(found("vllm serve m -q compressed-tensors\n", o), Contains("weight-bits-unsaid:1"));
  o.hardware.weight_bits = 4;
  EXPECT_THAT(arithmetic("-q compressed-tensors"), HasSubstr("at 4 bits, as given"));
  EXPECT_THAT(found("vllm serve m -q compressed-tensors\n", o),
              Not(Contains("weight-bits-unsaid:1")));
  LintOptions experts;
  experts.hardware = {*catalog_shape("qwen3-30b-a3b"), *lint_device("nvidia-h100-sxm"), 8};
  const auto fit = lint("vllm serve m -q mxfp4\n", "f", experts);
  EXPECT_THAT(fit.calls[0].facts.find("kv.arithmetic")->text, HasSubstr("mxfp4 for experts"));
}

TEST(LintRules, LlamaCppTakesAllDevicesThatItSees) {
  const auto with = [](int64_t count) {
    LintOptions o;
    o.hardware = {*catalog_shape("llama-3.1-70b"), *lint_device("nvidia-h100-sxm"), count};
    return found("llama-server -m x.gguf -c 32768 -np 4 --kv-unified --host 127.0.0.1\n", o);
  };
  EXPECT_THAT(with(1), Contains("weights-exceed-memory:1"));
  EXPECT_THAT(with(4), Not(Contains("weights-exceed-memory:1")));
  EXPECT_THAT(found("python3 -m dynamo.frontend --router-mod kv --http-hos 127.0.0.1\n"),
              Contains("flag-abbreviated:1"));
}

constexpr std::string_view kBad = R"(apiVersion: apps/v1
kind: Deployment
metadata: {name: qwen}
spec:
  replicas: 3
  template:
    metadata: {labels: {app: qwen}}
    spec:
      containers:
      - name: vllm
        image: vllm/vllm-openai:latest
        args: [--model, m, -tp, "2"]
        resources: {limits: {nvidia.com/gpu: 4}}
        livenessProbe: {httpGet: {path: /health}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
spec:
  scaleTargetRef: {name: qwen}
  minReplicas: 2
  metrics:
  - resource: {name: cpu}
---
apiVersion: inference.networking.k8s.io/v1
kind: InferencePool
metadata: {name: pool}
)";

TEST(LintRules, Manifests) {
  const auto f = found(kBad, {}, "m.yaml");
  for (const char* finding :
       {"image-latest:11", "shm-missing:12", "devices-idle:10", "readiness-missing:10",
        "startup-missing:10", "memory-limit-missing:10", "pdb-missing:1", "spread-missing:1",
        "hpa-on-cpu:22"})
    EXPECT_THAT(f, Contains(finding));
  std::string off(kBad);
  off.replace(off.find("\"2\"]"), 4, "\"2\", --no-enable-prefix-caching]");
  EXPECT_THAT(found(off, {}, "m.yaml"), Contains("prefix-cache-off-with-router:12"));
}

TEST(LintRules, PoliciesBudgetsAndFilesThatStandElsewhere) {
  const std::string policy =
      "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: n}\n"
      "spec:\n  podSelector: {matchLabels: {app: qwen}}\n  policyTypes: [Ingress]\n";
  const auto open = Contains(HasSubstr("api-key-missing-in-cluster"));
  EXPECT_THAT(found(kBad, {}, "m.yaml"), open);
  EXPECT_THAT(found(std::string(kBad) + policy, {}, "m.yaml"), Not(open));
  std::string other = policy;
  other.replace(other.find("app: qwen"), 9, "app: else");
  EXPECT_THAT(found(std::string(kBad) + other, {}, "m.yaml"), open);
  std::string egress = policy;
  egress.replace(egress.find("[Ingress]"), 9, "[Egress]");
  EXPECT_THAT(found(std::string(kBad) + egress, {}, "m.yaml"), open);

  std::string file(kBad);
  file.replace(file.find("-tp, \"2\""), 8, "--config, /c/vllm.yaml");
  EXPECT_THAT(found(file, {}, "m.yaml"), Not(Contains(HasSubstr("devices-idle"))));
  EXPECT_THAT(found(file, {}, "m.yaml"), Not(Contains(HasSubstr("queue-unbounded"))));

  const std::string group =
      "apiVersion: leaderworkerset.x-k8s.io/v1\nkind: LeaderWorkerSet\nmetadata: {name: g}\n"
      "spec:\n  replicas: 2\n  leaderWorkerTemplate:\n    size: 2\n    leaderTemplate:\n"
      "      metadata: {labels: {role: leader}}\n      spec:\n        containers:\n"
      "        - {name: v, image: \"vllm/vllm-openai:v0.33.0\", args: [--model, m]}\n"
      "    workerTemplate:\n      spec:\n        containers:\n"
      "        - {name: w, image: \"vllm/vllm-openai:v0.33.0\", args: [--model, m, --headless]}\n";
  const std::string budget =
      "---\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: b}\nspec:\n"
      "  maxUnavailable: 1\n  selector: {matchLabels: "
      "{leaderworkerset.sigs.k8s.io/name: g}}\n";
  const auto missing = Contains(HasSubstr("pdb-missing"));
  EXPECT_THAT(found(group, {}, "m.yaml"), missing);
  EXPECT_THAT(found(group + budget, {}, "m.yaml"), Not(missing));
}

TEST(ConfigIntake, WhatTheFileSaysIsMeasuredAndDefaultsAreInferred) {
  std::string text(kBad);
  text.replace(text.find(":latest"), 7, ":v0.33.0");
  const auto r = intake_of_config(lint(text, "m.yaml"));
  ASSERT_TRUE(r.ok());
  const auto expect = [&](std::string_view path, const config::Value& value, Origin origin,
                          std::string_view evidence) {
    const IntakeValue* v = r->find(path);
    ASSERT_NE(v, nullptr) << path;
    EXPECT_EQ(v->value, value) << path;
    EXPECT_EQ(v->origin, origin) << path;
    EXPECT_THAT(v->evidence, HasSubstr(std::string(evidence))) << path;
  };
  using V = config::Value;
  expect("stack.engine", V(std::string("vllm")), Origin::kMeasured, "m.yaml:11");
  expect("stack.engine_version", V(std::string("0.33.0")), Origin::kMeasured, "m.yaml:11");
  expect("stack.tensor_parallel", V(int64_t{2}), Origin::kMeasured, "m.yaml:12");
  expect("stack.replicas", V(int64_t{3}), Origin::kMeasured, "m.yaml:5");
  expect("stack.autoscaling", V(std::string("cpu")), Origin::kMeasured, "m.yaml:22");
  expect("stack.memory_utilization", V(0.92), Origin::kInferred, "default of vllm 0.33.0");
  expect("stack.prefix_cache", V(true), Origin::kInferred, "default of");
  expect("stack.admission_limit", V(false), Origin::kInferred, "no limit");
  EXPECT_EQ(r->find("stack.kv_dtype"), nullptr);  // "auto" is no type
}

}  // namespace
}  // namespace weir::ops
