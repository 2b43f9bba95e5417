// quotas, state and estimates of gateway.yaml: what is accepted, and what each mistake is called.
#include "gateway/config_quotas.h"

#include <gtest/gtest.h>

namespace weir::gateway {
namespace {

constexpr std::string_view kGood = R"(keys_file: keys.yaml
upstreams:
  pods: {endpoints: ["http://127.0.0.1:8080"]}
  hosted: {endpoints: ["http://127.0.0.1:8081"]}
models:
  chat: {targets: [{upstream: pods, model: small}, {upstream: hosted, model: large, tier: 1}]}
  own: {targets: [{upstream: pods}]}
prices:
  - {model: small, input: "1", output: "2", date: 2026-11-30}
  - {upstream: hosted, model: large, input: "3", output: "9", date: 2026-11-30}
state: {redis: {url: "redis://quotas@10.0.0.5:6380/2", password_env: SECRET, on_failure: fail_open, timeout_ms: 50}}
quota_estimate: {output_tokens: 500, step_tokens: 100}
quotas:
  - {name: fair, tenant: acme, metric: total_tokens, window: day, limit: 5000}
  - {name: fair, tenant: "*", metric: total_tokens, window: day, limit: 1000}
  - {name: budget, key: "*", model: chat, metric: money, window: month, limit: "20.5", currency: USD}
)";

Result<GatewayConfig> parse(std::string_view text) {
  auto node = config::parse_yaml(text, "g.yaml");
  if (!node.ok()) return node.error();
  return parse_gateway_config(*node, "g.yaml", [](const std::string& name) {
    return name == "SECRET" ? std::optional<std::string>("hush") : std::nullopt;
  });
}

// kGood with a piece of it replaced.
std::string with(std::string_view from, std::string_view to) {
  std::string text(kGood);
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(QuotaConfig, ReadsRulesAndWhereTheyAreCounted) {
  const auto c = parse(kGood);
  ASSERT_TRUE(c.ok()) << c.error().message;
  const QuotaSettings& q = c->quotas;
  ASSERT_EQ(q.rules.all().size(), 3U);
  EXPECT_EQ(q.rules.all()[0].metric, QuotaMetric::kTotalTokens);
  EXPECT_EQ(q.rules.all()[0].window, QuotaWindow::kDay);
  EXPECT_EQ(q.rules.all()[0].limit, 5000);
  EXPECT_EQ(q.rules.all()[2].metric, QuotaMetric::kMoney);
  EXPECT_EQ(q.rules.all()[2].window, QuotaWindow::kMonth);
  EXPECT_EQ(q.rules.all()[2].limit, 20'500'000'000);
  ASSERT_TRUE(q.redis.has_value());
  EXPECT_EQ(q.redis->address.host, "10.0.0.5");
  EXPECT_EQ(q.redis->address.port, 6380);
  EXPECT_EQ(q.redis->address.database, 2);
  EXPECT_EQ(q.redis->address.username, "quotas");
  EXPECT_EQ(q.redis->address.password, "hush");
  EXPECT_EQ(q.redis->address.call_ms, 50);
  EXPECT_TRUE(q.redis->fail_open);
  EXPECT_EQ(q.estimate.output_tokens, 500);
  EXPECT_EQ(q.estimate.step_tokens, 100);
  EXPECT_TRUE(q.warnings.empty());
}

TEST(QuotaConfig, CheckShowsEachRuleAndTheStore) {
  const std::string shown = describe(*parse(kGood));
  for (const std::string_view line :
       {"quotas in redis 10.0.0.5:6380; while it is down requests are answered and not counted\n",
        "  fair: 5000 tokens per day, tenant acme\n", "  fair: 1000 tokens per day, each tenant\n",
        "  budget: 20.5 USD per month, each key, model chat\n"})
    EXPECT_NE(shown.find(line), std::string::npos) << line << " is not in\n" << shown;
  EXPECT_EQ(shown.find("hush"), std::string::npos);
}

TEST(QuotaConfig, SaysThatMemoryForgets) {
  const std::string text =
      with(kGood.substr(kGood.find("state:"), kGood.find("quota_est") - kGood.find("state:")), "");
  const auto c = parse(text);
  ASSERT_TRUE(c.ok()) << c.error().message;
  EXPECT_NE(describe(*c).find("warning: g.yaml:13: quotas of a day or a month are kept in memory"),
            std::string::npos)
      << describe(*c);
}

TEST(QuotaConfig, AddressesOfRedis) {
  const auto address = [](const std::string& url) {
    const auto c = parse(with("redis://quotas@10.0.0.5:6380/2", url));
    EXPECT_TRUE(c.ok()) << c.error().message;
    return c.ok() ? c->quotas.redis->address : RedisAddress{};
  };
  EXPECT_EQ(address("unix:/run/redis.sock").unix_path, "/run/redis.sock");
  EXPECT_EQ(address("redis://cache").host, "cache");
  EXPECT_EQ(address("redis://cache").port, 6379);
  EXPECT_EQ(address("redis://[::1]:7000").host, "::1");
  EXPECT_EQ(address("redis://[::1]:7000").port, 7000);
}

TEST(QuotaConfig, TlsToRedis) {
  EXPECT_FALSE(parse(kGood)->quotas.redis_tls.has_value());
  const auto c = parse(with("redis://quotas@10.0.0.5:6380/2", "rediss://cache:6390"));
  ASSERT_TRUE(c.ok()) << c.error().message;
  ASSERT_TRUE(c->quotas.redis_tls.has_value());
  EXPECT_EQ(c->quotas.redis_tls->ca_file, "");
  EXPECT_EQ(c->quotas.redis->address.port, 6390);
  EXPECT_NE(describe(*c).find("redis cache:6390 with TLS"), std::string::npos);
  const auto own = parse(with("timeout_ms: 50", "ca: redis.pem"));
  ASSERT_TRUE(own.ok()) << own.error().message;
  EXPECT_EQ(own->quotas.redis_tls->ca_file, "redis.pem");
}

TEST(QuotaConfig, NamesLineAndRemedy) {
  const std::tuple<std::string, int, std::string_view> rows[] = {
      {with("name: fair, ", ""), 14, "a quota needs name"},
      {with("limit: 5000", "limit: -1"), 14, "limit must be an integer from 0"},
      {with("limit: 5000", "limit: 5e3"), 14, "limit must be an integer"},
      {with("limit: 5000", "limit: 5000, currency: USD"), 14, "leave it out"},
      {with("total_tokens", "tokens"), 14, "metric"},
      {with("window: day", "window: hour"), 14, "window"},
      {with("tenant: acme", "tenent: acme"), 14, "the nearest is \"tenant\""},
      {with("limit: \"20.5\"", "limit: \"20,5\""), 16, "limit: "},
      {with("currency: USD", "currency: EUR"), 16, "prices are in USD"},
      {with("model: chat", "model: chatt"), 16, "the nearest is \"chat\""},
      {with("model: chat, ", ""), 16, "models.own can go to pods, whose price of own is not known"},
      {with("upstream: hosted, model: large, input", "upstream: pods, model: large, input"), 16,
       "models.chat can go to hosted, whose price of large is not known"},
      {with("key: \"*\"", "key: weir_12345678_abc"), 16, "never the key itself"},
      {with("tenant: acme", "tenant: \"*\""), 15, "put the narrower one first"},
      {with("keys_file: keys.yaml", "zone: a"), 14, "nobody has one"},
      {with("redis://quotas@10.0.0.5:6380/2\"", "unix:/run/r.sock\", ca: r.pem"), 11,
       "a unix: socket does not need"},
      {with("redis://quotas@", "redis://quotas:hush@"), 11, "give password_env"},
      {with("redis://quotas@", "http://quotas@"), 11, "unknown scheme"},
      {with(":6380/2", ":638000/2"), 11, "no port"},
      {with(":6380/2", ":6380/two"), 11, "no database"},
      {with("10.0.0.5:", ":"), 11, "no host"},
      {with("10.0.0.5:", "[::1:"), 11, "without its ]"},
      {with("password_env: SECRET", "password_env: NOPE"), 11, "the variable NOPE is not set"},
      {with("timeout_ms: 50", "port: 6379"), 11, "url says port as well"},
      {with("on_failure: fail_open", "on_failure: open"), 11, "on_failure"},
      {with("state: {", "state: {sqlite: q.db, "), 11, "exclude each other"},
      {with("output_tokens: 500", "output_tokens: 0"), 12, "output_tokens"},
      {with("quota_estimate: {output_tokens: 500, step_tokens: 100}", "quota_estimate: 7"), 12,
       "must be a map"},
  };
  for (const auto& [text, line, what] : rows) {
    const auto c = parse(text);
    const std::string message = c.ok() ? "" : c.error().message;
    EXPECT_NE(message.find(what), std::string::npos) << message << " instead of " << what;
    EXPECT_EQ(message.find(fmt::format("g.yaml:{}: ", line)), 0U) << message << what;
    EXPECT_EQ(message.find("hush"), std::string::npos) << message;
  }
}

TEST(QuotaConfig, CutAtEveryByteGivesAConfigurationOrAnError) {
  for (size_t cut = 0; cut < kGood.size(); ++cut) (void)parse(kGood.substr(0, cut));
}

}  // namespace
}  // namespace weir::gateway
