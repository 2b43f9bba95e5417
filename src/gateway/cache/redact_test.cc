#include "gateway/cache/redact.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace weir::gateway {
namespace {

using text::Json;

Json parse(std::string_view text) {
  auto json = Json::parse(text);
  EXPECT_TRUE(json.ok()) << text;
  return *json;
}

const telemetry::Scrubber kScrubber;

const char* const kRequest = R"({"model":"m","messages":[
  {"role":"system","content":"Write to boss@corp.example. Not to [EMAIL_2]."},
  {"role":"user","content":[{"type":"text","text":"I am jane@home.example, +49 30 1234567, boss@corp.example"},
                            {"type":"image_url","image_url":{"url":"jane@home.example"}}]},
  {"role":"assistant","content":null,"tool_calls":[{"id":"1","function":{"name":"f","arguments":"{\"key\": \"sk-abcDEF123456\"}"}}]}]})";

TEST(Redaction, ValuesBecomePlaceholders) {
  Json request = parse(kRequest);
  const auto r = Redaction::redact(request, kScrubber);
  ASSERT_TRUE(r.ok());
  EXPECT_EQ(r->values(), 4U);
  const auto& m = request.find("messages")->items();
  EXPECT_EQ(m[0].find("content")->as_string(), "Write to [EMAIL_1]. Not to [EMAIL_2].");
  EXPECT_EQ(m[1].find("content")->items()[0].find("text")->as_string(),
            "I am [EMAIL_3], [PHONE_1], [EMAIL_1]");
  EXPECT_EQ(m[1].find("content")->items()[1],
            parse(kRequest).find("messages")->items()[1].find("content")->items()[1]);
  EXPECT_EQ(m[2].find("tool_calls")->items()[0].find("function")->find("arguments")->as_string(),
            R"({"key": "[KEY_1]"})");
  EXPECT_EQ(*r->find("[EMAIL_3]"), "jane@home.example");
  EXPECT_EQ(r->find("[EMAIL_2]"), nullptr) << "was there before";
  Json prompts = parse(R"({"prompt":["a@b.co","x"],"input":"c@d.co"})");
  ASSERT_TRUE(Redaction::redact(prompts, kScrubber).ok());
  EXPECT_EQ(prompts.dump(), R"({"prompt":["[EMAIL_1]","x"],"input":"[EMAIL_2]"})");
}

// Wherever a person's words may stand, and nowhere else.
TEST(Redaction, WhatIsLookedAtInARequest) {
  const std::pair<const char*, const char*> rows[] = {
      {R"({"prediction":{"type":"content","content":"a@b.co"}})",
       R"({"prediction":{"type":"content","content":"[EMAIL_1]"}})"},
      {R"({"prediction":{"type":"content","content":[{"type":"text","text":"a@b.co"}]}})",
       R"({"prediction":{"type":"content","content":[{"type":"text","text":"[EMAIL_1]"}]}})"},
      {R"({"user":"a@b.co","metadata":{"a@b.co":"x a@b.co","n":1}})",
       R"({"user":"[EMAIL_1]","metadata":{"a@b.co":"x [EMAIL_1]","n":1}})"},
      {R"({"messages":[{"role":"user","name":"a@b.co","content":"x"},7]})",
       R"({"messages":[{"role":"user","name":"[EMAIL_1]","content":"x"},7]})"},
      {R"({"messages":[{"function_call":{"name":"f","arguments":"{\"to\":\"a@b.co\"}"}}]})",
       R"({"messages":[{"function_call":{"name":"f","arguments":"{\"to\":\"[EMAIL_1]\"}"}}]})"},
      {R"({"tools":[{"function":{"description":"a@b.co"}}],"safety_identifier":"a@b.co"})",
       R"({"tools":[{"function":{"description":"a@b.co"}}],"safety_identifier":"a@b.co"})"},
      {R"({"prediction":"a","metadata":["a"],"messages":[{"function_call":"a","name":1}]})",
       R"({"prediction":"a","metadata":["a"],"messages":[{"function_call":"a","name":1}]})"}};
  for (const auto& [sent, goes_out] : rows) {
    Json request = parse(sent);
    ASSERT_TRUE(Redaction::redact(request, kScrubber).ok()) << sent;
    EXPECT_EQ(request.dump(), goes_out);
  }
}

