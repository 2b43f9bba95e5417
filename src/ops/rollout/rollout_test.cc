// The rollout's policy, and the loop against a gateway that is made up.
#include "ops/rollout/rollout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weir::ops {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

RolloutRules rules() {
  RolloutRules r;
  r.steps = {1, 25, 100};
  r.most_holds = 2;
  return r;
}

TEST(RolloutPolicy, NextHoldAbortDone) {
  const RolloutRules r = rules();
  const auto move = [&](size_t step, int holds, std::optional<BurnReading> reading) {
    return decide_rollout(r, step, holds, reading).move;
  };
  EXPECT_EQ(move(0, 0, BurnReading{100, 0.5}), RolloutMove::kNext);
  EXPECT_EQ(move(0, 0, BurnReading{100, 2.0}), RolloutMove::kNext) << "the bound itself is allowed";
  EXPECT_EQ(move(2, 0, BurnReading{100, 0.5}), RolloutMove::kDone);
  EXPECT_EQ(move(2, 0, BurnReading{100, 2.1}), RolloutMove::kAbort);
  EXPECT_EQ(move(0, 0, BurnReading{100, 1e300 * 1e300}), RolloutMove::kAbort);
  EXPECT_EQ(move(0, 0, BurnReading{3, 9.0}), RolloutMove::kHold) << "three requests say little";
  EXPECT_EQ(move(0, 0, BurnReading{3, 0.1}), RolloutMove::kHold);
  EXPECT_EQ(move(0, 1, BurnReading{0, std::nullopt}), RolloutMove::kHold);
  EXPECT_EQ(move(0, 2, BurnReading{0, std::nullopt}), RolloutMove::kAbort);
  EXPECT_EQ(move(0, 1, std::nullopt), RolloutMove::kHold);
  EXPECT_EQ(move(0, 2, std::nullopt), RolloutMove::kAbort) << "blind is not safe";
}

TEST(RolloutPolicy, AHoldForFewRequestsSaysHowSharesAreDealt) {
  const std::string why = decide_rollout(rules(), 0, 0, BurnReading{0, std::nullopt}).why;
  EXPECT_THAT(why, HasSubstr("0 requests are fewer than 20"));
  for (const char* dealt : {"user", "x-session-id", "tenant", "one client alone stays in one arm"})
    EXPECT_THAT(why, HasSubstr(dealt));
}

TEST(RolloutPolicy, StepsAndIntervals) {
  EXPECT_THAT(parse_steps("1,5,100").value(), ElementsAre(1, 5, 100));
  for (const char* bad :
       {"", "0,100", "5,1,100", "5,5,100", "1,5", "1,x,100", "1,,100", "101", "100,"})
    EXPECT_FALSE(parse_steps(bad).ok()) << bad;
  EXPECT_EQ(parse_interval("60s").value(), 60);
  EXPECT_EQ(parse_interval("1.5m").value(), 90);
  for (const char* bad : {"", "60", "s", "-1s", "0s", "2d", "25h", "nans", "infs"})
    EXPECT_FALSE(parse_interval(bad).ok()) << bad;
}

TEST(GatewayState, ReadsAndRefuses) {
  const auto s = parse_gateway_state(
      R"({"weights":{"a":95,"b":5},"releases":{"a":{"requests":10,"burn_rate":0.5},"b":{"requests":0,"burn_rate":null}}})");
  ASSERT_TRUE(s.ok()) << s.error().message;
  EXPECT_EQ(s->weights.at("a"), 95);
  EXPECT_EQ(s->releases.at("a").burn_rate, 0.5);
  EXPECT_FALSE(s->releases.at("b").burn_rate.has_value());
  for (const char* bad :
       {"", "{}", R"({"weights":{"a":99},"releases":{}})",
        R"({"weights":{"a":-1,"b":101},"releases":{}})",
        R"({"weights":{"a":100},"releases":{"a":{}}})", R"({"weights":{"a":100},"releases":[]})",
        R"({"weights":{"a":100},"releases":{"a":{"requests":-1,"burn_rate":1}}})",
        R"({"weights":{"a":100},"releases":{"a":{"requests":1,"burn_rate":-1}}})"})
    EXPECT_FALSE(parse_gateway_state(bad).ok()) << bad;
  EXPECT_EQ(weights_json({{"a", 95}, {"b", 5}}), R"({"weights":{"a":95,"b":5}})");
}

class MadeUpGateway final : public GatewayAdmin {
 public:
  Result<GatewayState> state(double /*window_s*/) override {
    if (unreachable) return make_error(ErrorCode::kIo, "unreachable");
    GatewayState s;
    s.weights = weights;
    s.releases["new"] = {100, weights["new"] >= burns_from ? 5.0 : 0.1};
    return s;
  }
  Status set_weights(const RolloutWeights& w) override {
    if (refusals > 0) {
      --refusals;
      return make_error(ErrorCode::kIo, "refused");
    }
    if (applies) weights = w;
    set.push_back(w.at("new"));
    return {};
  }
  RolloutWeights weights{{"old", 100}, {"new", 0}};
  std::vector<int> set;
  int burns_from = 101;
  int refusals = 0;
  bool unreachable = false;
  bool applies = true;
};

