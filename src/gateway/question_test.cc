#include "gateway/question.h"

#include <gtest/gtest.h>

namespace weir::gateway {
namespace {

using text::Json;

Question of(std::string_view json) {
  const auto body = Json::parse(json);
  EXPECT_TRUE(body.ok()) << json;
  return read_question(*body);
}

TEST(Question, IsTheLastMessageOfAUserAndWhatStandsBefore) {
  const Question q = of(R"({"system":[{"type":"text","text":"Be short."}],"messages":[
      {"role":"user","content":"One?"},{"role":"assistant","content":"1"},
      {"role":"user","content":[{"type":"text","text":"Two"},{"type":"image_url"},
       {"type":"text","text":"?"}]},{"role":"tool","content":"3"}]})");
  EXPECT_EQ(q.text, "Two?");
  EXPECT_EQ(q.turns_before, 1);
  EXPECT_EQ(q.before, "system: Be short.\nassistant: 1\nuser: One?\ntool: 3\n");
}

TEST(Question, PromptsAndInputs) {
  EXPECT_EQ(of(R"({"prompt":"a"})").text, "a");
  EXPECT_EQ(of(R"({"prompt":["a","b"]})").text, "ab");
  EXPECT_EQ(of(R"({"instructions":"i","input":"a"})").before, "system: i\n");
  EXPECT_EQ(of(R"({"input":[{"role":"user","content":[{"type":"input_text","text":"a"}]}]})").text,
            "a");
  for (const char* none : {"{}", "[]", "1", R"({"messages":7})", R"({"messages":[1,{"role":2}]})",
                           R"({"prompt":[1,2]})", R"({"messages":[{"content":{}}]})"})
    EXPECT_EQ(of(none).text, "") << none;
}

TEST(Question, WhatIsPutIntoAPromptIsNotLookedAtAgain) {
  EXPECT_EQ(fill_prompt("{question}|{answer}|{x}{", {"{answer}", "", "{question}"}),
            "{answer}|{question}|{x}{");
  EXPECT_EQ(fill_prompt("{conversation}", {"", "c", ""}), "c");
}

}  // namespace
}  // namespace weir::gateway
