#include "ops/eval/generate_items.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weir::ops {
namespace {

using ::testing::HasSubstr;

SuiteTask task_of(const std::string& format, const std::string& scorer) {
  SuiteTask task;
  task.name = "t";
  task.kind = "generate";
  task.format = format;
  task.scorer.name = scorer;
  return task;
}

TEST(GenerateItemsTest, ReadsJsonLines) {
  const auto items = parse_generate_items(
      task_of("jsonl", "exact"),
      {"f",
       "{\"id\":\"q\",\"prompt\":\"2+2\",\"answer\":\"4\"}\n\n"
       "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"answer\":[\"a\",\"b\"],"
       "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]}\r\n"},
      {});
  ASSERT_TRUE(items.ok()) << items.error().message;
  ASSERT_EQ(items->size(), 2U);
  EXPECT_EQ((*items)[0].id, "q");
  EXPECT_EQ((*items)[0].prompt, "2+2");
  EXPECT_EQ((*items)[0].expected, text::Json("4"));
  EXPECT_EQ((*items)[1].id, "1");
  EXPECT_EQ((*items)[1].messages.size(), 1U);
  EXPECT_EQ((*items)[1].tools.size(), 1U);
}

TEST(GenerateItemsTest, ReadsGsm8k) {
  const auto items = parse_generate_items(
      task_of("gsm8k", "numeric"),
      {"f", "{\"question\":\"How many?\",\"answer\":\"2*9=18\\n#### 1,018\"}\n"}, {});
  ASSERT_TRUE(items.ok()) << items.error().message;
  EXPECT_EQ((*items)[0].prompt, "How many?");
  EXPECT_EQ((*items)[0].expected.as_double(), 1018);
}

constexpr const char* kBfcl =
    "{\"id\":\"s_0\",\"question\":[[{\"role\":\"user\",\"content\":\"area?\"}]],"
    "\"function\":[{\"name\":\"area\",\"parameters\":{\"type\":\"dict\"}}]}\n";

TEST(GenerateItemsTest, ReadsBfclWithItsAnswers) {
  SuiteTask task = task_of("bfcl", "tool_call");
  auto items = parse_generate_items(task, {"f", kBfcl}, {});
  ASSERT_TRUE(items.ok()) << items.error().message;
  EXPECT_EQ((*items)[0].expected.size(), 0U);  // no call
  EXPECT_THAT((*items)[0].tools.dump(), HasSubstr("\"object\""));
  task.answers = "possible.json";
  items = parse_generate_items(
      task, {"f", kBfcl}, {"p", "{\"id\":\"s_0\",\"ground_truth\":[{\"area\":{\"x\":[1]}}]}\n"});
  ASSERT_TRUE(items.ok()) << items.error().message;
  EXPECT_EQ((*items)[0].expected.size(), 1U);
}

TEST(GenerateItemsTest, WhatIsWrongIsNamedWithItsLine) {
  const std::string good = "{\"id\":\"q\",\"prompt\":\"p\",\"answer\":\"a\"}\n";
  for (const auto& [format, text, part] :
       std::vector<std::tuple<std::string, std::string, std::string>>{
           {"jsonl", "", "f: there are no items"},
           {"jsonl", good + good, "f:2: the id \"q\" stands twice"},
           {"jsonl", good + "\n{", "f:3: "},
           {"jsonl", good + "[]", "f:2: an item must be a JSON object"},
           {"jsonl", good + "{\"prompt\":\"p\"}", "f:2: answer must be there"},
           {"jsonl", "{\"answer\":\"a\"}", "f:1: the item must have either a prompt or messages"},
           {"jsonl", "{\"prompt\":\"p\",\"messages\":[],\"answer\":\"a\"}", "f:1: the item"},
           {"jsonl", "{\"prompt\":3,\"answer\":\"a\"}", "f:1: prompt must be a text"},
           {"jsonl", "{\"messages\":[{\"role\":\"user\"}],\"answer\":\"a\"}", "f:1: messages must"},
           {"jsonl", "{\"prompt\":\"p\",\"tools\":[3],\"answer\":\"a\"}", "f:1: tools must be"},
           {"jsonl", "{\"id\":7,\"prompt\":\"p\",\"answer\":\"a\"}", "f:1: id must be a text"},
           {"gsm8k", "{\"question\":\"q\",\"answer\":\"18\"}", "f:1: answer must be a text with"},
           {"gsm8k", "{\"question\":\"q\",\"answer\":\"#### x\"}", "f:1: no number stands behind"},
           {"bfcl", "{\"id\":\"s\",\"function\":[]}", "f:1: question must be"},
           {"bfcl", "{\"id\":\"s\",\"question\":[[{\"role\":\"user\",\"content\":\"c\"}]]}",
            "f:1: function must be"}}) {
    const auto items = parse_generate_items(
        task_of(format, format == "gsm8k" ? "numeric" : "exact"), {"f", text}, {});
    ASSERT_FALSE(items.ok()) << text;
    EXPECT_THAT(items.error().message, HasSubstr(part)) << text;
  }
}

TEST(GenerateItemsTest, WrongAnswersOfBfclAreNamed) {
  SuiteTask task = task_of("bfcl", "tool_call");
  task.answers = "possible.json";
  const std::string good = "{\"id\":\"s_0\",\"ground_truth\":[{\"f\":{}}]}\n";
  for (const auto& [answers, part] : std::vector<std::pair<std::string, std::string>>{
           {"", "f:1: possible.json has no answer for the id \"s_0\""},
           {good + good, "p:2: the id \"s_0\" stands twice"},
           {"{\"id\":\"s_0\"}\n", "p:1: ground_truth must be a list"},
           {"{\"id\":\"s_0\",\"ground_truth\":[{\"f\":{\"x\":1}}]}\n", "p:1: ground_truth must"}}) {
    const auto items = parse_generate_items(task, {"f", kBfcl}, {"p", answers});
    ASSERT_FALSE(items.ok()) << answers;
    EXPECT_THAT(items.error().message, HasSubstr(part)) << answers;
  }
}

}  // namespace
}  // namespace weir::ops
