// What is written is the plan: its fleet, its bits, its devices; or it is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "ops/config_write/write.h"
#include "ops/config_write/write_testing.h"
#include "ops/deploy/read.h"

namespace weir::ops {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

// The same on every writer, held against the plan: replicas of each kind, devices, requests at
// once.
TEST(PlanKept, FleetsAreThePlans) {
  PlanFile plan = some_plan();
  plan.replicas_high = 17;
  plan.autoscaling.reset();
  plan.disaggregation = PlanDisaggregation{14, 2};
  plan.spare = 1;
  const auto at = [](const std::string& text, std::string_view path) {
    const auto documents = parse_documents(text, "f");
    EXPECT_TRUE(documents.ok());
    std::vector<std::string> out;
    for (const config::Node& d : *documents) {
      if (std::string v = text_at(d, path); !v.empty()) out.push_back(v);
    }
    return out;
  };
  const std::map<std::string, std::pair<int, int>> kSplit{
      {"dev", {1, 1}}, {"stage", {7, 1}}, {"prod", {15, 3}}};
  for (const auto& entry : kSplit) {
    // Lambdas of clang 14 cannot capture a structured binding.
    const std::string& environment = entry.first;
    const std::pair<int, int>& split = entry.second;
    SCOPED_TRACE(environment);
    const int fleet = environment == "prod" ? 17 : environment == "stage" ? 2 : 1;
    const auto config = [&](const char* target) {
      return written(plan, {.target = target,
                            .environment = environment,
                            .proxy_image = "ghcr.io/llm-d/sidecar:v0.5.0"});
    };
    const std::string graph = file_of(config("dynamo"), "graph.yaml");
    const auto tree = parse_documents(graph, "graph.yaml");
    ASSERT_TRUE(tree.ok());
    const auto& components = at_path(tree->at(0), "spec.components")->items;
    ASSERT_EQ(components.size(), 3U);
    EXPECT_EQ(text_at(components[1], "replicas"), fmt::format("{}", split.first));
    EXPECT_EQ(text_at(components[2], "replicas"), fmt::format("{}", split.second));
    const WrittenConfig l = config("llm-d");
    const std::string own = file_of(l, environment + "/llm-d/values.yaml");
    const std::string base = file_of(l, "base/llm-d/values.yaml");
    const auto value = [&](std::string_view path) {
      const auto over = at(own, path);
      const auto under = at(base, path);
      return over.empty() ? under : over;
    };
    EXPECT_EQ(value("prefill.replicas").at(0), fmt::format("{}", split.first));
    EXPECT_EQ(value("decode.replicas").at(0), fmt::format("{}", split.second));
    EXPECT_EQ(value("decode.parallelism.tensor").at(0), "4");
    EXPECT_THAT(at(file_of(config("kubernetes"), "rendered.yaml"), "spec.replicas"),
                Contains(fmt::format("{}", fleet)));
    EXPECT_THAT(file_of(config("kubernetes"), "rendered.yaml"), HasSubstr("nvidia.com/gpu: 4"));
    for (const char* target : {"vllm", "sglang", "trtllm", "llamacpp", "weir"}) {
      const WrittenConfig w = config(target);
      if (fleet > 1) {
        EXPECT_THAT(w.notes, Contains(HasSubstr(fmt::format("{} replicas, each", fleet))))
            << target;
      }
      const std::string text = w.files.back().text;
      EXPECT_THAT(text, HasSubstr(environment == "dev" ? "16" : "128")) << target;
    }
    const auto count = [](const std::string& text, std::string_view part) {
      size_t n = 0;
      for (size_t i = text.find(part); i != std::string::npos; i = text.find(part, i + 1)) ++n;
      return static_cast<int>(n);
    };
    EXPECT_EQ(count(file_of(config("nginx"), "nginx.conf"), " max_conns="), fleet);
    EXPECT_EQ(count(file_of(config("haproxy"), "haproxy.cfg"), "server replica"), fleet);
    EXPECT_EQ(count(file_of(config("prometheus"), "prometheus.yaml"), "127.0.0.1:80"), fleet);
  }
}

TEST(PlanKept, ProdIsNotWrittenFromTheOptimisticEndUnasked) {
  PlanFile plan = some_plan();
  plan.replicas_high = 0;
  plan.low.reset();
  for (const std::string& target : config_targets()) {
    const auto refused = write_config(plan, {.target = target, .environment = "prod"});
    ASSERT_FALSE(refused.ok()) << target;
    EXPECT_THAT(refused.error().message, HasSubstr("--optimistic")) << target;
  }
  const WrittenConfig w =
      written(plan, {.target = "vllm", .environment = "prod", .optimistic = true});
  EXPECT_THAT(w.notes, Contains(HasSubstr("optimistic end, 4 (4 to none")));
  EXPECT_THAT(written(plan, {.target = "vllm", .environment = "stage"}).notes,
              Contains(HasSubstr("optimistic end")));
  EXPECT_THAT(written(some_plan(), {.target = "vllm", .environment = "prod"}).notes,
              Contains(HasSubstr("pessimistic end, 6 (4 to 6)")));
}

TEST(PlanKept, FewerBitsThanTheCheckpointNeedACheckpointThatHasThem) {
  PlanFile plan = some_plan();
  plan.bits_per_weight = 4.5;
  plan.precision = "int4";
  for (const char* target : {"vllm", "sglang", "trtllm", "dynamo", "llm-d", "kubernetes"}) {
    const auto refused = write_config(plan, {.target = target, .environment = "prod"});
    ASSERT_FALSE(refused.ok()) << target;
    EXPECT_THAT(refused.error().message,
                HasSubstr("the plan has 4.5 bits a weight, meta-llama/Llama-3.1-70B has 16"))
        << target;
    EXPECT_THAT(refused.error().message, HasSubstr("--model-source")) << target;
    const auto given = write_config(
        plan, {.target = target, .environment = "prod", .model_source = "example/Llama-AWQ"});
    ASSERT_TRUE(given.ok()) << target << given.error().message;
    const std::string text = given->files.front().text + given->files.back().text;
    EXPECT_THAT(text, Not(HasSubstr("--quantization"))) << target;
  }
  const auto eight = write_config(some_plan(), {.target = "trtllm", .environment = "prod"});
  ASSERT_FALSE(eight.ok());
  EXPECT_THAT(eight.error().message, HasSubstr("tensorrt-llm does not quantize"));
  for (const char* target : {"vllm", "sglang"}) {
    EXPECT_THAT(
        file_of(written(some_plan(), {.target = target, .environment = "prod"}), "serve.sh"),
        HasSubstr("--quantization fp8"));
  }
}

TEST(PlanKept, ACheckpointOnDiskSaysItsBits) {
  const std::string folder = testing::TempDir() + "config_write_checkpoint";
  std::filesystem::create_directories(folder);
  std::ofstream(folder + "/config.json")
      << R"({"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_size":64,)"
      << R"("num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,)"
      << R"("intermediate_size":128,"vocab_size":100,"torch_dtype":"bfloat16",)"
      << R"("max_position_embeddings":128})";
  PlanFile plan = some_plan();
  plan.model_source = folder + "/config.json";
  EXPECT_EQ(stored_bits(plan), 16);
  EXPECT_EQ(model_reference(plan), folder);
  plan.model_source = folder;
  EXPECT_EQ(stored_bits(plan), 16);
  plan.model_source = "no/such/repository";
  EXPECT_EQ(stored_bits(plan), 0);
}

