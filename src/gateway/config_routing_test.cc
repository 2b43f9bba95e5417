// Rules, cascades, routers and shadows of gateway.yaml: what is accepted, and what each mistake is
// called.
#include "gateway/config_routing.h"

#include <gtest/gtest.h>

#include "gateway/config.h"
#include "os/file.h"
#include "os/temp_dir.h"

namespace weir::gateway {
namespace {

constexpr std::string_view kGood = R"(upstreams:
  s: {endpoints: ["http://127.0.0.1:1"]}
  l: {engine: anthropic, endpoints: ["http://127.0.0.1:2"]}
  t: {endpoints: ["http://127.0.0.1:3"]}
models:
  small: {targets: [{upstream: s}]}
  large:
    targets: [{upstream: l, model: big}]
    shadow: {model: trial, sample: 0.25, max_in_flight: 3}
  trial: {targets: [{upstream: t}]}
  smart:
    rules: [{name: own, min_input_tokens: 1000, to: large}]
    cascade:
      max_cost: "0.01"
      max_latency_ms: 9000
      steps:
        - {model: small, check: {regex: "^a", schema: '{"type":"object"}', logprob: {mean: -1, least: -5}, http: {url: "http://127.0.0.1:9/check"}}}
        - {model: small, check: {judge: {model: large, prompt: "{question} {answer}", accept: "yes"}}}
        - {model: large}
rules:
  - name: night
    headers: {x-a: "*", x-b: ~, x-c: "v*", x-d: "*v", x-e: v}
    tenants: [acme]
    routes: ["/v1/*"]
    models: [small]
    max_input_tokens: 50
    time: {days: [sat, sun], from: "22:00", to: "06:30", utc_offset_minutes: 60}
    to: smart
prices: [{model: small, input: "1", output: "2", date: 2026-11-30}, {model: big, input: "1", output: "2", date: 2026-11-30}]
)";

Result<GatewayConfig> parse(std::string_view text) {
  auto node = config::parse_yaml(text, "g.yaml");
  if (!node.ok()) return node.error();
  return parse_gateway_config(*node, "g.yaml", {});
}

// kGood with a piece of it replaced.
std::string with(std::string_view from, std::string_view to) {
  std::string text(kGood);
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(RoutingConfig, IsRead) {
  const auto config = parse(kGood);
  ASSERT_TRUE(config.ok()) << config.error().message;
  ASSERT_EQ(config->rules.size(), 2U);
  EXPECT_EQ(config->rules[0].name, "own");
  EXPECT_EQ(config->rules[0].models, std::vector<std::string>{"smart"});
  EXPECT_EQ(config->rules[0].min_input_tokens, 1000);
  const Rule& night = config->rules[1];
  using Kind = HeaderCondition::Kind;
  const Kind kinds[] = {Kind::kPresent, Kind::kAbsent, Kind::kPrefix, Kind::kSuffix, Kind::kExact};
  ASSERT_EQ(night.headers.size(), 5U);
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(night.headers[i].kind, kinds[i]) << i;
  EXPECT_EQ(night.headers[3].value, "v");
  EXPECT_EQ(night.target, "smart");
  EXPECT_EQ(night.time->days, 0x60);
  EXPECT_EQ(night.time->start_minute, 22 * 60);
  EXPECT_EQ(night.time->end_minute, 6 * 60 + 30);
  EXPECT_EQ(night.time->offset_minutes, 60);
  const CascadeConfig& cascade = *config->models[3].cascade;
  EXPECT_EQ(cascade.max_cost_nanos, 10'000'000);
  EXPECT_EQ(cascade.max_latency_ms, 9000);
  ASSERT_EQ(cascade.steps.size(), 3U);
  EXPECT_EQ(cascade.steps[0].check.mean_logprob, -1);
  EXPECT_EQ(cascade.steps[0].check.http->to.port, 9);
  EXPECT_EQ(cascade.steps[1].check.judge->model, "large");
  EXPECT_TRUE(cascade.steps[2].check.empty());
  EXPECT_EQ(config->models[1].shadow->model, "trial");
  const std::string table = describe(*config);
  for (const char* line : {"step 1  small, taken if it passes: regex, schema, logprob, http",
                           "shadow trial: 25 % of the requests", "rule night: small -> smart",
                           "at most 0.01 a request", "no further step after 9000 ms"})
    EXPECT_NE(table.find(line), std::string::npos) << line << '\n' << table;
}

TEST(RoutingConfig, ARouterByDifficulty) {
  const os::TempDir dir;
  const std::string path = dir.path() + "/d.json";
  DifficultyModel model;
  model.scale.fill(1);
  ASSERT_TRUE(os::write_file_atomic(path, model.to_json()).ok());
  const std::string router = "  auto: {difficulty: {model_file: " + path +
                             ", threshold: 0.7, small: small, large: smart}}\n";
  const auto config = parse(with("  smart:\n", router + "  smart:\n"));
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->models[3].difficulty->threshold, 0.7);
  const auto error = [&](std::string_view from, std::string_view to) {
    std::string text = router;
    text.replace(text.find(from), from.size(), to);
    const auto bad = parse(with("  smart:\n", text + "  smart:\n"));
    return bad.ok() ? "" : bad.error().message;
  };
  EXPECT_EQ(error("large: smart", "large: nope").substr(0, 10), "g.yaml:11:");
  EXPECT_NE(error("large: smart", "large: auto").find("a router itself"), std::string::npos);
  EXPECT_NE(error(path, path + "x").find("model_file"), std::string::npos);
  ASSERT_TRUE(os::write_file_atomic(path, std::string_view("{}")).ok());
  EXPECT_NE(error("", "").find("weir route train"), std::string::npos);
}

TEST(RoutingConfig, MistakesAreNamedWithTheirLine) {
  const std::tuple<std::string, int, std::string> rows[] = {
      {with("to: smart", "to: smrt"), 28, "the nearest is \"smart\""},
      {with("    to: smart", "    too: smart"), 0, "unknown key \"too\""},
      {with("name: night", "name: own"), 21, "another rule has the same name"},
      {with("name: night", "name: \"a b\""), 21, "the name of a rule"},
      {with("from: \"22:00\"", "from: \"22:60\""), 27, "HH:MM"},
      {with("from: \"22:00\"", "from: \"24:00\""), 21, "no time of the day"},
      {with("[sat, sun]", "[sat, soon]"), 27, "\"soon\" is none of mon"},
      {with("max_input_tokens: 50", "min_input_tokens: -1"), 26, "min_input_tokens"},
      {with("[\"/v1/*\"]", "[\"/v1/*/x\"]"), 21, "no pattern"},
      {with("x-b: ~, ", "x-b: [a], "), 22, "headers.x-b must be a text"},
      {with("{name: own, ", "{name: own, models: [large], "), 12, "stands under smart"},
      {with("rules: [{name: own, min_input_tokens: 1000, to: large}]",
            "rules: [{name: all, to: large}, {name: own, to: large}]"),
       12, "no request reaches it"},
      {with("    cascade:\n", "    targets: [{upstream: s}]\n    cascade:\n"), 11,
       "exclude each other"},
      {with("\"0.01\"", "\"-1\""), 14, "max_cost"},
      {with("{model: big, input", "{model: bigger, input"), 18, "max_cost needs a price for big"},
      {with("- {model: large}\n", "- {model: large, check: {regex: a}}\n"), 19,
       "the last step's answer"},
      {with(", check: {judge: {model: large, prompt: \"{question} {answer}\", accept: \"yes\"}}",
            ""),
       18, "needs a check"},
      {with("regex: \"^a\"", "regex: \"(\""), 17, "regex: the pattern"},
      {with("{\"type\":\"object\"}", "{\"type\":\"thing\"}"), 17, "must be one of"},
      {with("{\"type\":\"object\"}", "{"), 17, "schema: "},
      {with("schema: '{\"type\":\"object\"}'", "schema_file: /nope"), 17, "schema_file: "},
      {with("model: small, check: {regex", "model: large, check: {regex"), 17,
       "no log probabilities"},
      {with("http://127.0.0.1:9/check", "https://127.0.0.1:9/check"), 17, "http.url"},
      {with("{question} {answer}", "{question}"), 18, "must hold {answer}"},
      {with("accept: \"yes\"", "accept: \"\""), 18, "judge.accept"},
      {with("judge: {model: large", "judge: {model: smart"), 18, "has no targets"},
      {with("judge: {model: large, prompt: \"{question} {answer}\", accept: \"yes\"}", ""), 18,
       "check needs regex"},
      {with("  small: {targets: [{upstream: s}]}", "  small: {targets: []}"), 6, "targets must be"},
      {with("model: trial, sample: 0.25", "model: large, sample: 0.25"), 9,
       "answers users of large as well"},
      {with("sample: 0.25", "sample: 2"), 9, "sample"},
      {with("shadow: {model: trial", "shadow: {model: smart"), 9, "has no targets"}};
  for (const auto& [text, line, what] : rows) {
    const auto config = parse(text);
    ASSERT_FALSE(config.ok()) << what;
    const std::string& message = config.error().message;
    EXPECT_NE(message.find(what), std::string::npos) << message << " instead of " << what;
    const std::string where = line == 0 ? "g.yaml:" : "g.yaml:" + std::to_string(line) + ":";
    EXPECT_EQ(message.substr(0, where.size()), where) << message;
  }
}

TEST(RoutingConfig, AFileOfAStepIsNamedByModelAndStep) {
  const os::TempDir dir;
  const std::string schema = dir.file("s.json");
  ASSERT_TRUE(os::write_file_atomic(schema, std::string_view(R"({"type":"object"})")).ok());
  const auto config =
      parse(with(R"(schema: '{"type":"object"}')", "schema_file: \"" + schema + "\""));
  ASSERT_TRUE(config.ok()) << config.error().message;
  ASSERT_EQ(config->files.size(), 1U);
  EXPECT_EQ(config->files[0].key, "models.smart.cascade.steps[0].check.schema_file");
  EXPECT_EQ(config->files[0].path, schema);
}

TEST(RoutingConfig, CutAtEveryByteGivesAConfigurationOrAnError) {
  for (size_t cut = 0; cut < kGood.size(); ++cut) (void)parse(kGood.substr(0, cut));
}

}  // namespace
}  // namespace weir::gateway
