#include "config/settings.h"

#include <gtest/gtest.h>

#include "config/table.h"

namespace weir::config {
namespace {

struct Options {
  std::string host = "127.0.0.1";
  uint16_t port = 8080;
  double itl_ms = 0;
  bool strict = false;
  std::vector<std::string> keys;
  std::chrono::milliseconds wait{5};
};

Table<Options> table() {
  Table<Options> t;
  t.add("host", "--host", [](Options & o) -> auto& { return o.host; }, {});
  t.add("port", "--port", [](Options & o) -> auto& { return o.port; }, {.min = 0, .max = 65535});
  t.add("slo.itl_ms", "--itl", [](Options & o) -> auto& { return o.itl_ms; },
        {.min = 0, .max = 1000, .unit = "ms", .reloadable = true});
  t.add("strict", "--strict", [](Options & o) -> auto& { return o.strict; }, {});
  t.add("keys", "--key", [](Options & o) -> auto& { return o.keys; }, {.secret = true});
  t.add("wait_ms", "", [](Options & o) -> auto& { return o.wait; }, {.min = 1, .max = 10});
  return t;
}

class SettingsTest : public testing::Test {
 protected:
  Result<Settings> resolve(const std::string& yaml, FlagValues flags = {},
                           std::map<std::string, std::string> environment = {}) {
    Sources s;
    s.flags = std::move(flags);
    s.environment = [environment](const std::string& name) -> std::optional<std::string> {
      const auto found = environment.find(name);
      return found == environment.end() ? std::nullopt : std::optional(found->second);
    };
    s.file_name = "w.yaml";
    auto file = parse_yaml(yaml, "w.yaml");
    if (!file.ok()) return file.error();
    s.file = std::move(*file);
    return Settings::resolve(table_.keys(), s);
  }
  std::string error_of(const std::string& yaml, FlagValues flags = {},
                       std::map<std::string, std::string> environment = {}) {
    const auto r = resolve(yaml, std::move(flags), std::move(environment));
    return r.ok() ? "" : r.error().message;
  }

  Table<Options> table_ = table();
};

TEST_F(SettingsTest, FlagWinsOverEnvironmentOverFileOverDefault) {
  const std::string yaml = "port: 1\nhost: file\nslo:\n  itl_ms: 2.5\nwait_ms: 7\n";
  const auto r = resolve(yaml, {{"port", {"3"}}}, {{"WEIR_PORT", "2"}, {"WEIR_HOST", "env"}});
  ASSERT_TRUE(r.ok()) << r.error().message;
  const Options o = table_.make(*r);
  EXPECT_EQ(o.port, 3);
  EXPECT_EQ(o.host, "env");
  EXPECT_EQ(o.itl_ms, 2.5);
  EXPECT_EQ(o.wait.count(), 7);
  EXPECT_FALSE(o.strict);
  EXPECT_EQ(r->at("port").where, "--port");
  EXPECT_EQ(r->at("host").where, "WEIR_HOST");
  EXPECT_EQ(r->at("slo.itl_ms").where, "w.yaml:4");
  EXPECT_EQ(r->at("strict").where, "default");
}

TEST_F(SettingsTest, AFlagHidesABrokenVariable) {
  EXPECT_TRUE(resolve("", {{"port", {"3"}}}, {{"WEIR_PORT", "tcp://10.0.0.1:80"}}).ok());
  EXPECT_NE(error_of("", {}, {{"WEIR_PORT", "tcp://10.0.0.1:80"}}).find("enableServiceLinks"),
            std::string::npos);
}

TEST_F(SettingsTest, MisspeltVariablesAreFound) {
  const std::vector<std::string> names = {
      "WEIR_PROT",         "WEIR_PORT", "WEIR_SLO_ITL", "WEIR_BIN",
      "WEIR_SERVICE_HOST", "PROT",      "WEIR_",        ""};
  const auto found = misspelt_variables(table_.keys(), names);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0], (std::pair<std::string, std::string>("WEIR_PROT", "WEIR_PORT")));
  EXPECT_EQ(found[1], (std::pair<std::string, std::string>("WEIR_SLO_ITL", "WEIR_SLO_ITL_MS")));
}

