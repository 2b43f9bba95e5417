#include "ops/engines/snapshot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ops/engines/catalog.h"

namespace weir::ops {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

EngineSnapshot get(std::string_view engine, std::string_view version = "") {
  auto s = engine_snapshot(engine, version);
  EXPECT_TRUE(s.ok()) << s.error().message;
  return std::move(*s);
}

TEST(EngineCatalog, EverySnapshotInTheProgramIsRead) {
  EXPECT_GE(engine_versions().size(), 12U);
  for (const EngineVersion& v : engine_versions()) {
    const EngineSnapshot s = get(v.engine, v.version);
    EXPECT_EQ(s.engine(), v.engine);
    EXPECT_EQ(s.version(), v.version);
    EXPECT_GT(s.flags().size() + s.keys().size(), 40U) << v.engine;
  }
  EXPECT_THAT(engine_names(), Contains("tensorrt-llm"));
}

TEST(EngineCatalog, TheNewestUnlessAnotherIsNearer) {
  EXPECT_EQ(get("vllm").version(), "0.33.0");
  EXPECT_EQ(get("vllm", "0.22.0").version(), "0.22.0");
  EXPECT_EQ(get("vllm", "v0.27.1").version(), "0.22.0");
  EXPECT_EQ(get("vllm", "0.6.2").version(), "0.11.0");
  EXPECT_EQ(get("sglang", "0.5.12").version(), "0.5.12.post1");
  EXPECT_THAT(engine_snapshot("vlm").error().message, HasSubstr("the nearest is vllm"));
}

TEST(EngineCatalog, VersionsAreNumbersInOrder) {
  EXPECT_LT(compare_versions("0.9.0", "0.11.0"), 0);
  EXPECT_GT(compare_versions("0.5.12.post1", "0.5.12"), 0);
  EXPECT_EQ(compare_versions("v0.33.0", "0.33.0"), 0);
}

TEST(EngineSnapshot, FlagsByNameAliasNegationAndAbbreviation) {
  const EngineSnapshot s = get("vllm");
  EXPECT_EQ(s.find_flag("-tp").option->name, "--tensor-parallel-size");
  EXPECT_EQ(s.find_flag("--max_model_len").option->name, "--max-model-len");
  EXPECT_TRUE(s.find_flag("--no-enable-prefix-caching").negated);
  EXPECT_FALSE(s.find_flag("--enable-prefix-caching").negated);
  EXPECT_TRUE(s.find_flag("--gpu-memory-util").abbreviated);
  EXPECT_EQ(s.find_flag("--max-num").option, nullptr);  // of several
  EXPECT_EQ(s.find_flag("--speculative-config.method").json_key, "method");
  EXPECT_EQ(s.find_flag("--swap-space").option, nullptr);
  EXPECT_EQ(s.nearest_flag("--max-model-length"), "--max-model-len");
  const EngineSnapshot llama = get("llama.cpp");
  EXPECT_TRUE(llama.find_flag("--no-webui").negated);
  EXPECT_EQ(llama.find_flag("-ngl").option->name, "--gpu-layers");
  EXPECT_EQ(llama.find_flag("--paralle").option, nullptr);  // not argparse
}

TEST(EngineSnapshot, KeysOfFiles) {
  const EngineSnapshot s = get("tensorrt-llm");
  ASSERT_NE(s.find_key("kv_cache_config.free_gpu_memory_fraction"), nullptr);
  EXPECT_EQ(*s.find_key("kv_cache_config.free_gpu_memory_fraction")->fallback, "0.9");
  EXPECT_EQ(s.find_key("kv_cache_config.fraction"), nullptr);
}

TEST(EngineSnapshot, ValuesAreHeldAgainstTypeRangeAndChoices) {
  const EngineSnapshot s = get("vllm");
  const auto problem = [&](std::string_view flag, std::string_view value) {
    return value_problem(*s.find_flag(flag).option, value, true);
  };
  EXPECT_EQ(problem("-tp", "8"), "");
  EXPECT_THAT(problem("-tp", "0"), HasSubstr("an integer of at least 1"));
  EXPECT_THAT(problem("-tp", "two"), HasSubstr("an integer"));
  EXPECT_EQ(problem("--max-model-len", "32k"), "");
  EXPECT_THAT(problem("--gpu-memory-utilization", "1.5"), HasSubstr("at most 1"));
  EXPECT_THAT(problem("--gpu-memory-utilization", "nan"), HasSubstr("a number"));
  EXPECT_THAT(problem("--prefix-caching-hash-algo", "sha265"), HasSubstr("nearest to sha265 is"));
  EXPECT_EQ(problem("--kv-cache-dtype", "anything"), "");  // only known values
  EXPECT_THAT(problem("--speculative-config", "{\"methd\": \"ngram\"}"), HasSubstr("is method"));
  EXPECT_THAT(problem("--speculative-config", "{'method'"), HasSubstr("must be JSON"));
  EXPECT_EQ(human_integer("1.5k"), 1500);
  EXPECT_EQ(human_integer("32K"), 32768);
  EXPECT_EQ(human_integer("k"), std::nullopt);
}

TEST(EngineSnapshot, BadFilesSayWhere) {
  const auto error = [](std::string_view text) {
    const auto s = EngineSnapshot::parse(text, "x.yaml");
    return s.ok() ? "" : s.error().message;
  };
  EXPECT_THAT(error("engine: x\nversion: 1\nflags:\n  - {name: --a, type: number}\n"),
              HasSubstr("x.yaml:4"));
  EXPECT_THAT(error("flags: []\n"), HasSubstr("engine and version"));
}

}  // namespace
}  // namespace weir::ops
