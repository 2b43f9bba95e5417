// Members of an object are found where a parser finds them, whatever stands around.
#include "gateway/json_member.h"

#include <gtest/gtest.h>

#include "base/rng.h"
#include "text/json.h"

namespace weir::gateway {
namespace {

using text::Json;

std::string value_of(std::string_view json, std::string_view key) {
  const auto at = member_value(json, key);
  return at.has_value() ? std::string(json.substr(at->begin, at->size)) : "-";
}

TEST(JsonMember, FindsTheValue) {
  EXPECT_EQ(value_of(R"({"a":1,"model":"x","b":2})", "model"), R"("x")");
  EXPECT_EQ(value_of(R"( { "model" : "a\"b" , "z":[1] } )", "model"), R"("a\"b")");
  EXPECT_EQ(value_of(R"({"x":{"model":"inner"},"model":7})", "model"), "7");
  EXPECT_EQ(value_of(R"({"x":"model","y":["model",{}],"model":{"a":[1,2]} })", "model"),
            R"({"a":[1,2]})");
  EXPECT_EQ(value_of(R"({"x":1})", "model"), "-");
  EXPECT_EQ(value_of(R"({})", "model"), "-");
  EXPECT_EQ(value_of(R"([1])", "model"), "-");
  EXPECT_EQ(value_of(R"({"model":null})", "model"), "null");
}

TEST(JsonMember, ReplacesOrAdds) {
  EXPECT_EQ(with_member(R"({"a":1,"model":"x","b":2.50})", "model", R"("y")"),
            R"({"a":1,"model":"y","b":2.50})");
  EXPECT_EQ(with_member(R"({})", "model", "1"), R"({"model":1})");
  EXPECT_EQ(with_member(R"({ "a":1})", "model", "1"), R"({"model":1, "a":1})");
}

Json random_value(Rng& rng, int depth) {
  switch (rng.below(depth > 2 ? 4 : 6)) {
    case 0:
      return Json(static_cast<int64_t>(rng.below(1000)) - 500);
    case 1:
      return Json(nullptr);
    case 2:
      return Json(rng.below(2) == 0);
    case 3: {
      std::string text;
      for (uint64_t i = rng.below(6); i > 0; --i) text += "a\"\\,{}[]:\n"[rng.below(10)];
      return Json(text);
    }
    case 4: {
      Json list = Json::array();
      for (uint64_t i = rng.below(4); i > 0; --i) list.push_back(random_value(rng, depth + 1));
      return list;
    }
    default: {
      Json map = Json::object();
      for (uint64_t i = rng.below(4); i > 0; --i)
        map.set(std::string(1, "abm\"\\"[rng.below(5)]), random_value(rng, depth + 1));
      return map;
    }
  }
}

TEST(JsonMember, AgreesWithTheParser) {
  for (uint64_t seed = 0; seed < 5000; ++seed) {
    Rng rng(seed);
    Json value = Json::object();
    for (uint64_t i = rng.below(5); i > 0; --i)
      value.set(std::string(1, "abmxyz"[rng.below(6)]), random_value(rng, 0));
    const std::string json = value.dump({.indent = rng.below(2) == 0 ? 2 : -1});
    const Json* m = value.find("m");
    const auto at = member_value(json, "m");
    ASSERT_EQ(at.has_value(), m != nullptr) << json;
    if (m != nullptr) {
      const auto read = Json::parse(std::string_view(json).substr(at->begin, at->size));
      ASSERT_TRUE(read.ok() && *read == *m) << json;
    }
    const auto changed = Json::parse(with_member(json, "m", "42"));
    ASSERT_TRUE(changed.ok()) << json;
    ASSERT_EQ(changed->find("m")->as_int(), 42);
    ASSERT_EQ(changed->size(), value.size() + (m == nullptr ? 1 : 0)) << json;
  }
}

}  // namespace
}  // namespace weir::gateway