Result<RolloutResult> roll(MadeUpGateway& g, const std::function<bool(double)>& wait = {}) {
  const auto sleep = wait ? wait : [](double) { return true; };
  return run_rollout(g, rules(), "new", sleep, [](const RolloutEvent&) {});
}

TEST(Rollout, StepsToTheEnd) {
  MadeUpGateway g;
  const auto r = roll(g);
  ASSERT_TRUE(r.ok()) << r.error().message;
  EXPECT_TRUE(r->done);
  EXPECT_EQ(r->stable, "old");
  EXPECT_THAT(g.set, ElementsAre(1, 25, 100));
  EXPECT_EQ(g.weights.at("old"), 0);
}

TEST(Rollout, BurnTakesItBack) {
  MadeUpGateway g;
  g.burns_from = 25;
  const auto r = roll(g);
  ASSERT_TRUE(r.ok());
  EXPECT_FALSE(r->done);
  EXPECT_THAT(r->why, HasSubstr("burn rate 5 is over 2"));
  EXPECT_THAT(g.set, ElementsAre(1, 25, 0));
  EXPECT_EQ(g.weights.at("old"), 100);
}

TEST(Rollout, WeightsThatAreNotThoseThatWereSetEndIt) {
  MadeUpGateway deaf;
  deaf.applies = false;
  const auto r = roll(deaf);
  ASSERT_TRUE(r.ok()) << r.error().message;
  EXPECT_FALSE(r->done);
  EXPECT_THAT(r->why, HasSubstr("weights are new 0 %, old 100 %, and new 1 %, old 99 % were set"));
  EXPECT_THAT(deaf.set, ElementsAre(1, 0));
  MadeUpGateway shared;
  const auto other = roll(shared, [&](double) {
    shared.weights = {{"old", 50}, {"new", 50}};
    return true;
  });
  ASSERT_TRUE(other.ok());
  EXPECT_FALSE(other->done);
  EXPECT_EQ(shared.weights.at("old"), 100);
}

TEST(Rollout, AThirdReleaseKeepsItsShareAndGetsItBack) {
  MadeUpGateway g;
  g.weights = {{"old", 80}, {"third", 20}};
  const auto r = roll(g, [&](double) {
    EXPECT_EQ(g.weights, (RolloutWeights{{"new", 1}, {"old", 79}, {"third", 20}}));
    return false;
  });
  ASSERT_TRUE(r.ok()) << r.error().message;
  EXPECT_EQ(r->stable, "old");
  EXPECT_EQ(g.weights, (RolloutWeights{{"new", 0}, {"old", 80}, {"third", 20}}));
  EXPECT_EQ(shifted({{"old", 80}, {"third", 20}}, "new", 25),
            (RolloutWeights{{"new", 25}, {"old", 60}, {"third", 15}}));
  EXPECT_EQ(shifted({{"new", 10}, {"old", 45}, {"third", 45}}, "new", 25),
            (RolloutWeights{{"new", 25}, {"old", 38}, {"third", 37}}));
  EXPECT_EQ(shifted({{"new", 0}, {"old", 1}, {"third", 99}}, "new", 100),
            (RolloutWeights{{"new", 100}, {"old", 0}, {"third", 0}}));
  EXPECT_EQ(weights_text({{"a", 95}, {"b", 5}}), "a 95 %, b 5 %");
}

TEST(Rollout, ASignalOrABlindGatewayTakesItBack) {
  MadeUpGateway g;
  int waits = 0;
  const auto r = roll(g, [&](double) { return ++waits < 2; });
  EXPECT_EQ(r->why, "interrupted");
  EXPECT_THAT(g.set, ElementsAre(1, 25, 0));
  MadeUpGateway blind;
  const auto b = roll(blind, [&](double) { return blind.unreachable = true; });
  EXPECT_FALSE(b->done);
  EXPECT_THAT(b->why, HasSubstr("does not say how it fares, for 3 intervals"));
  EXPECT_THAT(blind.set, ElementsAre(1, 0));
}

TEST(Rollout, WeightsThatAreRefused) {
  MadeUpGateway g;
  g.refusals = 2;  // the first step, then the first try to take it back
  const auto r = roll(g);
  ASSERT_TRUE(r.ok());
  EXPECT_FALSE(r->done);
  EXPECT_THAT(g.set, ElementsAre(0));
  g.refusals = 100;
  const auto stuck = roll(g);
  EXPECT_EQ(stuck.error().code, ErrorCode::kIo);
  EXPECT_THAT(stuck.error().message, HasSubstr("set them by hand: new 0 %, old 100 %"));
}

TEST(Rollout, OnlyAReleaseThatTheGatewayKnows) {
  MadeUpGateway g;
  const auto r = run_rollout(
      g, rules(), "other", [](double) { return true; }, [](const auto&) {});
  EXPECT_THAT(r.error().message, HasSubstr("knows no release other"));
  g.weights = {{"new", 100}};
  EXPECT_THAT(roll(g).error().message, HasSubstr("has all the traffic already"));
  EXPECT_TRUE(g.set.empty());
}

}  // namespace
}  // namespace weir::ops
