#include "ops/config_write/write.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "base/paths_testing.h"
#include "config/yaml.h"
#include "ops/config_write/kubernetes.h"
#include "ops/config_write/write_testing.h"
#include "ops/config_write/yaml_text.h"
#include "ops/engines/catalog.h"
#include "ops/engines/engine_facts.h"
#include "ops/lint/lint.h"
#include "text/json.h"

namespace weir::ops {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

std::vector<std::string> rules_found(std::string_view text, std::string_view name,
                                     const LintOptions& options, bool hints) {
  const auto report = lint_text(text, name, options);
  EXPECT_TRUE(report.ok()) << report.error().message;
  std::vector<std::string> out;
  if (!report.ok()) return out;
  EXPECT_FALSE(report->calls.empty()) << name;
  for (const CheckedCall& c : report->calls) {
    for (const Finding& f : c.findings) {
      if (hints || f.severity != Severity::kHint)
        out.push_back(fmt::format("{} ({}:{}): {}", f.rule, name, f.line, f.reason));
    }
  }
  return out;
}

std::vector<std::string> versions_of(std::string_view engine) {
  std::vector<std::string> out;
  for (const EngineVersion& v : engine_versions()) {
    if (v.engine == engine) out.emplace_back(v.version);
  }
  return out;
}

LintOptions lint_options(std::string_view engine, const std::string& version) {
  LintOptions o;
  o.engine = engine;
  o.version = version;
  static const LintHardware hardware{*catalog_shape("llama-3.1-70b"),
                                     *lint_device("nvidia-h100-sxm"), 8};
  o.hardware = hardware;
  o.hardware.model->bits_per_weight = 8;
  return o;
}

// What an older version cannot bound, and one replica in dev, are said by the lint with right.
bool is_expected(const std::string& finding, std::string_view environment, bool bounded) {
  return (environment == "dev" && finding.starts_with("replicas-one")) ||
         (!bounded && finding.starts_with("queue-unbounded"));
}

bool bounds_queue(std::string_view engine, const std::string& version) {
  const FactKind* kind = engine_facts().find_fact("max_queued");
  const auto names = kind->engines.find(engine);
  const auto snapshot = engine_snapshot(engine, version);
  return names != kind->engines.end() && snapshot.ok() &&
         snapshot->find_flag(names->second[0].option).option != nullptr;
}

struct EngineFile {
  const char* target;
  const char* engine;
  const char* file;
  bool parallelism = true;  // it says it itself, so that memory can be checked
};
constexpr EngineFile kEngineFiles[] = {
    {"vllm", "vllm", "serve.sh"},
    {"sglang", "sglang", "serve.sh"},
    {"llamacpp", "llama.cpp", "serve.sh"},
    {"trtllm", "tensorrt-llm", "serve.sh"},
    {"trtllm", "tensorrt-llm", "config.yaml", false},
    {"deepspeed", "deepspeed", "deepspeed.json"},
    {"llm-d", "llm-d", "base/llm-d/values.yaml"},
    {"dynamo", "dynamo", "frontend.sh", false},
};

TEST(ConfigWrite, EngineFilesPassTheirOwnCheckInEveryVersionAndEnvironment) {
  size_t checked = 0;
  for (const EngineFile& e : kEngineFiles) {
    for (const std::string& version : versions_of(e.engine)) {
      for (const char* environment : {"dev", "stage", "prod"}) {
        SCOPED_TRACE(fmt::format("{} {} {}", e.target, version, environment));
        const WrittenConfig w =
            written(some_plan(),
                    {.target = e.target, .environment = environment, .engine_version = version});
        const std::string text = file_of(w, e.file);
        const bool bounded = bounds_queue(e.engine, version);
        LintOptions options = lint_options(e.engine, version);
        if (!e.parallelism) options.hardware = {};
        for (const std::string& f : rules_found(text, e.file, options, false))
          EXPECT_TRUE(is_expected(f, environment, bounded)) << f;
        ++checked;
      }
    }
  }
  EXPECT_GE(checked, 33U);
}

TEST(ConfigWrite, ManifestsPassTheirOwnCheckInEveryVersionAndEnvironment) {
  for (const char* engine : {"vllm", "sglang", "tensorrt-llm", "llama.cpp"}) {
    for (const std::string& version : versions_of(engine)) {
      for (const char* environment : {"dev", "stage", "prod"}) {
        SCOPED_TRACE(fmt::format("{} {} {}", engine, version, environment));
        WriteRequest r{.target = "kubernetes",
                       .environment = environment,
                       .engine = engine,
                       .engine_version = version};
        if (engine == std::string("tensorrt-llm") || engine == std::string("llama.cpp"))
          r.image = fmt::format("registry.example/{}:1.2.3", engine);
        const WrittenConfig w = written(some_plan(), r);
        const std::string text = file_of(w, "rendered.yaml");
        const bool bounded = bounds_queue(engine, version);
        for (const std::string& f :
             rules_found(text, "rendered.yaml", lint_options(engine, version), false))
          EXPECT_TRUE(is_expected(f, environment, bounded)) << f;
      }
    }
  }
}

TEST(ConfigWrite, EveryYamlIsReadBackAndEveryJsonToo) {
  for (const std::string& target : config_targets()) {
    for (const char* environment : {"dev", "stage", "prod"}) {
      const WrittenConfig w = written(
          some_plan(),
          {.target = target, .environment = environment, .regions = {"eu-west", "us-east"}});
      EXPECT_FALSE(w.files.empty()) << target;
      std::set<std::string> paths;
      for (const WrittenFile& f : w.files) {
        SCOPED_TRACE(f.path);
        EXPECT_TRUE(paths.insert(f.path).second) << "written twice";
        EXPECT_TRUE(f.text.ends_with('\n'));
        if (f.path.ends_with(".json")) {
          EXPECT_TRUE(text::Json::parse(f.text).ok());
        }
        if (f.path.ends_with(".yaml")) {
          const auto documents = parse_documents(f.text, f.path);
          EXPECT_TRUE(documents.ok()) << documents.error().message;
        }
      }
    }
  }
}

TEST(ConfigWrite, EverySourceIsInTheLedger) {
  std::ifstream file(paths::repository("skill/data/sources.json"));
  std::stringstream text;
  text << file.rdbuf();
  const auto ledger = text::Json::parse(text.str());
  ASSERT_TRUE(ledger.ok());
  std::set<std::string> ids{"plan", "hypothesis"};
  for (const text::Json& s : ledger->items()) ids.insert(s.find("id")->as_string());
  static const std::regex kSource("\\[([a-z][a-z0-9-]+)\\]");
  PlanFile plan = some_plan();
  plan.speculative_tokens = 3;
  size_t found = 0;
  for (const std::string& target : config_targets()) {
    const WrittenConfig w = written(plan, {.target = target, .environment = "prod"});
    for (const WrittenFile& f : w.files) {
      for (auto it = std::sregex_iterator(f.text.begin(), f.text.end(), kSource);
           it != std::sregex_iterator(); ++it, ++found)
        EXPECT_EQ(ids.count((*it)[1]), 1U) << f.path << " cites " << (*it)[1];
    }
  }
  EXPECT_GT(found, 200U);
}

TEST(ConfigWrite, LinesCarryThePlansArithmetic) {
  const std::string text =
      file_of(written(some_plan(), {.target = "vllm", .environment = "prod"}), "serve.sh");
  EXPECT_THAT(text, HasSubstr("exec vllm serve \\\n  meta-llama/Llama-3.1-70B"));
  EXPECT_THAT(text, HasSubstr("--tensor-parallel-size 4"));
  EXPECT_THAT(text, HasSubstr("--max-num-queued-reqs 148"));  // 128 run, 20 wait
  EXPECT_THAT(text, HasSubstr("128 run and 20 wait"));
  EXPECT_THAT(text, HasSubstr("--quantization fp8"));  // the published checkpoint has 16 bits
  EXPECT_THAT(text, HasSubstr("less 17.6 of weights"));
  EXPECT_THAT(text, Not(HasSubstr("--pipeline-parallel-size")));  // its default
  const std::string sglang =
      file_of(written(some_plan(), {.target = "sglang", .environment = "prod"}), "serve.sh");
  EXPECT_THAT(sglang, HasSubstr("--max-queued-requests 20"));     // waiting ones alone
  EXPECT_THAT(sglang, HasSubstr("--mem-fraction-static 0.875"));  // (17.6 + 52.4) / 80
  const std::string trtllm =
      file_of(written(some_plan(), {.target = "trtllm", .environment = "prod"}), "serve.sh");
  EXPECT_THAT(trtllm, HasSubstr("--free_gpu_memory_fraction 0.840"));  // 52.4 / (80 - 17.6)
  EXPECT_THAT(trtllm, HasSubstr("--max_batch_size 128"));
  EXPECT_THAT(trtllm, Not(HasSubstr("--moe_expert_parallel_size")));
  const std::string llama =
      file_of(written(some_plan(), {.target = "llamacpp", .environment = "prod"}), "serve.sh");
  EXPECT_THAT(llama, HasSubstr("--model models/llama-3.1-70b-q8_0.gguf"));
  EXPECT_THAT(llama, HasSubstr("--ctx-size 1279000"));
  EXPECT_THAT(llama, HasSubstr("--cache-type-k q8_0"));
}

TEST(ConfigWrite, AnOlderVersionLeavesOutWhatItHasNotGot) {
  const WrittenConfig w =
      written(some_plan(), {.target = "vllm", .environment = "prod", .engine_version = "0.22.0"});
  EXPECT_THAT(file_of(w, "serve.sh"), Not(HasSubstr("max-num-queued")));
  EXPECT_THAT(w.left_out, Contains(HasSubstr("--max-num-queued-reqs")));
  EXPECT_THAT(w.left_out, Contains(HasSubstr("--sse-keep-alive-interval")));
}

TEST(ConfigWrite, EnvironmentsDifferWhereTheyShould) {
  const auto all = write_environments(some_plan(), {.target = "kubernetes"});
  ASSERT_TRUE(all.ok()) << all.error().message;
  const auto has = [](const WrittenConfig& w, std::string_view file) {
    return std::any_of(w.files.begin(), w.files.end(),
                       [&](const WrittenFile& f) { return f.path.ends_with(file); });
  };
  const WrittenConfig &dev = (*all)[0], &stage = (*all)[1], &prod = (*all)[2];
  EXPECT_FALSE(has(dev, "poddisruptionbudget.yaml"));
  EXPECT_TRUE(has(stage, "poddisruptionbudget.yaml"));
  EXPECT_FALSE(has(stage, "scaledobject.yaml"));
  EXPECT_TRUE(has(prod, "prod/kubernetes/scaledobject.yaml"));
  EXPECT_THAT(file_of(prod, "scaledobject.yaml"), HasSubstr("maxReplicaCount: 9"));
  EXPECT_THAT(file_of(prod, "scaledobject.yaml"), HasSubstr("sum(vllm:num_requests_waiting{"));
  // The autoscaler says how many, so the overlay takes the number out.
  EXPECT_THAT(file_of(prod, "patch-deployment.yaml"), HasSubstr("replicas: null"));
  EXPECT_THAT(file_of(stage, "patch-deployment.yaml"), HasSubstr("replicas: 2"));
  EXPECT_THAT(file_of(dev, "patch-deployment.yaml"), HasSubstr("--max-num-seqs=16"));
  PlanFile fixed = some_plan();
  fixed.autoscaling.reset();
  const WrittenConfig w = written(fixed, {.target = "kubernetes", .environment = "prod"});
  EXPECT_THAT(file_of(w, "rendered.yaml"), HasSubstr("replicas: 6"));
  EXPECT_FALSE(has(w, "scaledobject.yaml"));
}

TEST(ConfigWrite, AReplicaOverSeveralMachinesIsALeaderWorkerSet) {
  PlanFile plan = some_plan();
  plan.tensor_parallel = 8;
  plan.pipeline_parallel = 2;
  for (const char* engine : {"vllm", "sglang"}) {
    const WrittenConfig w =
        written(plan, {.target = "kubernetes", .environment = "prod", .engine = engine});
    const std::string text = file_of(w, "rendered.yaml");
    EXPECT_THAT(text, HasSubstr("kind: LeaderWorkerSet"));
    EXPECT_THAT(text, HasSubstr("size: 2"));
    EXPECT_THAT(text, HasSubstr("$(LWS_LEADER_ADDRESS)"));
    LintOptions o = lint_options(engine, w.version);
    o.hardware = {};
    for (const std::string& f : rules_found(text, "rendered.yaml", o, false))
      ADD_FAILURE() << engine << " " << f;
  }
  const auto old = write_config(
      plan, {.target = "kubernetes", .environment = "prod", .engine_version = "0.11.0"});
  ASSERT_FALSE(old.ok());
  EXPECT_THAT(old.error().message, HasSubstr("cannot span 2 machines"));
}

TEST(ConfigWrite, PrefillAndDecodeApart) {
  PlanFile plan = some_plan();
  plan.disaggregation = PlanDisaggregation{2, 3};
  const WrittenConfig d = written(plan, {.target = "dynamo", .environment = "prod"});
  EXPECT_THAT(file_of(d, "prefill.sh"), HasSubstr("--disaggregation-mode prefill"));
  EXPECT_THAT(d.notes, Contains(HasSubstr("4 of prod/dynamo/decode.sh")));
  const std::string graph = file_of(d, "graph.yaml");
  EXPECT_THAT(graph, HasSubstr("replicas: 4"));
  EXPECT_THAT(graph, HasSubstr("- --disaggregation-mode=prefill"));
  EXPECT_THAT(graph, HasSubstr("vllm-runtime:1.6.1"));
  const auto without = write_config(plan, {.target = "llm-d", .environment = "prod"});
  ASSERT_FALSE(without.ok());
  EXPECT_THAT(without.error().message, HasSubstr("--proxy-image"));
  const WrittenConfig l = written(
      plan,
      {.target = "llm-d", .environment = "prod", .proxy_image = "ghcr.io/llm-d/sidecar:v0.5.0"});
  EXPECT_THAT(file_of(l, "prod/llm-d/values.yaml"), HasSubstr("replicas: 3"));
  EXPECT_THAT(file_of(l, "picker.yaml"), HasSubstr("disagg-profile-handler"));
}

TEST(ConfigWrite, PickerAndWorkersHoldAgainstTheirSnapshots) {
  const auto picker = engine_snapshot("llm-d-epp");
  ASSERT_TRUE(picker.ok());
  const EngineOption* types = picker->find_key("plugins[].type");
  ASSERT_NE(types, nullptr);
  PlanFile plan = some_plan();
  plan.disaggregation = PlanDisaggregation{1, 1};
  const auto tree = config::parse_yaml(picker_config(plan).dump(), "picker.yaml");
  ASSERT_TRUE(tree.ok());
  for (const config::Node& p : tree->find("plugins")->items) {
    EXPECT_THAT(types->choices, Contains(p.find("type")->text));
  }
  const EngineSnapshot dynamo = *engine_snapshot("dynamo");
  const std::string script =
      file_of(written(plan, {.target = "dynamo", .environment = "prod"}), "decode.sh");
  const EngineSnapshot vllm = *engine_snapshot("vllm");
  static const std::regex kFlag("\n  (--[a-z-]+)");
  size_t flags = 0;
  for (auto it = std::sregex_iterator(script.begin(), script.end(), kFlag);
       it != std::sregex_iterator(); ++it, ++flags) {
    const std::string flag = (*it)[1];
    EXPECT_TRUE(dynamo.find_flag(flag).option != nullptr || vllm.find_flag(flag).option != nullptr)
        << flag;
  }
  EXPECT_GT(flags, 6U);
}

TEST(ConfigWrite, ProxiesPassStreamsAndBoundQueues) {
  const WrittenConfig n = written(some_plan(), {.target = "nginx", .environment = "prod"});
  const std::string nginx = file_of(n, "nginx.conf");
  for (const char* line :
       {"proxy_buffering off;", "least_conn;", "max_conns=148", "client_max_body_size 1m;",
        "proxy_read_timeout 82s;", "proxy_next_upstream error http_503 non_idempotent;",
        "worker_processes auto;", "worker_connections 2288;", "0.12 MiB, rounded up"})
    EXPECT_THAT(nginx, HasSubstr(line));  // 2 x (6 x 148 + 256)
  const WrittenConfig h = written(
      some_plan(), {.target = "haproxy", .environment = "prod", .backends = {"a:1", "b:2"}});
  const std::string haproxy = file_of(h, "haproxy.cfg");
  for (const char* line : {"balance leastconn", "timeout queue 2s", "server replica1 b:2",
                           "http-check send meth GET uri /health", "maxconn 148", "maxconn 552"})
    EXPECT_THAT(haproxy, HasSubstr(line));
}

// But for the servers after the first, and what only opens a block.
TEST(ConfigWrite, EveryDirectiveOfAProxyHasItsReason) {
  for (const auto& [target, file] :
       {std::pair("nginx", "nginx.conf"), {"haproxy", "haproxy.cfg"}}) {
    std::istringstream text(
        file_of(written(some_plan(), {.target = target, .environment = "prod"}), file));
    std::string line, before;
    size_t directives = 0;
    while (std::getline(text, line)) {
      const size_t start = line.find_first_not_of(' ');
      const bool opens =
          start == std::string::npos || line.ends_with('{') || line[start] == '}' || start == 0;
      if (!opens && line[start] != '#') {
        ++directives;
        const bool more = before.find(" server ") != std::string::npos;
        EXPECT_TRUE(more || before.find_first_not_of(' ') == before.find('#')) << line;
      }
      before = line;
    }
    EXPECT_GT(directives, 20U) << target;
  }
}

TEST(ConfigWrite, MetricsAreTheEnginesOwn) {
  for (const char* engine : {"vllm", "sglang", "tensorrt-llm", "llama.cpp", "weir"}) {
    const WrittenConfig w =
        written(some_plan(), {.target = "prometheus", .environment = "prod", .engine = engine});
    const std::string rules = file_of(w, "rules.yaml");
    EXPECT_THAT(rules, HasSubstr("LlmQueueLong")) << engine;
    const bool has_ttft = engine != std::string("llama.cpp");
    EXPECT_EQ(rules.find("LlmFirstTokenSlow") != std::string::npos, has_ttft) << engine;
    const auto board = text::Json::parse(file_of(
        written(some_plan(), {.target = "grafana", .environment = "prod", .engine = engine}),
        "dashboard.json"));
    ASSERT_TRUE(board.ok());
    EXPECT_GE(board->find("panels")->size(), 4U);
  }
}

TEST(ConfigWrite, WhatCannotBeWrittenSaysWhy) {
  const auto error = [](const PlanFile& plan, const WriteRequest& r) {
    const auto w = write_config(plan, r);
    return w.ok() ? std::string("written") : w.error().message;
  };
  const PlanFile plan = some_plan();
  EXPECT_THAT(error(plan, {.target = "vlm", .environment = "dev"}), HasSubstr("nearest is vllm"));
  EXPECT_THAT(error(plan, {.target = "vllm", .environment = "prd"}), HasSubstr("nearest is prod"));
  EXPECT_THAT(error(plan, {.target = "vllm", .environment = "base"}), HasSubstr("dev, stage or"));
  EXPECT_THAT(error(plan, {.target = "vllm", .environment = "dev", .engine_version = "0.30.0"}),
              HasSubstr("there are 0.11.0, 0.22.0, 0.33.0"));
  EXPECT_THAT(error(plan, {.target = "kubernetes", .environment = "dev", .engine = "vlm"}),
              HasSubstr("nearest is vllm"));
  EXPECT_THAT(error(plan, {.target = "kubernetes", .environment = "dev", .image = "a/vllm"}),
              HasSubstr("version or digest"));
  EXPECT_THAT(error(plan, {.target = "kubernetes", .environment = "dev", .image = "a:latest"}),
              HasSubstr("version or digest"));
  EXPECT_THAT(error(plan, {.target = "kubernetes", .environment = "dev", .engine = "trtllm"}),
              HasSubstr("--image"));
  EXPECT_THAT(error(plan, {.target = "nginx", .environment = "dev", .backends = {"a;b:1"}}),
              HasSubstr("HOST:PORT"));
  EXPECT_THAT(error(plan, {.target = "kubernetes", .environment = "prod", .regions = {"../x"}}),
              HasSubstr("--regions"));
  PlanFile vast = plan;
  vast.max_queued = INT64_MAX;
  EXPECT_THAT(error(vast, {.target = "nginx", .environment = "dev"}), HasSubstr("max_queued"));
  vast = plan;
  vast.low->total_ms_p99 = 1e300;
  EXPECT_THAT(error(vast, {.target = "vllm", .environment = "dev"}), HasSubstr("total_ms_p99"));
  PlanFile large = plan;
  large.memory.fits = false;
  PlanFile never = plan;
  never.replicas_low = never.replicas_high = 0;
  for (const std::string& target : config_targets()) {
    EXPECT_THAT(error(large, {.target = target, .environment = "dev"}), HasSubstr("does not fit"));
    EXPECT_THAT(error(never, {.target = target, .environment = "dev"}),
                HasSubstr("no number of replicas"));
  }
}

TEST(LineSet, FollowsRenamesDropsDefaultsAndRefusesValues) {
  const EngineSnapshot sglang = *engine_snapshot("sglang", "0.5.23");
  LineSet renamed(sglang);
  renamed.set("--stream-output", "true", "why", "plan");
  renamed.set("--cuda-graph-max-bs", "64", "why", "plan");
  renamed.set("--no-such-flag", "1", "why", "plan");
  renamed.set("--node-rank", "0", "its default", "plan");
  renamed.set("--disable-radix-cache", "false", "its default", "plan");
  ASSERT_TRUE(renamed.status().ok());
  const auto lines = renamed.take_lines();
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0].key, "--incremental-streaming-output");
  EXPECT_EQ(lines[1].key, "--cuda-graph-max-bs-decode");
  EXPECT_THAT(renamed.take_left_out(), Contains(HasSubstr("--no-such-flag")));

  LineSet refused(sglang);
  refused.set("--schedule-policy", "lifo", "why", "plan");
  ASSERT_FALSE(refused.status().ok());
  EXPECT_THAT(refused.status().error().message, HasSubstr("must be one of"));
  LineSet spelled(sglang);
  spelled.fact({"kv_dtype", {"nvfp4", "fp4_e2m1"}, "why", "plan"});
  spelled.fact({"prefix_cache", {"false"}, "why", "plan"});
  const auto facts = spelled.take_lines();
  ASSERT_EQ(facts.size(), 2U);
  EXPECT_EQ(facts[0].value, "nvfp4");
  EXPECT_EQ(facts[1].key, "--disable-radix-cache");
}

TEST(YamlText, DifferencesMergeNamedItemsAndTakeKeysOut) {
  using Y = YamlText;
  const auto item = [](const char* name, int v) {
    return Y::map({{"name", Y::text(name)}, {"v", Y::number(v)}});
  };
  const Y a = Y::map({{"gone", Y::number(1)}, {"l", Y::list({item("a", 1), item("b", 2)})}});
  const Y b = Y::map({{"l", Y::list({item("a", 1), item("b", 3)})}});
  EXPECT_EQ(yaml_difference(a, b, true)->dump(), "l:\n  - name: b\n    v: 3\ngone: null\n");
  EXPECT_EQ(yaml_difference(a, b, false)->dump(),
            "l:\n  - name: a\n    v: 1\n  - name: b\n    v: 3\ngone: null\n");
  EXPECT_FALSE(yaml_difference(a, a, true));
  EXPECT_EQ(Y::map({{"k", Y::text("8").why("why it is so")}, {"e", Y::text("a: b")}}).dump(),
            "# why it is so\nk: \"8\"\ne: \"a: b\"\n");
}

}  // namespace
}  // namespace weir::ops
