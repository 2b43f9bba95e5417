// gateway.yaml: what is accepted, and what each mistake is called.
#include "gateway/config.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "gateway/misplaced_files.h"
#include "os/file.h"
#include "os/temp_dir.h"

namespace weir::gateway {
namespace {

constexpr std::string_view kGood = R"(
listen: {port: 8090}
upstreams:
  pods:
    engine: weir
    max_in_flight: 32
    endpoints: ["http://127.0.0.1:8080", {url: "http://127.0.0.1:8081/base/", zone: b, weight: 2}]
    health: {interval_ms: 500, fall: 1}
  hosted: {engine: anthropic, key_env: KEY, endpoints: ["http://127.0.0.1:9000"]}
models:
  chat:
    policy: cache_aware
    timeouts: {first_byte_ms: 1000}
    retries: {continue_streams: true, max_continuations: 2}
    targets: [{upstream: pods, model: smol, weight: 95}, {upstream: hosted, tier: 1, release: r2}]
)";

Result<GatewayConfig> parse(std::string_view text) {
  auto node = config::parse_yaml(text, "g.yaml");
  if (!node.ok()) return node.error();
  return parse_gateway_config(*node, "g.yaml", [](const std::string& name) {
    return name == "KEY" ? std::optional<std::string>("secret") : std::nullopt;
  });
}

std::string error_of(std::string_view text) {
  const auto config = parse(text);
  return config.ok() ? "" : config.error().message;
}

// kGood with a piece of it replaced.
std::string with(std::string_view from, std::string_view to) {
  std::string text(kGood);
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

// A pool whose endpoints are found.
std::string found(const std::string& how) {
  return "upstreams: {a: {endpoints: {" + how + "}}}\nmodels: {m: {targets: [{upstream: a}]}}";
}

TEST(GatewayConfig, ReadsUpstreamsAndModels) {
  const auto config = parse(kGood);
  ASSERT_TRUE(config.ok()) << config.error().message;
  ASSERT_EQ(config->upstreams.size(), 2U);
  const UpstreamConfig& pods = config->upstreams[0];
  EXPECT_EQ(pods.engine, "weir");
  EXPECT_EQ(pods.protocol, Protocol::kOpenAi);
  EXPECT_EQ(pods.guard.endpoint.limit.max_limit, 32);
  EXPECT_EQ(pods.guard.endpoint.health.fall, 1);
  ASSERT_EQ(pods.endpoints.size(), 2U);
  EXPECT_EQ(pods.endpoints[1].to.port, 8081);
  EXPECT_EQ(pods.endpoints[1].to.path, "/base");
  EXPECT_EQ(pods.endpoints[1].zone, "b");
  EXPECT_EQ(config->upstreams[1].protocol, Protocol::kAnthropic);
  EXPECT_EQ(config->upstreams[1].key, "secret");
  const ModelConfig& chat = config->models.at(0);
  EXPECT_EQ(chat.pick.policy, PickPolicy::kCacheAware);
  EXPECT_EQ(chat.timeouts.first_byte_ms, 1000);
  EXPECT_TRUE(chat.retry.continue_streams);
  EXPECT_EQ(chat.retry.max_continuations, 2);
  EXPECT_EQ(pods.continue_by, ContinueStyle::kFinalMessage);
  EXPECT_EQ(config->upstreams[1].continue_by, ContinueStyle::kNone);
  EXPECT_EQ(chat.targets.at(0).model, "smol");
  EXPECT_EQ(chat.targets.at(0).release, "pods");
  EXPECT_EQ(chat.targets.at(1).upstream, 1U);
  EXPECT_EQ(chat.targets.at(1).upstream_name, config->upstreams[1].name);
  EXPECT_EQ(chat.targets.at(1).tier, 1);
  EXPECT_EQ(chat.targets.at(1).release, "r2");
  EXPECT_NE(describe(*config).find("tier 1  weight 100  hosted"), std::string::npos);
}

TEST(GatewayConfig, NamesLineAndRemedy) {
  const std::pair<std::string, std::string_view> rows[] = {
      {with("listen:", "listn:"), "unknown key \"listn"},
      {with("engine: weir", "engine: wier"), "engine"},
      {with("max_in_flight: 32", "max_in_flight: 0"), "max_in_flight"},
      {std::string(kGood) + std::string("redaction: {patterns: [ok, '(']}\n"),
       "redaction.patterns: scrubber pattern 2 is wrong at byte 1"},
      {with("http://127.0.0.1:8080", "127.0.0.1:8080"), "does not begin with http"},
      {with("8081/base/", "8080"), "stands twice"},
      {with("upstream: pods", "upstream: pod"), "the nearest is \"pods\""},
      {with("key_env: KEY", "key_env: KEZ"), "the variable KEZ is not set"},
      {with("key_env: KEY", "api_key: sk-1"),
       "unknown key \"api_key\"; the nearest is \"key_env\": a variable of the environment; "
       "keys never stand in this file"},
      {with("weight: 95", "weight: -1"), "weight"},
      {with("{upstream: pods, model: smol, weight: 95}, {upstream: hosted, tier: 1, release: r2}",
            "{upstream: pods, weight: 0}"),
       "every target has weight 0"},
      {with("[{upstream: pods, model: smol, weight: 95}, {upstream: hosted, tier: 1, release: "
            "r2}]",
            "[]"),
       "targets must be a list"},
      {with("listen:", "admin: {port: 0}\nlisten:"), "needs a token"},
      {with("policy: cache_aware", "policy: magic"), "policy"},
      {with("policy: cache_aware", "policy: cache_aware\n    shed: {max_in_flight: 0}"),
       "shed.max_in_flight"},
      {with("listen:", "priorities: {default: 9}\nlisten:"), "priorities.default must be 0"},
      {with("listen:", "cache: {enabled: true, semantic: {model: both, tenants: [a]}}\nlisten:") +
           "  both: {cascade: {steps: [{model: chat}]}}\n",
       "cache.semantic.model: both has no targets"},
      {with("max_continuations: 2", "max_continuations: 6"), "max_continuations"},
      {with("engine: weir", "engine: weir\n    continue_by: magic"), "continue_by"},
      {"[]", "must be a map"},
      {"listen: {port: 1}", "upstreams must be a map"},
      {with("max_in_flight: 32", "metrics: {path: metrics}"), "metrics.path must begin with /"},
      {with("max_in_flight: 32", "metrics: {interval_ms: 5}"), "interval_ms"},
      {with("engine: anthropic", "engine: anthropic, metrics: {path: /metrics}"),
       "no metrics of the engine anthropic are known"},
      {found("dns: {name: \"a:80\", port: 1}"), "name must be a name of the DNS"},
      {found("dns: {name: a/b, port: 1}"), "name must be a name of the DNS"},
      {found("dns: {port: 1}"), "name must be a name of the DNS"},
      {found("dns: {name: a}"), "port is needed"},
      {found("dns: {name: a, prt: 1}"), "the nearest is \"port\""},
      {found("dns: {name: a, port: 1, path: b}"), "path must begin with /"},
      {found("dns: a"), "dns must be a map"},
      {found("dns: {name: a, port: 1}, kubernetes: {}"), "either dns: or kubernetes:"},
      {found("kubernetes: {namespace: b}"), "service must be the name of a Service"},
      {found("kubernetes: {service: A/b}"), "service must be the name of a Service"},
      {found("kubernetes: {service: a}"), "outside of a cluster it is needed"},
      {found("kubernetes: {service: a, namespace: b}"), "not in a cluster"},
      {found("kubernetes: {service: a, namespace: b, api_url: nowhere}"), "api_url"},
      {found("kubernetes: {service: a, namespace: b, port: \"0\"}"), "port must be a number"},
      {found("kubernetes: {service: a, namespace: b, api_url: \"http://a\", token_file: t}"),
       "in the clear"},
      {"upstreams: {a: {endpoints: []}}", "endpoints must be a list"}};
  for (const auto& [text, what] : rows) {
    const std::string message = error_of(text);
    EXPECT_NE(message.find(what), std::string::npos) << message << " instead of " << what;
    EXPECT_EQ(message.substr(0, 7), "g.yaml:") << message;
    EXPECT_EQ(message.find("secret"), std::string::npos) << message;
  }
}

TEST(GatewayConfig, PoolsThatAreFound) {
  auto config = parse(found("dns: {name: pods.example, port: 8000, scheme: https, path: /v/}"));
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->upstreams[0].dns->path, "/v");
  EXPECT_TRUE(needs_tls(config->upstreams[0]));
  EXPECT_NE(describe(*config).find("dns pods.example:8000"), std::string::npos);
  config =
      parse(found("kubernetes: {service: s, namespace: n, port: http, api_url: "
                  "\"https://10.0.0.1:6443\", token_file: t}"));
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->upstreams[0].kubernetes->api.port, 6443);
  EXPECT_FALSE(needs_tls(config->upstreams[0]));
  EXPECT_NE(describe(*config).find("kubernetes n/s"), std::string::npos);
}