TEST(Redaction, AFunctionCallGetsTheValuesBack) {
  Json request = parse(R"({"prompt":"a@b.co"})");
  const auto r = Redaction::redact(request, kScrubber);
  ASSERT_TRUE(r.ok());
  Json answer = parse(
      R"({"choices":[{"message":{"function_call":{"name":"f","arguments":"\"[EMAIL_1]\""}}}]})");
  AnswerRestorer(*r).restore_answer(answer);
  EXPECT_NE(answer.dump().find(R"("\"a@b.co\"")"), std::string::npos) << answer.dump();
  AnswerRestorer restorer(*r);
  std::string arguments;
  for (const char* delta : {R"({"function_call":{"name":"f","arguments":"[EMA"}})",
                            R"({"function_call":{"arguments":"IL_1] ["}})", "{}"}) {
    Json event =
        parse(std::string(R"({"choices":[{"index":0,"finish_reason":)") +
              (delta[1] == '}' ? "\"function_call\"" : "null") + ",\"delta\":" + delta + "}]}");
    restorer.restore_event(event);
    const Json* call = event.find("choices")->items()[0].find("delta")->find("function_call");
    if (call != nullptr) arguments += call->find("arguments")->as_string();
  }
  EXPECT_EQ(arguments, "a@b.co [");
}

TEST(Redaction, BeyondItsBoundsNothingGoesOut) {
  std::string many;
  for (int i = 0; i < 1'001; ++i) many += fmt::format("u{}@h.example ", i);
  Json request = Json::object();
  request.set("prompt", many);
  const Json before = request;
  EXPECT_EQ(Redaction::redact(request, kScrubber).error().code, ErrorCode::kLimit);
  EXPECT_EQ(request, before);
  request.set("prompt", std::string(telemetry::Scrubber::kMaxTextBytes + 1, 'x'));
  EXPECT_EQ(Redaction::redact(request, kScrubber).error().code, ErrorCode::kLimit);
}

TEST(Redaction, AnswersGetTheValuesBack) {
  Json request = parse(kRequest);
  const auto r = Redaction::redact(request, kScrubber);
  ASSERT_TRUE(r.ok());
  Json answer = parse(R"({"choices":[{"message":{"content":"To [EMAIL_1], [EMAIL_2], [EMAIL_9] [",
    "tool_calls":[{"function":{"name":"f","arguments":"{\"to\":\"[EMAIL_3]\"}"}}]}},
    {"text":"[PHONE_1]"}]})");
  AnswerRestorer(*r).restore_answer(answer);
  EXPECT_EQ(answer.find("choices")->items()[0].find("message")->find("content")->as_string(),
            "To boss@corp.example, [EMAIL_2], [EMAIL_9] [");
  EXPECT_EQ(answer.dump().find("EMAIL_3"), std::string::npos);
  EXPECT_EQ(answer.find("choices")->items()[1].find("text")->as_string(), "+49 30 1234567");
}

// A value with quotes and line ends stays inside its JSON string.
TEST(Redaction, IntoJsonItIsEscaped) {
  Json request = Json::object();
  request.set("prompt", "-----BEGIN PRIVATE KEY-----\nab\"c\n-----END PRIVATE KEY-----");
  const auto r = Redaction::redact(request, kScrubber);
  ASSERT_TRUE(r.ok());
  TextRestorer json(*r, true);
  const auto arguments = Json::parse(json.feed(R"({"k":"[KEY_1]"})") + json.finish());
  ASSERT_TRUE(arguments.ok());
  EXPECT_EQ(arguments->find("k")->as_string(), "-----BEGIN PRIVATE KEY-----\nab\"c\n");
}

