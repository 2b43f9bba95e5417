#include "text/json_schema.h"
#include "base/paths_testing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace weir::text {
namespace {

using ::testing::HasSubstr;

Json json(std::string_view text) {
  auto parsed = Json::parse(text);
  EXPECT_TRUE(parsed.ok()) << text;
  return *parsed;
}

TEST(SchemaCheckTest, AViolationNamesItsPlace) {
  const Json schema = json(
      R"({"type":"object","required":["a"],"properties":{"a":{"type":"array","items":{"$ref":"#/$defs/p"}}},)"
      R"("additionalProperties":false,"$defs":{"p":{"type":"integer","minimum":1}}})");
  ASSERT_TRUE(check_schema(schema).ok());
  EXPECT_EQ(schema_violation(schema, json(R"({"a":[1,2]})")), "");
  EXPECT_EQ(schema_violation(schema, json(R"({"a":[1,"2"]})")), "/a/1 must be of type \"integer\"");
  EXPECT_EQ(schema_violation(schema, json(R"({"a":[0]})")), "/a/0 is below minimum 1");
  EXPECT_EQ(schema_violation(schema, json("{}")), "the value lacks \"a\"");
  EXPECT_EQ(schema_violation(schema, json(R"({"a":[],"b":1})")), "/b is not allowed");
}

TEST(SchemaCheckTest, ASchemaThatIsNotUnderstoodIsAnError) {
  for (const auto& [schema, part] : std::vector<std::pair<std::string, std::string>>{
           {"3", "must be an object, true or false"},
           {R"({"type":"text"})", "schema /type must be one of"},
           {R"({"properties":{"a":{"minimum":"1"}}})", "schema /properties/a/minimum"},
           {R"({"dependentSchemas":{}})", "the keyword dependentSchemas is not supported"},
           {R"({"$ref":"http://x"})", "must name a place in the schema itself"},
           {R"({"$ref":"#/$defs/no"})", "must name a place in the schema itself"},
           {R"({"$ref":"#/default","default":{"minimum":"x"}})", "must be a number"},
           {R"({"$schema":"http://x/y"})", "must be one of json-schema.org"},
           {R"({"not":{"$id":"http://x/y"}})", "$id below the root is not read"},
           {R"({"pattern":"("})", "schema /pattern breaks"},
           {R"({"anyOf":[]})", "must be a list of schemas"},
           {R"({"required":"a"})", "must be a list of texts"}}) {
    const Status checked = check_schema(json(schema));
    ASSERT_FALSE(checked.ok()) << schema;
    EXPECT_THAT(checked.error().message, HasSubstr(part)) << schema;
  }
}

TEST(SchemaCheckTest, EndlessSchemasEnd) {
  const Json schema = json(R"({"oneOf":[{"$ref":"#"},{"$ref":"#"},{"$ref":"#"}]})");
  ASSERT_TRUE(check_schema(schema).ok());
  EXPECT_NE(schema_violation(schema, json("1")), "");
}

// What is given up inside of "not" or "if" is no answer, and not its opposite either.
TEST(SchemaCheckTest, GivingUpIsNeverValid) {
  const std::string endless = R"({"oneOf":[{"$ref":"#/$defs/a"},{"$ref":"#/$defs/a"}]})";
  for (const std::string outer :
       {R"({"not":{"$ref":"#/$defs/a"})", R"({"if":{"$ref":"#/$defs/a"},"then":false)",
        R"({"anyOf":[{"$ref":"#/$defs/a"},true])"}) {
    const Json schema = json(outer + R"(,"$defs":{"a":)" + endless + "}}");
    ASSERT_TRUE(check_schema(schema).ok()) << outer;
    const SchemaVerdict verdict = judge_by_schema(schema, json("1"));
    EXPECT_TRUE(verdict.gave_up) << outer;
    EXPECT_EQ(verdict.violation, "the value takes too many steps to check") << outer;
  }
  const Json pattern = json(R"({"not":{"pattern":"(a+)+$|^(a|aa)+b"}})");
  EXPECT_TRUE(judge_by_schema(pattern, Json(std::string(5000, 'a') + "c")).gave_up);
  EXPECT_FALSE(judge_by_schema(json("true"), json("1")).gave_up);
}

// Comparing all pairs of these took a minute.
TEST(SchemaCheckTest, ManyItemsAreComparedFast) {
  const Json schema = json(R"({"uniqueItems":true})");
  Json many = Json::array();
  for (int i = 0; i < 100'000; ++i) {
    Json item = Json::object();
    item.set("a", int64_t{i});
    item.set("b", "x");
    many.push_back(std::move(item));
  }
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(schema_violation(schema, many), "");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
  many.push_back(json(R"({"b":"x","a":7.0})"));
  EXPECT_EQ(schema_violation(schema, many), "the value holds an item twice");
  EXPECT_EQ(schema_violation(schema, json(R"([0,-0.0])")), "the value holds an item twice");
  EXPECT_EQ(schema_violation(schema, json(R"(["1",1,[1],{"a":1},true,null,"[1,]"])")), "");
}

// Groups of JSON-Schema-Test-Suite whose schemas are of the part that is supported.
TEST(SchemaCheckTest, AgreesWithThePublishedTests) {
  const std::string folder = weir::paths::shared("data/json-schema/tests/draft2020-12");
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << folder << " is not there";
  int cases = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    std::ostringstream text;
    text << std::ifstream(entry.path()).rdbuf();
    const auto groups = Json::parse(text.str());
    if (!groups.ok()) continue;  // numbers beyond 64 bits
    for (const Json& group : groups->items()) {
      const Json& schema = *group.find("schema");
      if (!check_schema(schema).ok()) continue;
      for (const Json& one : group.find("tests")->items()) {
        ++cases;
        const bool valid = schema_violation(schema, *one.find("data")).empty();
        EXPECT_EQ(valid, one.find("valid")->as_bool())
            << entry.path() << ": " << group.find("description")->as_string() << ": "
            << one.find("description")->as_string() << "\n"
            << schema.dump();
      }
    }
  }
  EXPECT_GT(cases, 600);
}

}  // namespace
}  // namespace weir::text
