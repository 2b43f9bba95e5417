#include "ops/eval/code_items.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace weir::ops {
namespace {

using ::testing::HasSubstr;
using text::Json;

constexpr const char* kAdd =
    R"x({"task_id":"T/0","prompt":"import math\n\ndef one():\n    return 1\n\ndef add(a, b):\n    \"\"\"Adds.\"\"\"\n","test":"def check(candidate):\n    assert candidate(1, 2) == 3\n","entry_point":"add"})x";
constexpr const char* kSquare =
    R"x({"task_id":7,"text":"Write a function.","test_list":["assert sq(2) == 4","assert sq(3) == 9"],"test_setup_code":"X = 1","test_imports":["import math"]})x";

Result<std::vector<GenerateItem>> items(const std::string& text, const char* format) {
  SuiteTask task;
  task.kind = "code";
  task.format = format;
  return parse_code_items(task, {"f.jsonl", text});
}

TEST(CodeItemsTest, HumanEvalsProgramIsTheAnswerAndItsTests) {
  const auto read = items(kAdd, "humaneval");
  ASSERT_TRUE(read.ok()) << read.error().message;
  const GenerateItem& item = read->at(0);
  EXPECT_EQ(item.id, "T/0");
  EXPECT_THAT(item.prompt, HasSubstr("def add(a, b):"));
  // A completion goes on with the prompt.
  EXPECT_EQ(code_program(item.expected, "    return a + b", 87),
            "import math\n\ndef one():\n    return 1\n\ndef add(a, b):\n    \"\"\"Adds.\"\"\"\n"
            "    return a + b\n\ndef check(candidate):\n    assert candidate(1, 2) == 3\n\n"
            "check(add)\n\nimport os as weir_os\nweir_os._exit(87)\n");
  // A whole function keeps what stands before it there.
  EXPECT_EQ(
      code_program(item.expected, "Sure:\n```python\ndef add(a, b):\n    return a + b\n```\n", 87)
          .substr(0, 72),
      "import math\n\ndef one():\n    return 1\n\ndef add(a, b):\n    return a + b\n\n\n");
}

TEST(CodeItemsTest, MbppsProgramHasSetupAndImportsFirst) {
  const auto read = items(kSquare, "mbpp");
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->at(0).id, "7");
  EXPECT_THAT(read->at(0).prompt, HasSubstr("assert sq(2) == 4"));
  EXPECT_EQ(code_program(read->at(0).expected, "def sq(x): return x * x", 87),
            "import math\nX = 1\ndef sq(x): return x * x\n\nassert sq(2) == 4\nassert sq(3) == 9\n"
            "\nimport os as weir_os\nweir_os._exit(87)\n");
}

TEST(CodeItemsTest, TheRightBlockOfAnAnswerIsTaken) {
  EXPECT_EQ(code_of("a\n```\nx = 1\n```\n```py\ndef f(a):\n  pass\n```", "f"),
            "def f(a):\n  pass\n");
  EXPECT_EQ(code_of("a\n```\nx = 1\n```\nb\n```\ny = 2\n```", "f"), "x = 1\n");
  EXPECT_EQ(code_of("a ```python\ndef f(a):\n  pass", "f"), "def f(a):\n  pass");
  EXPECT_EQ(code_of("    return 1", "f"), "    return 1");
  EXPECT_EQ(code_of("```", "f"), "```");
  EXPECT_EQ(code_of("```\n```", ""), "");
}

TEST(CodeItemsTest, WhatIsWrongIsNamedWithItsLine) {
  for (const auto& [text, format, part] :
       std::vector<std::tuple<std::string, const char*, std::string>>{
           {"", "humaneval", "f.jsonl: there are no items"},
           {R"({"prompt":"a"})", "humaneval", "f.jsonl:1: task_id must be"},
           {R"({"task_id":"a"})", "humaneval", "f.jsonl:1: prompt must be a text"},
           {R"({"task_id":"a","prompt":"b"})", "humaneval", "test must be a text"},
           {R"({"task_id":"a","prompt":"b","test":"c"})", "humaneval", "entry_point must be"},
           {R"({"task_id":"a","prompt":"b","test":"c","entry_point":"f)\nimport os"})", "humaneval",
            "entry_point must be the name of a function"},
           {R"({"task_id":1,"text":"b"})", "mbpp", "test_list must be a list of texts"},
           {R"({"task_id":1,"text":"b","test_list":[]})", "mbpp", "test_list must be"},
           {R"({"task_id":1,"text":"b","test_list":[1]})", "mbpp", "test_list must be"},
           {R"({"task_id":1,"test_list":["a"]})", "mbpp", "text must be a text"},
           {std::string(kSquare) + "\n" + kSquare, "mbpp",
            "f.jsonl:2: the task_id \"7\" stands"}}) {
    const auto read = items(text, format);
    ASSERT_FALSE(read.ok()) << text;
    EXPECT_THAT(read.error().message, HasSubstr(part)) << text;
  }
}

TEST(CodeItemsTest, NoExitCodeIsAlwaysThatOfSuccess) {
  std::set<int> codes;
  for (int i = 0; i < 100; ++i) codes.insert(pass_code_of(std::to_string(i)));
  EXPECT_GT(codes.size(), 20U);
  EXPECT_GE(*codes.begin(), 8);
  EXPECT_LE(*codes.rbegin(), 119);
}

TEST(CodeItemsTest, OnlyPassingTheTestsCounts) {
  const auto acc = [](os::SandboxEnd end, int code) {
    os::SandboxResult run;
    run.end = end;
    run.code = code;
    return score_code(run, 87).front().second;
  };
  EXPECT_EQ(acc(os::SandboxEnd::kExited, 87), 1);
  EXPECT_EQ(acc(os::SandboxEnd::kExited, 0), 0);
  EXPECT_EQ(acc(os::SandboxEnd::kExited, 1), 0);
  EXPECT_EQ(acc(os::SandboxEnd::kSignal, 87), 0);
  os::SandboxResult late;
  late.end = os::SandboxEnd::kWallTime;
  EXPECT_EQ(score_code(late, 87), (EvalScores{{"acc", 0}, {"timed_out", 1}}));
  os::SandboxResult failed;
  failed.code = 1;
  failed.output = "Traceback\nAssertionError: no\n";
  EXPECT_EQ(shown_outcome(items(kAdd, "humaneval")->at(0).expected, failed, 87).substr(0, 26),
            "failed: AssertionError: no");
}

TEST(CodeItemsTest, EveryCutIsItemsOrAnError) {
  const std::string whole = kAdd;
  for (size_t n = 0; n < whole.size(); ++n) {
    for (const char* format : {"humaneval", "mbpp"}) {
      const auto cut = items(whole.substr(0, n), format);
      EXPECT_TRUE(cut.ok() || !cut.error().message.empty()) << n;
    }
  }
}

}  // namespace
}  // namespace weir::ops
