#include "gateway/opening_checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/state/calendar.h"
#include "os/temp_dir.h"

namespace weir::gateway {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Result<GatewayConfig> parse(const std::string& head, const std::string& tail = "") {
  const auto node =
      config::parse_yaml(head +
                             "upstreams:\n  a: {endpoints: [\"http://10.0.0.1:1\"]}\n"
                             "models:\n  chat: {targets: [{upstream: a, model: m}]}\n" +
                             tail,
                         "g.yaml");
  if (!node.ok()) return node.error();
  return parse_gateway_config(*node, "g.yaml",
                              [](const std::string&) { return std::optional<std::string>("t"); });
}

std::vector<std::string> doubts(const std::string& price, std::string_view today) {
  const auto config =
      parse("", "prices: [{model: m, input: \"1\", output: \"1\", " + price + "}]\n");
  EXPECT_TRUE(config.ok()) << config.error().message;
  return doubtful_prices(*config, day_number_of(today).value_or(0));
}

TEST(OpeningChecks, PricesThatAreStaleOrDatedAheadAreTold) {
  EXPECT_THAT(doubts("date: 2026-10-31", "2026-11-30"), IsEmpty()) << "the thirtieth day";
  EXPECT_THAT(doubts("date: 2026-10-31", "2026-12-01"),
              ElementsAre("prices: m at any upstream was read on 2026-10-31 and stale from "
                          "2026-11-30 on; read it again, and set date"));
  EXPECT_THAT(doubts("date: 2026-10-31, review_by: 2026-12-31", "2026-12-31"), IsEmpty());
  EXPECT_THAT(doubts("upstream: a, date: 2026-10-31, review_by: 2026-12-31, source: \"https://x\"",
                     "2027-01-01"),
              ElementsAre("prices: m at a was read on 2026-10-31 and stale from 2026-12-31 on; "
                          "read it again at https://x, and set date"));
  EXPECT_THAT(doubts("date: 2026-12-01", "2026-11-30"), IsEmpty()) << "today, east of UTC";
  EXPECT_THAT(doubts("date: 2027-11-30", "2026-11-30"),
              ElementsAre("prices: m at any upstream is dated 2027-11-30, which is in the future; "
                          "date is the day on which the price was read"));
}

TEST(OpeningChecks, FoldersOfFilesThatAreWrittenMustBeThere) {
  const os::TempDir dir;
  const auto said = [&](const std::string& head, const std::string& tail = "") {
    const auto config = parse(head, tail);
    EXPECT_TRUE(config.ok()) << config.error().message;
    config::Problems problems("g.yaml");
    check_folders(*config, problems);
    return problems.empty() ? "" : problems.error().message;
  };
  const std::string good = dir.path() + "/l.db";
  const std::string bad = dir.path() + "/none/l.db";
  const std::string rule = "quotas: [{name: q, metric: requests, window: minute, limit: 5}]\n";
  EXPECT_EQ(said("ledger: {file: " + good + "}\nidempotency: {file: " + good +
                     "}\nstate: {sqlite: " + good + "}\n",
                 rule),
            "");
  EXPECT_EQ(said("ledger: {file: l.db}\n"), "") << "the folder of the file";
  EXPECT_EQ(said("ledger: {file: " + bad + "}\n"),
            "g.yaml:1: ledger.file: " + bad + " cannot be made, since there is no folder " +
                dir.path() + "/none; make it, or name a file in one that there is");
  EXPECT_EQ(said("idempotency: {file: " + bad + "}\n").find("g.yaml:1: idempotency.file: "), 0U);
  EXPECT_EQ(said("state: {sqlite: " + bad + "}\n", rule).find("g.yaml:1: state.sqlite: "), 0U);
  EXPECT_EQ(said("state: {sqlite: " + bad + "}\n"), "") << "no rule, no store";
}

TEST(OpeningChecks, BothListenersAtOnePortAreRefused) {
  const auto said = [](const std::string& listen, const std::string& admin) {
    const auto config =
        parse("listen: {" + listen + "}\nkeys_file: k\nadmin:\n  token_env: T\n  " + admin + "\n");
    return config.ok() ? "" : config.error().message;
  };
  const std::string refused =
      "g.yaml:5: admin.port: 8090 is listen.port as well; give the admin listener another port";
  EXPECT_EQ(said("port: 8090", "port: 8090"), refused);
  EXPECT_EQ(said("", "port: 8090"), refused) << "by default";
  EXPECT_EQ(said("port: 8090, host: 0.0.0.0", "port: 8090"), refused);
  EXPECT_EQ(said("port: 8090, host: localhost", "port: 8090"), refused);
  EXPECT_EQ(said("port: 8090", "port: 8091"), "");
  EXPECT_EQ(said("port: 0", "port: 0"), "") << "any free ones";
  EXPECT_EQ(said("port: 8090, host: 10.0.0.1", "port: 8090"), "") << "another address";
}

}  // namespace
}  // namespace weir::gateway
