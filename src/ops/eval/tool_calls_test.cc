#include "ops/eval/tool_calls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ops/eval/scorer.h"

namespace weir::ops {
namespace {

using text::Json;

Json json(std::string_view text) {
  auto parsed = Json::parse(text);
  EXPECT_TRUE(parsed.ok()) << text;
  return *parsed;
}

std::string calls_of(std::string_view answer) {
  std::string out;
  for (const ToolCall& call : parse_tool_calls(answer))
    out += call.name + call.arguments.dump() + ";";
  return out;
}

TEST(ToolCallsTest, ReadsTheSyntaxesOfAnswers) {
  const std::string one = R"({"name":"f","arguments":{"x":1}})";
  const std::string two = R"({"name":"g","parameters":{}})";
  EXPECT_EQ(calls_of("<tool_call>\n" + one + "\n</tool_call>"), "f{\"x\":1};");
  EXPECT_EQ(calls_of("Well: <tool_call>" + one + "</tool_call> and <tool_call>" + two),
            "f{\"x\":1};g{};");
  EXPECT_EQ(calls_of("[TOOL_CALLS] [" + one + "," + two + "]"), "f{\"x\":1};g{};");
  EXPECT_EQ(calls_of(one), "f{\"x\":1};");
  EXPECT_EQ(calls_of("```json\n[" + one + "]\n```"), "f{\"x\":1};");
  EXPECT_EQ(calls_of(R"({"type":"function","function":{"name":"f","arguments":"{\"x\":1}"}})"),
            "f{\"x\":1};");
  for (const std::string text : {"", "I would call f.", "<tool_call>{\"name\":</tool_call>",
                                 "{\"nam\":\"f\"}", "[1,2]", "<tool_call>", "[TOOL_CALLS]"}) {
    EXPECT_EQ(calls_of(text), "") << text;
  }
}

TEST(ToolCallsTest, CallsMatchAsBfclHasIt) {
  const Json right = json(
      R"([{"f":{"x":[5,"five"],"unit":["units",""],"list":[[1,2.0],""],"o":[{"a":["A b"]},""]}}])");
  const auto match = [&](std::string_view arguments, const std::string& name = "f") {
    return calls_match(right, {{name, json(arguments)}});
  };
  EXPECT_TRUE(match(R"({"x":5})"));
  EXPECT_TRUE(match(R"({"x":5.0,"unit":"Units"})"));
  EXPECT_TRUE(match(R"({"x":"FIVE","list":[1.0,2]})"));
  EXPECT_TRUE(match(R"({"x":5,"o":{"a":"ab"}})"));
  EXPECT_FALSE(match(R"({"x":6})"));
  EXPECT_FALSE(match(R"({"x":"5"})"));
  EXPECT_FALSE(match(R"({})"));
  EXPECT_FALSE(match(R"({"x":5,"y":1})"));
  EXPECT_FALSE(match(R"({"x":5,"list":[1]})"));
  EXPECT_FALSE(match(R"({"x":5,"o":{"a":"c"}})"));
  EXPECT_FALSE(match(R"({"x":5})", "g"));
}

TEST(ToolCallsTest, SeveralCallsMatchInAnyOrder) {
  const Json right = json(R"([{"f":{"x":[1]}},{"f":{"x":[2]}}])");
  const ToolCall one{"f", json(R"({"x":1})")};
  const ToolCall two{"f", json(R"({"x":2})")};
  EXPECT_TRUE(calls_match(right, {two, one}));
  EXPECT_FALSE(calls_match(right, {one, one}));
  EXPECT_FALSE(calls_match(right, {one}));
  EXPECT_FALSE(calls_match(right, {one, two, two}));
  const Json twice = json(R"([{"f":{"x":[1]}},{"f":{"x":[1]}}])");
  EXPECT_TRUE(calls_match(twice, {one, one}));
  EXPECT_FALSE(calls_match(twice, {one, two}));
  EXPECT_TRUE(calls_match(Json::array(), {}));
  EXPECT_FALSE(calls_match(Json::array(), {one}));
}

TEST(ToolCallsTest, AnAnswerIsExpectedAsItStands) {
  const auto expected =
      expected_calls(json(R"({"name":"f","arguments":{"x":{"deep":[1,{"y":"z"}]}}})"));
  ASSERT_TRUE(expected.ok());
  EXPECT_TRUE(calls_match(*expected, {{"f", json(R"({"x":{"deep":[1,{"y":"z"}]}})")}}));
  EXPECT_FALSE(calls_match(*expected, {{"f", json(R"({"x":{"deep":[1,{"y":"w"}]}})")}}));
  ASSERT_TRUE(expected_calls(Json()).ok());
  EXPECT_EQ(expected_calls(Json())->size(), 0U);
  EXPECT_FALSE(expected_calls(json(R"([{"name":"f"}])")).ok());
  EXPECT_FALSE(expected_calls(json("3")).ok());
}

TEST(ToolCallsTest, BfclTypesBecomeThoseOfJsonSchema) {
  const Json tools = tools_of_bfcl(
      json(R"([{"name":"f","parameters":{"type":"dict","properties":{"type":{"type":"float"},)"
           R"("a":{"type":"tuple","items":{"type":"any"}}}}}])"));
  EXPECT_EQ(tools.dump(),
            R"([{"type":"function","function":{"name":"f","parameters":{"type":"object",)"
            R"("properties":{"type":{"type":"number"},"a":{"type":"array","items":{}}}}}}])");
  EXPECT_THAT(tool_instruction(tools), ::testing::HasSubstr(R"("name":"f")"));
}

}  // namespace
}  // namespace weir::ops