TEST(PlanKept, LlamaCppNeedsGgufAndWeirACpu) {
  const auto error = [](const PlanFile& plan, const WriteRequest& r) {
    const auto w = write_config(plan, r);
    return w.ok() ? std::string("written") : w.error().message;
  };
  PlanFile plan = some_plan();
  EXPECT_THAT(error(plan, {.target = "llamacpp", .environment = "dev"}), HasSubstr("loads GGUF"));
  EXPECT_THAT(error(plan, {.target = "kubernetes",
                           .environment = "dev",
                           .engine = "llamacpp",
                           .image = "a/llama:1.2.3"}),
              HasSubstr("--model-source"));
  const auto hub = write_config(
      plan,
      {.target = "llamacpp", .environment = "dev", .model_source = "example/Llama-GGUF:Q8_0"});
  ASSERT_TRUE(hub.ok()) << hub.error().message;
  EXPECT_THAT(file_of(*hub, "serve.sh"), HasSubstr("--hf-repo example/Llama-GGUF:Q8_0"));
  const WriteRequest weir{
      .target = "weir", .environment = "prod", .model_source = "models/llama.gguf"};
  EXPECT_THAT(error(plan, weir), HasSubstr("weir serves on CPUs"));
  plan.accelerator = "this-machine";
  auto w = write_config(plan, weir);
  ASSERT_TRUE(w.ok()) << w.error().message;
  EXPECT_THAT(file_of(*w, "weir.yaml"), HasSubstr("tokens: 1279000"));  // all that there is
  plan.memory.kv_tokens = 9'000'000;
  w = write_config(plan, weir);
  ASSERT_TRUE(w.ok()) << w.error().message;
  EXPECT_THAT(file_of(*w, "weir.yaml"), HasSubstr("tokens: 4194304"));  // 2 x 128 x 16384
  EXPECT_THAT(file_of(*w, "weir.yaml"), HasSubstr("[hypothesis]\n  tokens: 4194304"));
}

