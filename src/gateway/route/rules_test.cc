// Which rule matches, and which rules cannot.
#include "gateway/route/rules.h"

#include <gtest/gtest.h>

#include <set>

#include "base/rng.h"

namespace weir::gateway {
namespace {

using Kind = HeaderCondition::Kind;
using Fields = std::vector<http::Headers::Field>;

Rule rule(std::string name) {
  Rule r;
  r.target = "to-" + name;
  r.name = std::move(name);
  return r;
}

// The name of the rule that matches, or "-".
std::string match(const std::vector<Rule>& rules, const RequestView& request) {
  const auto made = Rules::make(rules);
  EXPECT_TRUE(made.ok()) << made.error().message;
  const Rule* r = made.ok() ? made->match(request) : nullptr;
  return r == nullptr ? "-" : r->name;
}

std::string with_header(const HeaderCondition& c, const Fields& fields) {
  Rule r = rule("r");
  r.headers.push_back(c);
  RequestView q;
  q.headers = fields;
  return match({r}, q);
}

TEST(RulesTest, HeaderConditions) {
  const Fields f = {{"X-Team", "search-eu"}, {"x-team", "ads"}};
  EXPECT_EQ(with_header({"x-TEAM", Kind::kPresent, ""}, f), "r");
  EXPECT_EQ(with_header({"x-other", Kind::kPresent, ""}, f), "-");
  EXPECT_EQ(with_header({"x-team", Kind::kAbsent, ""}, f), "-");
  EXPECT_EQ(with_header({"x-other", Kind::kAbsent, ""}, f), "r");
  EXPECT_EQ(with_header({"x-team", Kind::kExact, "ads"}, f), "r");
  EXPECT_EQ(with_header({"x-team", Kind::kExact, "ADS"}, f), "-");
  EXPECT_EQ(with_header({"x-team", Kind::kExact, "search"}, f), "-");
  EXPECT_EQ(with_header({"x-team", Kind::kPrefix, "search"}, f), "r");
  EXPECT_EQ(with_header({"x-team", Kind::kPrefix, "eu"}, f), "-");
  EXPECT_EQ(with_header({"x-team", Kind::kSuffix, "-eu"}, f), "r");
  EXPECT_EQ(with_header({"x-team", Kind::kSuffix, "search"}, f), "-");
}

TEST(RulesTest, TheFirstMatchWins) {
  Rule small = rule("small");
  small.max_input_tokens = 100;
  small.models = {"chat", "gpt-*"};
  Rule acme = rule("acme");
  acme.tenants = {"acme"};
  acme.routes = {"/v1/chat/*"};
  const std::vector<Rule> rules = {small, acme, rule("rest")};
  RequestView q;
  q.model = "gpt-4";
  q.tenant = "acme";
  q.route = "/v1/chat/completions";
  q.input_tokens = 100;
  EXPECT_EQ(match(rules, q), "small");
  q.input_tokens = 101;
  EXPECT_EQ(match(rules, q), "acme");
  q.route = "/v1/embeddings";
  EXPECT_EQ(match(rules, q), "rest");
  q.input_tokens = 5;
  EXPECT_EQ(match(rules, q), "small");
  q.model = "chat-2";
  EXPECT_EQ(match(rules, q), "rest");
  EXPECT_EQ(match({}, q), "-");
  const Rules made = *Rules::make(rules);
  EXPECT_EQ(made.match(q)->target, "to-rest");
}

// 2023-11-13 is a Monday; 1699833600 is its midnight in UTC.
TEST(RulesTest, TimesOfTheWeek) {
  constexpr int64_t kMonday = 1'699'833'600;
  const auto at = [](int day, int hour, int minute) {
    return kMonday + ((day * 24 + hour) * 60 + minute) * 60;
  };
  const TimeWindow work{.days = 0x1f, .start_minute = 9 * 60, .end_minute = 17 * 60};
  EXPECT_FALSE(contains(work, at(0, 8, 59)));
  EXPECT_TRUE(contains(work, at(0, 9, 0)));
  EXPECT_TRUE(contains(work, at(4, 16, 59)));
  EXPECT_FALSE(contains(work, at(4, 17, 0)));
  EXPECT_FALSE(contains(work, at(5, 12, 0)));
  // Friday night until Saturday morning.
  const TimeWindow night{.days = 1 << 4, .start_minute = 22 * 60, .end_minute = 6 * 60};
  EXPECT_TRUE(contains(night, at(4, 23, 0)));
  EXPECT_TRUE(contains(night, at(5, 5, 59)));
  EXPECT_FALSE(contains(night, at(5, 6, 0)));
  EXPECT_FALSE(contains(night, at(5, 23, 0)));
  EXPECT_FALSE(contains(night, at(4, 5, 0)));
  // Sunday night goes into Monday.
  const TimeWindow sunday{.days = 1 << 6, .start_minute = 22 * 60, .end_minute = 6 * 60};
  EXPECT_TRUE(contains(sunday, at(7, 5, 0)));
  // Two hours ahead of UTC it is Monday at 22:30 on Sunday.
  const TimeWindow east{.days = 1, .offset_minutes = 120};
  EXPECT_TRUE(contains(east, at(-1, 22, 30)));
  EXPECT_FALSE(contains(east, at(0, 22, 30)));
  const TimeWindow west{.days = 1, .offset_minutes = -300};
  EXPECT_FALSE(contains(west, at(0, 4, 59)));
  EXPECT_TRUE(contains(west, at(1, 4, 59)));
  // Before 1970: 1969-12-29 was a Monday.
  EXPECT_TRUE(contains({.days = 1}, -3 * 86'400));
  EXPECT_TRUE(contains({.days = 1 << 2, .start_minute = 1'439}, -1));
  EXPECT_FALSE(contains({.days = 1 << 2, .end_minute = 1'439}, -1));
}

std::string problem(std::vector<Rule> rules) {
  const auto made = Rules::make(std::move(rules));
  return made.ok() ? "ok" : made.error().param + ": " + made.error().message;
}

TEST(RulesTest, FindsRulesThatNothingReaches) {
  const auto second = [](const auto& change_a, const auto& change_b) {
    Rule a = rule("a");
    Rule b = rule("b");
    change_a(a);
    change_b(b);
    return problem({a, b}) != "ok";
  };
  const auto nothing = [](Rule&) {};
  EXPECT_EQ(problem({rule("a"), rule("b")}),
            "rules[1]: rule b: no request reaches it: rule a (number 1) takes all of them");
  const auto models = [](std::vector<std::string> m) {
    return [m = std::move(m)](Rule& r) { r.models = m; };
  };
  EXPECT_TRUE(second(nothing, models({"x"})));
  EXPECT_FALSE(second(models({"x"}), nothing));
  EXPECT_TRUE(second(models({"gpt-*", "x"}), models({"gpt-4*", "x"})));
  EXPECT_FALSE(second(models({"gpt-4*"}), models({"gpt-*"})));
  EXPECT_TRUE(second(models({"*"}), nothing));
  const auto tokens = [](int64_t low, int64_t high) {
    return [=](Rule& r) { r.min_input_tokens = low, r.max_input_tokens = high; };
  };
  EXPECT_TRUE(second(tokens(10, 100), tokens(20, 100)));
  EXPECT_FALSE(second(tokens(10, 100), tokens(20, 101)));
  EXPECT_FALSE(second(tokens(10, 100), nothing));
  const auto header = [](Kind kind, std::string value) {
    return [=](Rule& r) { r.headers.push_back({"h", kind, value}); };
  };
  EXPECT_TRUE(second(header(Kind::kPrefix, "a"), header(Kind::kExact, "ab")));
  EXPECT_TRUE(second(header(Kind::kPrefix, "a"), header(Kind::kPrefix, "ab")));
  EXPECT_TRUE(second(header(Kind::kPresent, ""), header(Kind::kSuffix, "b")));
  EXPECT_FALSE(second(header(Kind::kPrefix, "ab"), header(Kind::kPrefix, "a")));
  EXPECT_FALSE(second(header(Kind::kAbsent, ""), header(Kind::kExact, "ab")));
  const auto time = [](TimeWindow t) { return [=](Rule& r) { r.time = t; }; };
  EXPECT_TRUE(second(time({}), nothing));
  EXPECT_TRUE(second(time({.start_minute = 1'320, .end_minute = 360}),
                     time({.start_minute = 0, .end_minute = 60})));
  EXPECT_TRUE(second(time({.start_minute = 600, .end_minute = 660, .offset_minutes = 60}),
                     time({.start_minute = 540, .end_minute = 600})));
  EXPECT_FALSE(second(time({.days = 1}), time({.days = 3})));
}

// No rule that check() calls unreachable is ever the first to match, and among few values it finds
// most of those that a single earlier rule covers.
TEST(RulesTest, NeverCallsAReachableRuleUnreachable) {
  int found = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Rng rng(seed);
    const std::vector<std::string> values = {"a", "ab", "abc", "b"};
    const auto some = [&](std::vector<std::string>& list) {
      while (rng.below(3) == 0) list.push_back(values[rng.below(4)] + (rng.below(2) ? "*" : ""));
    };
    std::vector<Rule> rules;
    for (int i = 0; i < 4; ++i) {
      Rule r = rule(std::to_string(i));
      some(r.tenants);
      some(r.models);
      if (rng.below(2) == 0)
        r.headers.push_back({"h", static_cast<Kind>(rng.below(5)), values[rng.below(4)]});
      if (rng.below(3) == 0) {
        r.min_input_tokens = static_cast<int64_t>(rng.below(3));
        r.max_input_tokens = r.min_input_tokens + static_cast<int64_t>(rng.below(3));
      }
      if (rng.below(6) == 0) r.time = TimeWindow{.days = static_cast<uint8_t>(1 + rng.below(127))};
      rules.push_back(r);
    }
    std::set<size_t> unreachable;
    for (const RuleProblem& p : Rules::check(rules)) unreachable.insert(p.rule);
    found += static_cast<int>(unreachable.size());
    std::vector<Rules> alone;  // check() would refuse them together
    for (const Rule& r : rules) alone.push_back(*Rules::make({r}));
    for (int k = 0; k < 300; ++k) {
      RequestView q;
      q.tenant = values[rng.below(4)];
      q.model = values[rng.below(4)];
      q.input_tokens = static_cast<int64_t>(rng.below(6));
      q.unix_s = static_cast<int64_t>(rng.below(604'800));
      Fields fields;
      while (rng.below(2) == 0) fields.push_back({"H", values[rng.below(4)]});
      q.headers = fields;
      size_t first = 0;
      while (first < rules.size() && alone[first].match(q) == nullptr) ++first;
      ASSERT_EQ(unreachable.count(first), 0U) << "seed " << seed << " rule " << first;
    }
  }
  EXPECT_GT(found, 100);
}

TEST(RulesTest, RefusesWhatCannotBe) {
  const auto broken = [](const auto& change) {
    Rule r = rule("r");
    change(r);
    return problem({r});
  };
  EXPECT_EQ(problem({rule("a"), rule("")}), "rules[1]: rule : a rule needs a name");
  EXPECT_EQ(broken([](Rule& r) { r.target = ""; }), "rules[0]: rule r: it needs a target");
  EXPECT_EQ(broken([](Rule& r) { r.max_input_tokens = 0, r.min_input_tokens = 1; }),
            "rules[0]: rule r: no request has from 1 to 0 input tokens");
  EXPECT_EQ(broken([](Rule& r) { r.models = {"a*b"}; }),
            "rules[0]: rule r: 'a*b' is no pattern: '*' stands at the end or not at all");
  EXPECT_EQ(broken([](Rule& r) { r.tenants = {""}; }),
            "rules[0]: rule r: '' is no pattern: '*' stands at the end or not at all");
  EXPECT_EQ(broken([](Rule& r) {
              r.headers = {{"", Kind::kPresent, ""}};
            }),
            "rules[0]: rule r: a header condition needs the header's name");
  EXPECT_EQ(broken([](Rule& r) {
              r.headers = {{"h", Kind::kPrefix, ""}};
            }),
            "rules[0]: rule r: the condition on header h needs a value");
  EXPECT_EQ(broken([](Rule& r) {
              r.headers = {{"h", Kind::kAbsent, ""}, {"H", Kind::kExact, "v"}};
            }),
            "rules[0]: rule r: header h cannot be absent and have a value");
  EXPECT_EQ(broken([](Rule& r) { r.time = TimeWindow{.days = 0}; }),
            "rules[0]: rule r: days names no day of the week");
  EXPECT_EQ(broken([](Rule& r) { r.time = TimeWindow{.start_minute = 60, .end_minute = 60}; }),
            "rules[0]: rule r: minutes 60 to 60 are no time of the day (0 to 1440, end not start)");
  EXPECT_EQ(broken([](Rule& r) { r.time = TimeWindow{.offset_minutes = 900}; }),
            "rules[0]: rule r: 900 minutes is no offset from UTC");
  Rule first = rule("r");
  first.tenants = {"t"};
  EXPECT_EQ(problem({first, rule("r")}), "rules[1]: rule r: another rule has the same name");
  EXPECT_EQ(problem(std::vector<Rule>(257, rule("r"))), "rules: 257 rules; at most 256 can be");
}

}  // namespace
}  // namespace weir::gateway