// However the text is cut into pieces, the same comes out, and little is held back.
TEST(Redaction, AcrossPieces) {
  Json request = parse(kRequest);
  const auto r = Redaction::redact(request, kScrubber);
  ASSERT_TRUE(r.ok());
  const std::string text =
      "[EMAIL_1][[EMAIL_3] x [EMAIL_ [EMAIL_33] [email_1] [PHONE_1]] [LONGPLACEHOLDERS_1] [E";
  const std::string wanted =
      "boss@corp.example[jane@home.example x [EMAIL_ [EMAIL_33] [email_1] +49 30 1234567] "
      "[LONGPLACEHOLDERS_1] [E";
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Rng rng(seed);
    TextRestorer restorer(*r, false);
    std::string out;
    for (size_t at = 0; at < text.size();) {
      const size_t size = 1 + rng.below(12);
      out += restorer.feed(std::string_view(text).substr(at, size));
      at += size;
    }
    ASSERT_EQ(out + restorer.finish(), wanted) << seed;
  }
  TextRestorer restorer(*r, false);
  EXPECT_EQ(restorer.feed("a [EMAI"), "a ");
  EXPECT_EQ(restorer.feed("L_1"), "");
  EXPECT_EQ(restorer.feed("] b"), "boss@corp.example b");
  EXPECT_EQ(restorer.feed("[x"), "[x");
  EXPECT_EQ(restorer.feed("[ABCDEFGHIJKLMNOPQ"), "[ABCDEFGHIJKLMNOPQ");
}

TEST(Redaction, EventsOfAStream) {
  Json request = parse(kRequest);
  const auto r = Redaction::redact(request, kScrubber);
  ASSERT_TRUE(r.ok());
  AnswerRestorer restorer(*r);
  std::string text;
  std::string other;
  std::string arguments;
  for (
      const char* data :
      {R"({"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]})",
       R"({"choices":[{"index":0,"delta":{"content":"to [EM"}},{"index":1,"delta":{"content":"[PHO"}}]})",
       R"({"choices":[{"index":1,"delta":{"content":"NE_1]"}}]})",
       R"({"choices":[{"index":0,"delta":{"content":"AIL_1] or ["}}]})",
       R"({"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"{\"k\":\"[KEY"}}]}}]})",
       R"({"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"_1]\"}["}}]}}]})",
       R"({"choices":[{"index":1,"delta":{"content":"[EMAIL"},"finish_reason":"length"}]})",
       R"({"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})",
       R"({"choices":[],"usage":{}})"}) {
    Json event = parse(data);
    restorer.restore_event(event);
    for (const Json& choice : event.find("choices")->items()) {
      const Json* content = choice.find("delta")->find("content");
      if (content != nullptr)
        (choice.find("index")->as_int() == 0 ? text : other) += content->as_string();
      if (const Json* calls = choice.find("delta")->find("tool_calls"))
        arguments += calls->items()[0].find("function")->find("arguments")->as_string();
    }
  }
  EXPECT_EQ(text, "to boss@corp.example or [");
  EXPECT_EQ(other, "+49 30 1234567[EMAIL");
  EXPECT_EQ(arguments, R"({"k":"sk-abcDEF123456"}[)");
}

TEST(LeakWatch, SeesKeysAcrossPieces) {
  const std::string secret = "correct horse battery";
  const auto leaks = [&](std::string_view text, size_t piece) {
    const Secrets secrets({secret, "short"});
    LeakWatch watch(kScrubber, secrets);
    bool leaked = false;
    for (size_t at = 0; at < text.size(); at += piece) leaked = watch.feed(text.substr(at, piece));
    return leaked;
  };
  const std::string filler(3'000, '.');
  std::string words;
  for (int i = 0; i < 200; ++i) words += "task-management of disk-encryption, ";
  for (const size_t piece : {1U, 7U, 100U, 100'000U}) {
    EXPECT_TRUE(leaks(filler + " ghp_16C7e42F292c6912E7710c838347Ae178B4a " + filler, piece));
    EXPECT_TRUE(leaks(filler + secret + filler, piece));
    EXPECT_FALSE(leaks(words, piece));
    EXPECT_FALSE(
        leaks(filler + "a short mail to jane@home.example, correct horse" + filler, piece));
  }
}

}  // namespace
}  // namespace weir::gateway
