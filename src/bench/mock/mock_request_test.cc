#include "bench/mock/mock_request.h"

#include <gtest/gtest.h>

#include "text/json.h"

namespace weir::bench {
namespace {

TEST(MockRequest, Fields) {
  const auto r =
      parse_mock_request(R"({"model":"m","prompt":" one two\nthree ","max_tokens":5,"stream":true,)"
                         R"("stream_options":{"include_usage":true}})",
                         false);
  ASSERT_TRUE(r.ok()) << r.error().message;
  EXPECT_EQ(r->prompt_tokens, 3);
  EXPECT_EQ(r->output_tokens, 5);
  EXPECT_TRUE(r->stream && r->include_usage);
  const auto chat = parse_mock_request(
      R"({"model":"m","messages":[{"role":"system","content":"a b"},{"role":"user","content":"c"}]})",
      true);
  ASSERT_TRUE(chat.ok());
  EXPECT_EQ(chat->prompt_tokens, 3);
  EXPECT_EQ(chat->output_tokens, 16);
  EXPECT_EQ(parse_mock_request(R"({"model":"m","prompt":[1,2,3,4]})", false)->prompt_tokens, 4);
  const auto parts =
      parse_mock_request(R"({"messages":[{"role":"user","content":[{"type":"text","text":"a b c"},)"
                         R"({"type":"image_url","image_url":{"url":"x"}}]}]})",
                         true);
  ASSERT_TRUE(parts.ok()) << parts.error().message;
  EXPECT_EQ(parts->prompt_tokens, 3);
  EXPECT_EQ(parts->model, "");  // the mock's own
  EXPECT_EQ(parse_mock_request(R"({"prompt":["a b","c"]})", false)->prompt_tokens, 3);
  EXPECT_EQ(*parse_mock_tokenize(R"({"prompt":"a b"})"), 2);
}

TEST(MockRequest, RefusedAndCutAnywhere) {
  const std::string good = R"({"model":"m","prompt":"a b","max_tokens":5,"stream":true})";
  for (size_t cut = 0; cut < good.size(); ++cut)
    EXPECT_FALSE(parse_mock_request(good.substr(0, cut), false).ok()) << cut;
  for (const char* body :
       {R"({"model":1,"prompt":"a"})", R"({"model":"m"})", R"({"model":"m","prompt":1})",
        R"({"model":"m","messages":[]})", R"([])", R"({"model":"m","prompt":"a","max_tokens":0})",
        R"({"model":"m","prompt":"a","max_tokens":1000001})"})
    EXPECT_FALSE(parse_mock_request(body, false).ok()) << body;
}

// Whatever the model is called, what the mock says is JSON.
TEST(MockRequest, AnswersAreJson) {
  for (const bool chat : {false, true}) {
    MockRequest r;
    r.model = "a \"b\"\n";
    r.chat = chat;
    r.prompt_tokens = 3;
    r.output_tokens = 2;
    for (const std::string& event :
         {mock_token_event(r, "x"), mock_finish_event(r, "x"), mock_usage_event(r, "x")}) {
      ASSERT_TRUE(event.starts_with("data: ") && event.ends_with("\n\n"));
      EXPECT_TRUE(text::Json::parse(std::string_view(event).substr(6)).ok()) << event;
    }
    const auto whole = text::Json::parse(mock_answer(r, "x"));
    ASSERT_TRUE(whole.ok());
    EXPECT_EQ(whole->find("usage")->find("total_tokens")->as_int(), 5);
  }
}

}  // namespace
}  // namespace weir::bench