// In a pod the cluster is there without a word.
TEST(GatewayConfig, TheClustersOwnDefaults) {
  const auto node = config::parse_yaml(found("kubernetes: {service: s, namespace: n}"), "g.yaml");
  const auto config = parse_gateway_config(*node, "g.yaml", [](const std::string& name) {
    if (name == "KUBERNETES_SERVICE_HOST") return std::optional<std::string>("fd00::1");
    return name == "KUBERNETES_SERVICE_PORT" ? std::optional<std::string>("443") : std::nullopt;
  });
  ASSERT_TRUE(config.ok()) << config.error().message;
  const KubernetesConfig& k = *config->upstreams[0].kubernetes;
  EXPECT_EQ(k.api_url, "https://[fd00::1]:443");
  EXPECT_TRUE(k.token_file.ends_with("/token"));
  EXPECT_TRUE(k.ca_file.ends_with("/ca.crt"));
}

TEST(GatewayConfig, MetricsAreReadWhereTheEngineHasThem) {
  auto config = parse(kGood);
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(metrics_target(config->upstreams[0]), "/metrics");
  EXPECT_EQ(metrics_target(config->upstreams[1]), "");
  EXPECT_EQ(fresh_ns(config->upstreams[0].metrics), 5'000'000'000);
  config = parse(with("engine: weir", "engine: trtllm\n    metrics: {port: 8002, stale_after: 2}"));
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(metrics_target(config->upstreams[0]), "/prometheus/metrics");
  EXPECT_EQ(fresh_ns(config->upstreams[0].metrics), 2'000'000'000);
  config = parse(with("engine: weir", "engine: vllm\n    metrics: {path: none}"));
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(metrics_target(config->upstreams[0]), "");
}

TEST(GatewayConfig, PathsBeginAtTheFilesOwnFolder) {
  const os::TempDir dir;
  ASSERT_TRUE(os::write_file_atomic(dir.path() + "/key", std::string_view("top-secret\n")).ok());
  ASSERT_EQ(::chmod((dir.path() + "/key").c_str(), 0600), 0);
  const std::string text = with("key_env: KEY", "key_file: key, ca_file: ca/pem") +
                           "keys_file: /etc/weir/keys.yaml\n"
                           "ledger: {file: data/ledger.db}\n"
                           "idempotency: {file: ../idempotency.db}\n"
                           "state: {sqlite: quotas.db}\n";
  const std::string path = dir.path() + "/g.yaml";
  ASSERT_TRUE(os::write_file_atomic(path, text).ok());
  const auto config = read_gateway_config(path, {});
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->upstreams[1].key, "top-secret");
  EXPECT_EQ(config->upstreams[1].ca_file, dir.path() + "/ca/pem");
  EXPECT_EQ(config->keys_file, "/etc/weir/keys.yaml");
  EXPECT_EQ(config->ledger.path, dir.path() + "/data/ledger.db");
  EXPECT_EQ(config->answers.idempotency_file, dir.path() + "/../idempotency.db");
  EXPECT_EQ(config->quotas.memory.path, dir.path() + "/quotas.db");
  std::string keys;
  for (const NamedFile& f : config->files) keys += f.key + " ";
  EXPECT_EQ(keys,
            "keys_file ledger.file idempotency.file upstreams.hosted.key_file "
            "upstreams.hosted.ca_file state.sqlite ");
}

TEST(GatewayConfig, AFileInTheWorkingDirectoryInsteadIsSaid) {
  const os::TempDir dir;
  const std::string here = dir.path() + "/old.db";
  ASSERT_TRUE(os::write_file_atomic(here, std::string_view("x")).ok());
  const std::string there = dir.path() + "/not/old.db";
  const std::vector<NamedFile> files = {{"ledger.file", here, there, 1},  // here, and not there
                                        {"state.sqlite", "no.db", dir.path() + "/not/no.db", 2},
                                        {"keys_file", here, here, 3}};
  const auto said = misplaced(files);
  ASSERT_EQ(said.size(), 1U);
  EXPECT_EQ(said[0].find("ledger.file: " + there + " is not there"), 0U) << said[0];
  const auto told = [&files](const std::string& message) {
    return say_misplaced(make_error(ErrorCode::kIo, "{}", message), files).message;
  };
  EXPECT_EQ(told("cannot read " + there), "cannot read " + there + "; " + said[0]);
  EXPECT_EQ(told("cannot read " + here), "cannot read " + here);
  EXPECT_EQ(told("there is no model"), "there is no model");
}

TEST(GatewayConfig, SoItIsOfOneThatIsReadWithTheFile) {
  const os::TempDir dir;
  const std::string here = std::filesystem::relative(dir.path()).string() + "/key";
  ASSERT_TRUE(os::write_file_atomic(here, std::string_view("x")).ok());
  const auto node = config::parse_yaml(with("key_env: KEY", "key_file: " + here), "g.yaml");
  ASSERT_TRUE(node.ok());
  const auto config = parse_gateway_config(*node, "/nowhere/g.yaml", {});
  ASSERT_FALSE(config.ok());
  EXPECT_NE(config.error().message.find("; upstreams.hosted.key_file: /nowhere/" + here +
                                        " is not there, and " + here + " is, in the folder where"),
            std::string::npos)
      << config.error().message;
}

TEST(GatewayConfig, ASecretThatOthersCanReadIsRefused) {
  const os::TempDir dir;
  const std::string path = dir.path() + "/key";
  ASSERT_TRUE(os::write_file_atomic(path, std::string_view("top-secret\n")).ok());
  const std::string text = with("key_env: KEY", "key_file: " + path);
  ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
  EXPECT_NE(error_of(text).find("chmod 600"), std::string::npos) << error_of(text);
  ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
  const auto config = parse(text);
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->upstreams[1].key, "top-secret");
}

TEST(GatewayConfig, CutAtEveryByteGivesAConfigurationOrAnError) {
  for (size_t cut = 0; cut < kGood.size(); ++cut) (void)parse(kGood.substr(0, cut));
}

}  // namespace
}  // namespace weir::gateway