TEST(PlanKept, LlmDTakesTheFlagsOfTheVllmThatItPins) {
  const std::string text = file_of(written(some_plan(), {.target = "llm-d", .environment = "prod"}),
                                   "base/llm-d/values.yaml");
  EXPECT_THAT(text, HasSubstr("--max-num-queued-reqs="));
  const auto with = [](const char* image) {
    return file_of(written(some_plan(), {.target = "llm-d", .environment = "prod", .image = image}),
                   "base/llm-d/values.yaml");
  };
  EXPECT_THAT(with("vllm/vllm-openai:v0.22.0"), Not(HasSubstr("--max-num-queued-reqs")));
  EXPECT_THAT(with("ghcr.io/llm-d/llm-d-cuda:v0.5.0"), Not(HasSubstr("--max-num-queued-reqs")));
}

TEST(PlanKept, AlertsCanFireAndTheAutoscalerSeesItsPods) {
  PlanFile plan = some_plan();
  plan.max_queued = 1;
  const std::string rules =
      file_of(written(plan, {.target = "prometheus", .environment = "prod"}), "rules.yaml");
  EXPECT_THAT(rules, HasSubstr("} >= 1 * sum by (job) (up{job="));
  EXPECT_THAT(rules, HasSubstr("< 2 or absent(up{job="));
  EXPECT_THAT(
      file_of(written(some_plan(), {.target = "prometheus", .environment = "prod"}), "rules.yaml"),
      HasSubstr("} >= 10 * sum by (job) (up{job="));
  const WrittenConfig k = written(some_plan(), {.target = "kubernetes", .environment = "prod"});
  const std::string scaler = file_of(k, "scaledobject.yaml");
  EXPECT_THAT(scaler, HasSubstr("ignoreNullValues: \"false\""));
  const auto monitor = config::parse_yaml(file_of(k, "podmonitor.yaml"), "podmonitor.yaml");
  ASSERT_TRUE(monitor.ok());
  const std::string label = text_at(*monitor, "spec.jobLabel");
  const auto documents = parse_documents(file_of(k, "rendered.yaml"), "rendered.yaml");
  ASSERT_TRUE(documents.ok());
  const config::Node* labels = at_path(documents->front(), "spec.template.metadata.labels");
  ASSERT_NE(labels, nullptr);
  ASSERT_NE(labels->find(label), nullptr) << label;
  EXPECT_THAT(scaler, HasSubstr("job=\\\"" + labels->find(label)->text + "\\\""));
}

TEST(PlanKept, RepeatedDirectivesAreComparedAsTheyAre) {
  for (const char* target : {"haproxy", "nginx"}) {
    const auto all = write_environments(some_plan(), {.target = target});
    ASSERT_TRUE(all.ok()) << all.error().message;
    for (const WrittenConfig& w : *all) {
      for (const EnvironmentDifference& d : w.differences) {
        EXPECT_THAT(d.key, Not(HasSubstr("http-request"))) << d.base << " -> " << d.value;
        EXPECT_THAT(d.key, Not(HasSubstr("timeout"))) << d.base << " -> " << d.value;
      }
    }
    EXPECT_FALSE(all->front().differences.empty()) << target;
  }
}

}  // namespace
}  // namespace weir::ops
