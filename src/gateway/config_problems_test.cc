// All that is wrong with a gateway.yaml: told at once, by line, and each mistake once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "gateway/config.h"
#include "gateway/opening.h"
#include "http/tls_testing.h"
#include "os/file.h"
#include "os/temp_dir.h"
#include "text/json.h"

namespace weir::gateway {
namespace {

using testing::ElementsAre;
using testing::StartsWith;

constexpr const char* kModels = "models: {chat: {targets: [{upstream: a}]}}\n";
constexpr const char* kUpstreams = "upstreams: {a: {endpoints: [\"http://10.0.0.1:1\"]}}\n";

// The variable KEY is set, no other.
std::optional<GatewayConfig> parse(const std::string& text, config::Problems& problems) {
  const auto node = config::parse_yaml(text, problems.file());
  if (!node.ok()) {
    problems.add(node.error());
    return std::nullopt;
  }
  const Environment environment = [](const std::string& name) {
    return name == "KEY" ? std::optional<std::string>("secret") : std::nullopt;
  };
  return parse_gateway_config(*node, environment, problems);
}

// Of a file "g.yaml" of this folder, with what it opens; "LINE: what".
std::vector<std::string> problems_of(const std::string& text, const std::string& folder = "") {
  config::Problems problems(folder + "g.yaml");
  const auto config = parse(text, problems);
  EXPECT_NE(config.has_value(), !problems.empty());
  if (config.has_value()) (void)check_opening(*config, problems);
  std::vector<std::string> out;
  for (const config::Problem& p : problems.all())
    out.push_back(std::to_string(p.line) + ": " + p.message);
  return out;
}

TEST(ConfigProblems, SecretsNameTheLineOfTheirKey) {
  EXPECT_THAT(problems_of("listen: {port: 0}\nadmin:\n  port: 0\n  token_env: TOKEN\n" +
                          std::string(kUpstreams) + kModels),
              ElementsAre("4: admin.token_env: the variable TOKEN is not set; set it, or give "
                          "admin.token_file"));
  EXPECT_THAT(
      problems_of("admin:\n  host: 127.0.0.1\n  port: 0\n" + std::string(kUpstreams) + kModels),
      ElementsAre(StartsWith("3: the admin listener needs a token")));
  EXPECT_THAT(
      problems_of("upstreams:\n  a:\n    engine: vllm\n    key_file: /none/key\n    endpoints:\n"
                  "      - http://10.0.0.1:1\n  b.c:\n    endpoints: [\"http://10.0.0.1:2\"]\n"
                  "    key_env: UNSET\n" +
                  std::string(kModels)),
      ElementsAre(StartsWith("4: upstreams.a.key_file: cannot open /none/key: No such file"),
                  StartsWith("9: upstreams.b.c.key_env: the variable UNSET is not set")));
  EXPECT_THAT(problems_of(std::string(kUpstreams) + kModels +
                          "state:\n  redis:\n    host: h\n    password_env: UNSET\n"),
              ElementsAre(StartsWith("6: state.redis.password_env: the variable UNSET")));
}

TEST(ConfigProblems, FilesNameTheLineOfTheirKey) {
  const os::TempDir dir;
  const std::string folder = dir.path() + "/";
  EXPECT_THAT(problems_of("listen:\n  port: 0\n  tls_certificate: no.pem\n  tls_key: no.key\n"
                          "keys_file: no.yaml\nupstreams:\n  a:\n    ca_file: no.ca\n"
                          "    endpoints: [\"https://10.0.0.1:1\"]\n" +
                              std::string(kModels) + "state: {redis: {host: h,\n  ca: no.pem}}\n",
                          folder),
              ElementsAre(StartsWith("3: listen.tls_certificate: cannot read " + folder + "no.pem"),
                          "5: keys_file: cannot open " + folder +
                              "no.yaml: No such file or directory; weir keys new --tenant NAME "
                              "--file FILE makes it",
                          StartsWith("8: upstreams.a.ca_file: the CA file: cannot read " + folder),
                          StartsWith("12: state.redis.ca: the CA file: cannot read " + folder)));
  EXPECT_THAT(problems_of("listen:\n  tls_key: no.key\n" + std::string(kUpstreams) + kModels),
              ElementsAre(StartsWith("2: TLS needs both")));
  EXPECT_THAT(
      problems_of("listen:\n  port: 0\n  host: 0.0.0.0\n" + std::string(kUpstreams) + kModels),
      ElementsAre(StartsWith("3: 0.0.0.0 can be reached from other machines")));
}

TEST(ConfigProblems, OneOfEachPartIsTold) {
  EXPECT_THAT(
      problems_of("listn: {}\n"                                                            // 1
                  "listen: {port: 99999}\n"                                                // 2
                  "priorities: {default: 9, header: \" \"}\n"                              // 3
                  "upstreams:\n"                                                           // 4
                  "  a: {endpoints: [\"http://10.0.0.1:1\"]}\n"                            // 5
                  "  b: {endpoints: [\"10.0.0.1:1\",\n"                                    // 6
                  "      \"http://10.0.0.1:2\", \"http://10.0.0.1:2\"]}\n"                 // 7
                  "  c: {engin: vllm, key_env: UNSET}\n"                                   // 8
                  "prices:\n"                                                              // 9
                  "  - {upstream: a, model: m, input: x, output: 1}\n"                     // 10
                  "  - {upstream: aa, model: m, input: 1, output: 1}\n"                    // 11
                  "models:\n"                                                              // 12
                  "  one: {targets: [{upstream: a, weight: -1},\n"                         // 13
                  "      {upstream: bb}, {upstream: b}]}\n"                                // 14
                  "  two: {targets: [{upstream: c}], rules: [{name: r1, to: x}]}\n"        // 15
                  "  three: {cascade: {steps: [{model: two}]}}\n"                          // 16
                  "rules:\n"                                                               // 17
                  "  - {name: r2, too: x}\n"                                               // 18
                  "  - {name: r3, to: two, time: {from: x}}\n"                             // 19
                  "state: {redis: {url: \"http://h\"}}\n"                                  // 20
                  "quota_estimate: {output_tokens: 0}\n"                                   // 21
                  "quotas:\n"                                                              // 22
                  "  - {name: q, tenant: t, metric: requests, window: day, limit: x}\n"    // 23
                  "  - {name: q, metric: money, window: day, limit: 5}\n"                  // 24
                  "  - {name: q, model: none, metric: requests, window: day, limit: 5}\n"  // 25
                  "admin: {port: 1, token_env: UNSET}\n"),                                 // 26
      ElementsAre(StartsWith("1: unknown key \"listn\""), StartsWith("2: listen.port"),
                  StartsWith("3: priorities.default"), StartsWith("3: priorities.header"),
                  StartsWith("6: \"10.0.0.1:1\" is not a URL"),
                  StartsWith("7: http://10.0.0.1:2 stands twice"),
                  StartsWith("8: unknown key \"engin\""), StartsWith("10: input: "),
                  StartsWith("11: a price of upstream \"aa\""), StartsWith("13: weight"),
                  StartsWith("14: upstream \"bb\" is not"), StartsWith("15: to: \"x\" is not"),
                  StartsWith("16: models.three.cascade: steps must be"),
                  StartsWith("18: unknown key \"too\""), StartsWith("19: time: write"),
                  StartsWith("20: state.redis.url: unknown scheme"),
                  StartsWith("21: output_tokens"), StartsWith("23: limit must be"),
                  StartsWith("25: model \"none\" is not"), StartsWith("26: admin.token_env")));
}

// A mistake breaks what rests on it, which is not wrong itself.
TEST(ConfigProblems, AreToldOnce) {
  const auto of_model = [](const std::string& chat) {
    return std::string(kUpstreams) + "models:\n  chat: {" + chat +
           "}\n  all: {cascade: {steps: [{model: chat, check: {regex: a}}, {model: other}]}}\n"
           "  other: {targets: [{upstream: a}], shadow: {model: chat}}\n"
           "rules: [{name: r, tenants: [t], to: chat}, {name: s, to: all}]\n"
           "quotas: [{name: q, model: chat, metric: requests, window: minute, limit: 5}]\n"
           "cache: {enabled: true, semantic: {model: chat, tenants: [t]}}\n";
  };
  EXPECT_THAT(problems_of(of_model("targets: [{upstream: b}]")),
              ElementsAre(StartsWith("3: upstream \"b\" is not under upstreams")));
  EXPECT_THAT(problems_of(of_model("polic: magic, targets: [{upstream: a}]")),
              ElementsAre(StartsWith("3: unknown key \"polic\"")));
  EXPECT_THAT(problems_of("admin: {port: 0, tokn_file: t}\n" + std::string(kUpstreams) + kModels),
              ElementsAre(StartsWith("1: unknown key \"admin.tokn_file\"")));
  // The keys file is in the part that is broken; so are the prices.
  EXPECT_THAT(
      problems_of("keys_fil: k\n" + std::string(kUpstreams) + kModels +
                  "quotas: [{name: q, tenant: t, metric: requests, window: day, limit: 5}]\n"),
      ElementsAre(StartsWith("1: unknown key \"keys_fil\"")));
  EXPECT_THAT(problems_of(std::string(kUpstreams) + kModels +
                          "prices: [{model: chat, input: x, output: 1, date: 2026-11-30}]\n"
                          "quotas: [{name: q, metric: money, window: day, limit: 5}]\n"),
              ElementsAre(StartsWith("3: input: ")));
  EXPECT_THAT(problems_of("upstreams: []\n" + std::string(kModels)),
              ElementsAre(StartsWith("1: upstreams must be a map")));
}

TEST(ConfigProblems, TheFirstTwentyAreTold) {
  std::string text = "upstreams:\n";
  for (int i = 0; i < 100; ++i) text += "  u" + std::to_string(i) + ": {endpoints: []}\n";
  config::Problems problems("g.yaml");
  EXPECT_FALSE(parse(text + kModels, problems).has_value());
  EXPECT_EQ(problems.all().size(), 20U);
  EXPECT_EQ(problems.all().back().line, 21);
  EXPECT_EQ(problems.left_out(), 81U) << "with the target";
}

TEST(ConfigProblems, EndpointsEndBeforeThePathsOfRequests) {
  const auto said = [](const std::string& url) {
    return problems_of("upstreams:\n  a:\n    endpoints:\n    - " + url + "\n" + kModels);
  };
  for (const char* path : {"/v1", "/v1/", "/v1/chat/completions", "/v1/messages", "/v1/embeddings",
                           "/chat/completions", "/v1/messages/count_tokens/"})
    EXPECT_THAT(said("http://10.0.0.1:1/base" + std::string(path)),
                ElementsAre(testing::AllOf(StartsWith("4: http://10.0.0.1:1/base/"),
                                           testing::EndsWith(", as in http://10.0.0.1:1/base"))))
        << path;
  for (const char* path : {"", "/", "/embeddings", "/v1beta/openai", "/v1/x"})
    EXPECT_THAT(said("http://10.0.0.1:1" + std::string(path)), ElementsAre()) << path;
  EXPECT_THAT(problems_of("upstreams:\n  a: {endpoints: {dns: {name: h, port: 1, path: /x/v1}}}\n" +
                          std::string(kModels)),
              ElementsAre(StartsWith("2: upstreams.a: path: the gateway itself puts /v1 behind")));
}

TEST(ConfigProblems, AsJson) {
  config::Problems problems("g.yaml");
  EXPECT_FALSE(parse("listen: {port: \xFF}\n" + std::string(kUpstreams), problems).has_value());
  const auto said = text::Json::parse(problems_json(problems));
  ASSERT_TRUE(said.ok());
  EXPECT_EQ(said->dump(),
            "{\"file\":\"g.yaml\",\"good\":false,\"errors\":[{\"file\":\"g.yaml\",\"line\":1,"
            "\"message\":\"listen.port must be an integer from 0 to 65535, not "
            "\\\"\xEF\xBF\xBD\\\"\"},{\"file\":"
            "\"g.yaml\",\"line\":1,\"message\":\"models must be a map of names, with one at least"
            "\"}],\"errors_left_out\":0}");
}

TEST(ConfigProblems, APrivateKeyThatEverybodyCanReadIsRemarked) {
  const os::TempDir dir;
  const std::string pem = dir.path() + "/door.pem";
  const std::string key = dir.path() + "/door.key";
  http::write_identity(http::make_identity("door", -60, 3600), pem, key);
  config::Problems problems("g.yaml");
  const auto config = parse(
      "listen:\n  tls_certificate: " + pem + "\n  tls_key: " + key + "\n" + kUpstreams + kModels,
      problems);
  ASSERT_TRUE(config.has_value()) << problems.error().message;
  ASSERT_EQ(::chmod(key.c_str(), 0644), 0);
  EXPECT_THAT(check_opening(*config, problems),
              ElementsAre("g.yaml:3: listen.tls_key: " + key +
                          ": it is a private key and everyone can read it; chmod 600 it"));
  EXPECT_TRUE(problems.empty());
  ASSERT_EQ(::chmod(key.c_str(), 0640), 0);
  EXPECT_THAT(check_opening(*config, problems), ElementsAre()) << "a group that may is no accident";
}

}  // namespace
}  // namespace weir::gateway
