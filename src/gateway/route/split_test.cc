// Shares, stickiness and what moves when weights change.
#include "gateway/route/split.h"

#include <gtest/gtest.h>

#include "base/rng.h"
#include "text/json.h"

namespace weir::gateway {
namespace {

Split make(std::vector<SplitArm> arms, std::string experiment = "e",
           StickyBy sticky = StickyBy::kUser) {
  for (SplitArm& a : arms) a.target = "to-" + a.name;
  return *Split::make({std::move(experiment), sticky, std::move(arms)});
}

// The arm's name of each of `n` users.
std::vector<std::string> arms_of(const Split& split, int n) {
  std::vector<std::string> out;
  for (int i = 0; i < n; ++i) {
    const std::string user = "user-" + std::to_string(i);
    RequestView r;
    r.user = user;
    out.push_back(split.config().arms[split.assign(r, 0).arm].name);
  }
  return out;
}

double share(const std::vector<std::string>& arms, std::string_view name) {
  return static_cast<double>(std::count(arms.begin(), arms.end(), name)) /
         static_cast<double>(arms.size());
}

TEST(SplitTest, SharesAreTheWeights) {
  const auto arms =
      arms_of(make({{"a", "", 70}, {"b", "", 25}, {"c", "", 5}, {"d", "", 0}}), 20'000);
  EXPECT_NEAR(share(arms, "a"), 0.70, 0.01);
  EXPECT_NEAR(share(arms, "b"), 0.25, 0.01);
  EXPECT_NEAR(share(arms, "c"), 0.05, 0.005);
  EXPECT_EQ(share(arms, "d"), 0);
}

TEST(SplitTest, ACanaryKeepsItsUsersAsItGrows) {
  std::vector<std::string> before;
  for (const int percent : {0, 1, 5, 25, 26, 50, 99, 100}) {
    const auto now =
        arms_of(make({{"stable", "", 100 - percent}, {"canary", "", percent}}), 20'000);
    EXPECT_NEAR(share(now, "canary"), percent / 100.0, 0.01);
    for (size_t i = 0; i < before.size(); ++i)
      ASSERT_TRUE(before[i] == "stable" || now[i] == "canary") << "user " << i << " at " << percent;
    before = now;
  }
}

// With any number of arms: who moves goes to an arm that grew in relation to the one it left.
TEST(SplitTest, NobodyMovesWithoutReason) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Rng rng(seed);
    std::vector<SplitArm> old_arms;
    std::vector<SplitArm> new_arms;
    int old_left = 100;
    int new_left = 100;
    for (int i = 0; i < 4; ++i) {
      const auto name = std::string(1, static_cast<char>('a' + i));
      const auto old_percent = static_cast<int>(rng.below(static_cast<uint64_t>(old_left / 2) + 1));
      const auto new_percent = static_cast<int>(rng.below(static_cast<uint64_t>(new_left / 2) + 1));
      old_arms.push_back({name, "", i == 3 ? old_left : old_percent});
      new_arms.push_back({name, "", i == 3 ? new_left : new_percent});
      old_left -= old_percent;
      new_left -= new_percent;
    }
    std::map<std::string, int> was;
    std::map<std::string, int> is;
    for (const SplitArm& a : old_arms) was[a.name] = a.percent;
    for (const SplitArm& a : new_arms) is[a.name] = a.percent;
    std::reverse(new_arms.begin(), new_arms.end());  // order is nothing
    const auto before = arms_of(make(old_arms), 2'000);
    const auto after = arms_of(make(new_arms), 2'000);
    for (size_t i = 0; i < before.size(); ++i) {
      if (before[i] == after[i]) continue;
      ASSERT_GT(is[after[i]] * was[before[i]], was[after[i]] * is[before[i]])
          << "seed " << seed << ": " << before[i] << " to " << after[i];
    }
  }
}

TEST(SplitTest, ExperimentsAreIndependent) {
  const std::vector<SplitArm> arms = {{"a", "", 50}, {"b", "", 50}};
  const auto one = arms_of(make(arms, "one"), 20'000);
  const auto two = arms_of(make(arms, "two"), 20'000);
  int same = 0;
  for (size_t i = 0; i < one.size(); ++i) same += one[i] == two[i] ? 1 : 0;
  EXPECT_NEAR(same, 10'000, 300);
  EXPECT_EQ(one, arms_of(make(arms, "one"), 20'000));
}

TEST(SplitTest, TheSubjectIsTheFirstThereIs) {
  const Split split = make({{"a", "", 50}, {"b", "", 50}});
  RequestView r;
  EXPECT_EQ(split.assign(r, 1).by, StickyBy::kRequest);
  EXPECT_NE(split.assign(r, 1).subject, split.assign(r, 2).subject);
  r.tenant = "t";
  EXPECT_EQ(split.assign(r, 1).by, StickyBy::kTenant);
  EXPECT_EQ(split.assign(r, 1).subject, split.assign(r, 2).subject);
  r.session = "s";
  EXPECT_EQ(split.assign(r, 1).by, StickyBy::kSession);
  r.user = "s";
  const Assignment user = split.assign(r, 1);
  EXPECT_EQ(user.by, StickyBy::kUser);
  r.user = "";
  EXPECT_NE(split.assign(r, 1).subject, user.subject);  // a session is no user
  r.user = "s";
  r.tenant = "other";
  EXPECT_NE(split.assign(r, 1).subject, user.subject);
  const Split by_session = make({{"a", "", 50}, {"b", "", 50}}, "e", StickyBy::kSession);
  EXPECT_EQ(by_session.assign(r, 1).by, StickyBy::kSession);
}

TEST(SplitTest, ExposuresSayWhoSawWhat) {
  const Split split = make({{"a", "", 100}});
  RequestView r;
  r.user = "ann@example.com";
  r.tenant = "acme";
  r.model = "chat";
  r.unix_s = 1'700'000'000;
  const Assignment a = split.assign(r, 0);
  const auto json = text::Json::parse(exposure_json(split.exposure(a, r, "req-1")));
  ASSERT_TRUE(json.ok());
  EXPECT_EQ(json->find("unix_ms")->as_int(), 1'700'000'000'000);
  EXPECT_EQ(json->find("experiment")->as_string(), "e");
  EXPECT_EQ(json->find("arm")->as_string(), "a");
  EXPECT_EQ(json->find("percent")->as_int(), 100);
  EXPECT_EQ(json->find("by")->as_string(), "user");
  EXPECT_EQ(json->find("subject")->as_string(), fmt::format("{:016x}", a.subject));
  EXPECT_EQ(json->find("target")->as_string(), "to-a");
  EXPECT_EQ(json->find("request_id")->as_string(), "req-1");
  EXPECT_EQ(json->dump().find("ann"), std::string::npos);
}

TEST(SplitTest, RefusesWhatCannotBe) {
  const auto message = [](std::vector<SplitArm> arms, std::string experiment = "e") {
    const auto s = Split::make({std::move(experiment), StickyBy::kUser, std::move(arms)});
    return s.ok() ? std::string("ok") : s.error().param + ": " + s.error().message;
  };
  EXPECT_EQ(message({{"a", "t", 100}}), "ok");
  EXPECT_EQ(message({{"a", "t", 100}}, ""), "experiment: an experiment needs a name");
  EXPECT_EQ(message({}), "arms: experiment e: 0 arms; 1 to 16 can be");
  EXPECT_EQ(message({{"a", "t", 50}, {"b", "", 50}}),
            "arms[1]: experiment e: an arm needs a name and a target");
  EXPECT_EQ(message({{"a", "t", 50}, {"a", "t", 50}}), "arms[1]: experiment e: arm a stands twice");
  EXPECT_EQ(message({{"a", "t", 101}}), "arms[0]: experiment e: 101 % is not from 0 to 100");
  EXPECT_EQ(message({{"a", "t", 50}, {"b", "t", 49}}),
            "arms: experiment e: the arms have 99 % together, not 100");
}

}  // namespace
}  // namespace weir::gateway
