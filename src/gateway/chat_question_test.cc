#include "gateway/chat_question.h"

#include <gtest/gtest.h>

#include "gateway/whole_answer.h"

namespace weir::gateway {
namespace {

using text::Json;

constexpr std::string_view kMessages =
    R"({"model":"smart","max_tokens":9,"stream":true,"top_k":3,"service_tier":"auto",)"
    R"("system":"be short","messages":[{"role":"user","content":"hi"}]})";
constexpr std::string_view kAnswer =
    R"({"id":"c","object":"chat.completion","created":1,"model":"small","choices":[{"index":0,)"
    R"("message":{"role":"assistant","content":"hello"},"finish_reason":"stop","logprobs":)"
    R"({"content":[{"token":"hello","logprob":-0.25}]}}],)"
    R"("usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}})";

TEST(ChatQuestion, AsksForLogProbabilitiesAndGivesTheAnswerBackAsAMessage) {
  auto q = ask_as_chat(*Json::parse(kMessages), "smart", true, 17);
  ASSERT_TRUE(q.ok()) << q.error().message;
  const Json chat = *Json::parse(q->body);
  EXPECT_EQ(*chat.find("logprobs"), Json(true));
  EXPECT_EQ(*chat.find("model"), Json("smart"));
  EXPECT_EQ(*chat.find("top_k"), Json(3));
  const Json* stream = chat.find("stream");
  EXPECT_TRUE(stream == nullptr || *stream == Json(false)) << q->body;
  EXPECT_EQ(chat.find("messages")->items().size(), 2U);
  EXPECT_EQ(q->altered, "service_tier");
  EXPECT_EQ(read_answer_content(*Json::parse(kAnswer)).mean_logprob, -0.25);
  const auto back = q->back->whole(200, "application/json", kAnswer);
  ASSERT_TRUE(back.ok()) << back.error().message;
  const Json message = *Json::parse(back->body);
  EXPECT_EQ(*message.find("type"), Json("message"));
  EXPECT_EQ(*message.find("model"), Json("smart"));
  EXPECT_EQ(*message.find("content")->items()[0].find("text"), Json("hello"));
  EXPECT_EQ(back->body.find("logprob"), std::string::npos) << back->body;
}

TEST(ChatQuestion, ErrorsComeBackAsTheClientReadsThem) {
  auto q = ask_as_chat(*Json::parse(kMessages), "smart", false, 17);
  ASSERT_TRUE(q.ok()) << q.error().message;
  EXPECT_NE(q->altered.find("top_k"), std::string::npos);
  const auto back = q->back->whole(
      503, "application/json",
      R"({"error":{"message":"busy","type":"server_error","param":null,"code":"x"}})");
  ASSERT_TRUE(back.ok());
  EXPECT_NE(back->body.find(R"({"type":"error","error":{"type":"overloaded_error")"),
            std::string::npos)
      << back->body;
}

TEST(ChatQuestion, WhatCannotBeTranslatedIsAnError) {
  const auto q =
      ask_as_chat(*Json::parse(R"({"model":"m","max_tokens":1,"mcp_servers":[{}],"messages":[]})"),
                  "m", false, 17);
  EXPECT_FALSE(q.ok());
}

TEST(ChatQuestion, AnswersCutAtEveryByteAreMessagesOrErrors) {
  const Json question = *Json::parse(kMessages);
  for (size_t cut = 0; cut < kAnswer.size(); ++cut) {
    auto q = ask_as_chat(question, "smart", true, 17);
    ASSERT_TRUE(q.ok());
    EXPECT_FALSE(q->back->whole(200, "application/json", kAnswer.substr(0, cut)).ok()) << cut;
  }
}

}  // namespace
}  // namespace weir::gateway
