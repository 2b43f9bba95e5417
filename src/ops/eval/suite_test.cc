#include "ops/eval/suite.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weir::ops {
namespace {

using ::testing::HasSubstr;

constexpr const char* kSuite =
    "name: quick\n"
    "tasks:\n"
    "  - name: a\n"
    "    file: a.jsonl\n"
    "    limit: 7\n"
    "  - name: b\n"
    "    kind: multiple_choice\n"
    "    file: b.txt\n"
    "    format: hellaswag\n"
    "    metric: acc\n";

TEST(SuiteTest, ReadsTasks) {
  const auto suite = parse_suite(kSuite, "s.yaml");
  ASSERT_TRUE(suite.ok()) << suite.error().message;
  EXPECT_EQ(suite->name, "quick");
  EXPECT_EQ(suite->hash.size(), 32U);
  ASSERT_EQ(suite->tasks.size(), 2U);
  EXPECT_EQ(suite->tasks[0].format, "jsonl");
  EXPECT_EQ(suite->tasks[0].metric, "acc_norm");
  EXPECT_EQ(suite->tasks[0].limit, 7);
  EXPECT_EQ(suite->tasks[1].format, "hellaswag");
  EXPECT_EQ(suite->tasks[1].metric, "acc");
  EXPECT_EQ(suite->tasks[1].line, 6);
}

TEST(SuiteTest, WhatIsWrongIsNamedWithItsLine) {
  for (const auto& [text, part] : std::vector<std::pair<std::string, std::string>>{
           {"[]", "must be a map"},
           {"tasks:\n  - name: a\n    file: f\n", "s.yaml:1: the suite has no name"},
           {"name: x\n", "tasks must be a list"},
           {"name: x\ntasks: []\n", "s.yaml:2: tasks must be a list"},
           {"name: x\ntasks:\n  - a\n", "s.yaml:3: a task must be a map"},
           {"name: x\ntasks:\n  - file: f\n", "s.yaml:3: the task has no name"},
           {"name: x\ntasks:\n  - name: a\n", "the task a has no file"},
           {"name: x\ntasks:\n  - name: a\n    fil: f\n",
            "s.yaml:4: unknown key \"fil\"; the nearest is \"file\""},
           {"name: x\ntasks:\n  - name: a\n    file: f\n    kind: essay\n",
            "s.yaml:5: kind must be one of multiple_choice, generate, retrieval, determinism, "
            "code, not \"essay\""},
           {"name: x\ntasks:\n  - name: a\n    file: f\n    metric: f1\n", "acc_norm, acc"},
           {"name: x\ntasks:\n  - name: a\n    file: f\n    limit: 0\n", "limit must be a number"},
           {"name: x\ntasks:\n  - name: a\n    file: f\n  - name: a\n    file: g\n",
            "s.yaml:5: the task a stands in line 3 already"}}) {
    const auto suite = parse_suite(text, "s.yaml");
    ASSERT_FALSE(suite.ok()) << text;
    EXPECT_THAT(suite.error().message, HasSubstr(part)) << text;
  }
}

TEST(SuiteTest, EveryCutOfASuiteIsASuiteOrAnError) {
  const std::string whole = kSuite;
  for (size_t n = 0; n < whole.size(); ++n) {
    const auto suite = parse_suite(whole.substr(0, n), "s.yaml");
    if (suite.ok()) continue;
    EXPECT_THAT(suite.error().message, HasSubstr("s.yaml")) << n;
  }
}

TEST(ChoiceItemsTest, ReadsHellaswag) {
  const auto items =
      parse_choice_items("A man sits. he\n2\na\nb\nc\nd\r\nNext\n0\ne\nf\ng\nh", "hellaswag", "f");
  ASSERT_TRUE(items.ok()) << items.error().message;
  ASSERT_EQ(items->size(), 2U);
  EXPECT_EQ((*items)[0].prompt, "A man sits. he");
  EXPECT_EQ((*items)[0].answer, 2U);
  EXPECT_EQ((*items)[0].choices, (std::vector<std::string>{"a", "b", "c", "d"}));
  EXPECT_EQ((*items)[1].id, "1");
  EXPECT_EQ((*items)[1].choices[3], "h");
}

TEST(ChoiceItemsTest, ReadsJsonLines) {
  const auto items = parse_choice_items(
      "{\"id\":\"q\",\"prompt\":\"2 + 2 =\",\"choices\":[\"4\",\"5\"],\"answer\":0}\n\n"
      "{\"prompt\":\"p\",\"choices\":[\"x\",\"y\",\"z\"],\"answer\":2}\n",
      "jsonl", "f");
  ASSERT_TRUE(items.ok()) << items.error().message;
  ASSERT_EQ(items->size(), 2U);
  EXPECT_EQ((*items)[0].id, "q");
  EXPECT_EQ((*items)[1].id, "1");
  EXPECT_EQ((*items)[1].choices.size(), 3U);
}

TEST(ChoiceItemsTest, WhatIsWrongIsNamedWithItsLine) {
  const std::string good =
      "{\"id\":\"q\",\"prompt\":\"p\",\"choices\":[\"x\",\"y\"],\"answer\":0}\n";
  for (const auto& [format, text, part] :
       std::vector<std::tuple<std::string, std::string, std::string>>{
           {"hellaswag", "", "there are no items"},
           {"hellaswag", "p\n1\na\nb\nc\n", "f:5: the item ends before its four endings"},
           {"hellaswag", "p\n4\na\nb\nc\nd\n", "f:2: the number of the right ending"},
           {"hellaswag", "p\nx\na\nb\nc\nd\n", "f:2: the number of the right ending"},
           {"hellaswag", "p\n1\na\n\nc\nd\n", "a choice is empty"},
           {"jsonl", "\n \n", "there are no items"},
           {"jsonl", good + good, "f:2: the id \"q\" stands twice"},
           {"jsonl", good + "{", "f:2: "},
           {"jsonl",
            "{\"id\":\"" + std::string(513, 'i') +
                "\",\"prompt\":\"p\",\"choices\":[\"x\",\"y\"],\"answer\":0}",
            "f:1: the id has 513 bytes, more than 512"},
           {"jsonl", "{\"choices\":[\"x\",\"y\"],\"answer\":0}", "prompt must be a text"},
           {"jsonl", "{\"prompt\":\"p\",\"choices\":\"x\",\"answer\":0}", "choices must be a list"},
           {"jsonl", "{\"prompt\":\"p\",\"choices\":[1,2],\"answer\":0}", "a list of texts"},
           {"jsonl", "{\"prompt\":\"p\",\"choices\":[\"x\"],\"answer\":0}", "1 choices; 2 to 64"},
           {"jsonl", "{\"prompt\":\"p\",\"choices\":[\"x\",\"y\"],\"answer\":2}",
            "the index of one of the 2 choices"},
           {"jsonl", "{\"prompt\":\"p\",\"choices\":[\"x\",\"y\"],\"answer\":-1}", "the index"},
           {"jsonl", "{\"id\":3,\"prompt\":\"p\",\"choices\":[\"x\",\"y\"],\"answer\":0}",
            "id must be a text"}}) {
    const auto items = parse_choice_items(text, format, "f");
    ASSERT_FALSE(items.ok()) << text;
    EXPECT_THAT(items.error().message, HasSubstr(part)) << text;
  }
}

}  // namespace
}  // namespace weir::ops
