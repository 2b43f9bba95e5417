// What weir gateway --check says of a configuration.
#include <gtest/gtest.h>

#include "gateway/config.h"
#include "gateway/config_names.h"
#include "text/json.h"
#include "text/utf8.h"

namespace weir::gateway {
namespace {

constexpr std::string_view kFile = R"(
listen: {port: 8090}
keys_file: keys.yaml
admin: {port: 8091, token_env: T}
ledger: {file: ledger.db, max_age_days: 30}
error_budget: 0.01
priorities: {default: 2, header: x-weir-priority, tenants: {acme: 0}}
redaction: {patterns: ["PROJECT-[0-9]+"]}
cache: {enabled: true, ttl_s: 600, stale_s: 5, semantic: {model: embedder, tenants: [acme]}}
idempotency: {keep_hours: 12, file: once.db}
upstreams:
  pods: {engine: vllm, endpoints: ["http://10.0.0.1:8000"], retry_budget: {ratio: 0.2}}
  hosted: {key_env: T, endpoints: ["https://api.example.com"]}
prices: [{upstream: hosted, model: large, input: "1", output: "4", date: 2026-11-30}]
quotas:
  - {name: budget, tenant: acme, model: dear, metric: money, window: minute, limit: "2.5"}
models:
  chat:
    cache_ttl_s: 60
    max_input_tokens: 4000
    over_budget: compress
    redact: true
    leak_check: block
    slo: {first_byte_ms: 900}
    timeouts: {first_byte_ms: 7000}
    shed: {max_in_flight: 40}
    hedge: {enabled: true}
    targets: [{upstream: pods, model: q, weight: 95, release: r41}, {upstream: pods, model: q2, weight: 5, release: r42}]
  dear: {cache: off, targets: [{upstream: hosted, model: large}]}
  embedder: {targets: [{upstream: pods}]}
)";

Result<GatewayConfig> parse(std::string_view text) {
  WEIR_ASSIGN(const config::Node node, config::parse_yaml(text, "dir/g.yaml"));
  return parse_gateway_config(
      node, "dir/g.yaml", [](const std::string&) { return std::optional<std::string>("hush"); });
}

TEST(GatewayDescribe, SaysReleasesCacheBudgetsQuotasAndPaths) {
  const auto config = parse(kFile);
  ASSERT_TRUE(config.ok()) << config.error().message;
  const std::string said = describe(*config);
  for (const std::string_view line :
       {"paths: /v1/chat/completions, ",
        "admin on 127.0.0.1:8091\n",
        "file keys_file: dir/keys.yaml\n",
        "file ledger.file: dir/ledger.db\n",
        "weight  95  pods (vllm, 1 endpoint)  model q  release r41\n",
        "model q2  release r42\n",
        "  answers are kept: auto, 60 s\n",
        "  prompts of 4000 tokens at most; longer: compress\n",
        "  prompts are redacted\n",
        "  leak check: block\n",
        "  SLO: first byte within 900 ms\n",
        "cache: 600 s, stale 5 s more; ",
        "semantic cache: by embedder, from 0.97 on, for acme\n",
        "idempotency keys: 12 h, in dir/once.db\n",
        "ledger: 30 days, ",
        "  time-outs in ms: connect 2000, first byte 7000, ",
        "  attempts: 3 at most, ",
        "  hedges: after quantile 0.95, 0.02 of the requests",
        "  at once: 40, and 1024 wait for ",
        "pods: 1024 at once to an endpoint at most",
        "health /health; metrics /metrics\n",
        "redaction: what logs are scrubbed of, and 1 pattern of this file\n",
        "priorities: 2 by default, 1 tenants and 0 keys have their own, clients say theirs in "
        "x-weir-",
        "prices: 1 in USD, the oldest of 2026-11-30\n",
        "error budget: 0.01 of the requests\n",
        "retry budget of pods: 0.2 of its requests, ",
        "  budget: 2.5 USD per minute, tenant acme, model dear\n"})
    EXPECT_NE(said.find(line), std::string::npos) << line << "\nis not in\n" << said;
  EXPECT_EQ(said.find("hush"), std::string::npos);
}

TEST(GatewayDescribe, TheSameAsJson) {
  const auto config = parse(kFile);
  ASSERT_TRUE(config.ok()) << config.error().message;
  const std::string said = describe_json(*config, "dir/g.yaml", {"careful"});
  EXPECT_EQ(said.find("hush"), std::string::npos);
  const auto json = text::Json::parse(said);
  ASSERT_TRUE(json.ok()) << said;
  const text::Json& chat = json->find("models")->items()[0];
  EXPECT_EQ(*chat.find("targets")->items()[1].find("release"), text::Json("r42"));
  EXPECT_EQ(*chat.find("max_input_tokens"), text::Json(4000));
  EXPECT_EQ(*chat.find("over_budget"), text::Json("compress"));
  EXPECT_EQ(*chat.find("cache_ttl_s"), text::Json(60));
  EXPECT_EQ(*json->find("models")->items()[1].find("cache"), text::Json("off"));
  EXPECT_EQ(*chat.find("timeouts")->find("first_byte_ms"), text::Json(7000));
  EXPECT_EQ(*chat.find("shed")->find("max_in_flight"), text::Json(40));
  EXPECT_EQ(*chat.find("hedge")->find("enabled"), text::Json(true));
  EXPECT_EQ(*chat.find("retry")->find("max_attempts"), text::Json(3));
  EXPECT_TRUE(json->find("models")->items()[1].find("shed")->is_null());
  EXPECT_EQ(*json->find("upstreams")->items()[0].find("health_path"), text::Json("/health"));
  EXPECT_TRUE(json->find("upstreams")->items()[1].find("health_path")->is_null());
  EXPECT_EQ(*json->find("priorities")->find("tenants")->find("acme"), text::Json(0));
  EXPECT_EQ(*json->find("prices")->items()[0].find("output"), text::Json(4.0));
  EXPECT_EQ(json->find("redaction_patterns")->items()[0], text::Json("PROJECT-[0-9]+"));
  EXPECT_EQ(*json->find("files")->items()[0].find("path"), text::Json("dir/keys.yaml"));
  EXPECT_EQ(*json->find("cache")->find("semantic")->find("model"), text::Json("embedder"));
  EXPECT_EQ(*json->find("ledger")->find("file"), text::Json("dir/ledger.db"));
  EXPECT_EQ(*json->find("ledger")->find("max_age_days"), text::Json(30));
  EXPECT_EQ(*json->find("ledger")->find("max_rows"),
            text::Json(static_cast<int64_t>(config->ledger.max_rows)));
  const text::Json& budget = json->find("quotas")->find("rules")->items()[0];
  EXPECT_EQ(*budget.find("limit"), text::Json(2.5));
  EXPECT_EQ(*budget.find("tenant"), text::Json("acme"));
  EXPECT_EQ(budget.find("key"), nullptr);
  EXPECT_EQ(json->find("warnings")->items().back(), text::Json("careful"));
}

// Names of folders may be any bytes.
TEST(GatewayDescribe, IsJsonInAFolderOfAnyName) {
  const std::string odd = "d\xff/";
  auto config = parse(kFile);
  ASSERT_TRUE(config.ok());
  config->files[0].path = odd + "keys.yaml";
  config->ledger.path = odd + "ledger.db";
  config->answers.idempotency_file = odd + "kept.db";
  config->quotas.memory.path = odd + "quotas.db";
  const std::string said = describe_json(*config, odd + "g.yaml", {odd + "g.yaml:3: careful"});
  EXPECT_TRUE(text::is_valid_utf8(said)) << said;
  EXPECT_TRUE(text::Json::parse(said).ok());
}

TEST(GatewayDescribe, NamesOfValuesAreReadAsTheyAreTold) {
  const auto told = [](const std::string& key, std::string_view name) {
    const auto config = parse(
        "cache: {enabled: true}\nupstreams: {a: {endpoints: [\"http://a\"]}}\n"
        "models: {m: {" +
        key + ": \"" + std::string(name) + "\", targets: [{upstream: a}]}}");
    EXPECT_TRUE(config.ok()) << config.error().message;
    const auto json = text::Json::parse(describe_json(*config, "", {}));
    return json->find("models")->items()[0].find(key)->as_string();
  };
  for (const auto& [key, names] : {std::pair("cache", choices_of<CacheMode>()),
                                   {"leak_check", choices_of<LeakCheck>()},
                                   {"over_budget", choices_of<PromptAction>()}})
    for (const std::string_view name : names) EXPECT_EQ(told(key, name), name);
}

TEST(GatewayDescribe, WhatIsOffIsSaidSo) {
  const auto config =
      parse("upstreams: {a: {endpoints: [\"http://a\"]}}\nmodels: {m: {targets: [{upstream: a}]}}");
  ASSERT_TRUE(config.ok()) << config.error().message;
  const std::string said = describe(*config);
  for (const std::string_view line : {"cache: off\n", "ledger: none\n", "in memory\n"})
    EXPECT_NE(said.find(line), std::string::npos) << line << "\nis not in\n" << said;
  EXPECT_EQ(said.find("quotas"), std::string::npos);
}

}  // namespace
}  // namespace weir::gateway