TEST_F(SettingsTest, AnUnknownKeyNamesFileLineAndNearest) {
  EXPECT_EQ(error_of("prot: 3\n"), "w.yaml:1: unknown key \"prot\"; the nearest is \"port\"");
  EXPECT_EQ(error_of("\nslo:\n  itl: 3\n"),
            "w.yaml:3: unknown key \"slo.itl\"; the nearest is \"slo.itl_ms\"");
  EXPECT_EQ(error_of("itl_ms: 3\n"),
            "w.yaml:1: unknown key \"itl_ms\"; the nearest is \"slo.itl_ms\"");
}

TEST_F(SettingsTest, TypesAndRangesNameFileAndLine) {
  EXPECT_EQ(error_of("port: 65536\n"),
            "w.yaml:1: port must be an integer from 0 to 65535, not \"65536\"");
  EXPECT_EQ(error_of("slo: {itl_ms: nan}\n"),
            "w.yaml:1: slo.itl_ms must be a number from 0 to 1000 ms, not \"nan\"");
  EXPECT_EQ(error_of("strict: yes\n"), "w.yaml:1: strict must be true or false, not \"yes\"");
  EXPECT_EQ(error_of("port: [1]\n"),
            "w.yaml:1: port must be an integer from 0 to 65535, not a list");
  EXPECT_EQ(error_of("slo: 3\nport:\n"),
            "w.yaml:1: slo must be a map of keys, not a value\n"
            "w.yaml:2: port must be an integer from 0 to 65535, not nothing");
  EXPECT_EQ(error_of("slo: {itl_ms: 3}\nslo.itl_ms: 4\n"), "w.yaml:2: slo.itl_ms stands twice");
  EXPECT_EQ(error_of("- 1\n"), "w.yaml:1: must be a map of keys, not a list");
}

TEST_F(SettingsTest, AFileFullOfUnknownKeysNamesTheFirstTen) {
  std::string yaml;
  for (int i = 0; i < 5000; ++i) yaml += fmt::format("k{}: 1\n", i);
  const std::string e = error_of(yaml);
  EXPECT_EQ(std::count(e.begin(), e.end(), '\n'), 9);
}

TEST_F(SettingsTest, SecretsAreNeverShown) {
  const auto r = resolve("keys: [sk-1]\n", {{"keys", {"sk-2", "sk-3"}}});
  ASSERT_TRUE(r.ok());
  EXPECT_EQ(table_.make(*r).keys.size(), 2U);
  for (const std::string& text : {show_table(*r), show_json(*r), error_of("keys: {a: sk-1}\n")})
    EXPECT_EQ(text.find("sk-"), std::string::npos) << text;
}

TEST_F(SettingsTest, ListsInTheEnvironmentHaveCommas) {
  const auto r = resolve("", {}, {{"WEIR_KEYS", "a,b,,c"}});
  ASSERT_TRUE(r.ok());
  EXPECT_EQ(table_.make(*r).keys, (std::vector<std::string>{"a", "b", "c"}));
}

TEST_F(SettingsTest, TellsWhatARunningProcessCannotTakeOver) {
  const auto before = resolve("port: 1\nslo: {itl_ms: 1}\n");
  const auto after = resolve("port: 2\nslo: {itl_ms: 2}\n");
  ASSERT_TRUE(before.ok() && after.ok());
  EXPECT_EQ(changed(*before, *after), (std::vector<std::string>{"port", "slo.itl_ms"}));
  EXPECT_EQ(not_reloadable(*before, *after), (std::vector<std::string>{"port"}));
}

TEST_F(SettingsTest, ShowsEachValueWithItsOrigin) {
  const auto r = resolve("port: 1\n", {{"strict", {"true"}}});
  ASSERT_TRUE(r.ok());
  EXPECT_EQ(show_table(*r),
            "host        127.0.0.1                     default\n"
            "port        1                             w.yaml:1\n"
            "slo.itl_ms  0 ms                          default (reloadable)\n"
            "strict      true                          --strict\n"
            "keys                                      default\n"
            "wait_ms     5                             default\n");
  EXPECT_NE(show_json(*r).find(R"({"key":"port","value":1,"origin":"file","where":"w.yaml:1",)"),
            std::string::npos);
}

}  // namespace
}  // namespace weir::config
