// The exact bytes of answers.
#include "api/responses.h"

#include <gtest/gtest.h>

#include "api/embeddings.h"
namespace weir::api {
namespace {

const AnswerMeta kMeta{"id-1", 1700000000, "m"};
const AnswerUsage kUsage{3, 2, 0};

AnswerChoice choice(std::string text, std::optional<std::string_view> finish) {
  AnswerChoice c;
  c.text = std::move(text);
  c.finish_reason = finish;
  return c;
}

TEST(Responses, ChatCompletion) {
  const AnswerChoice c = choice("Hé\n", "stop");
  EXPECT_EQ(
      chat_completion(kMeta, {&c, 1}, kUsage),
      R"({"id":"id-1","object":"chat.completion","created":1700000000,"model":"m","choices":[)"
      R"({"index":0,"message":{"role":"assistant","content":"Hé\n","refusal":null},)"
      R"("logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":3,)"
      R"("completion_tokens":2,"total_tokens":5,"prompt_tokens_details":{"cached_tokens":0},)"
      R"("completion_tokens_details":{"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}})");
}

TEST(Responses, ChatChunks) {
  EXPECT_EQ(chat_chunk(kMeta, choice("a", std::nullopt), true),
            R"({"id":"id-1","object":"chat.completion.chunk","created":1700000000,"model":"m",)"
            R"("choices":[{"index":0,"delta":{"role":"assistant","content":"a"},"logprobs":null,)"
            R"("finish_reason":null}]})");
  EXPECT_EQ(chat_chunk(kMeta, choice("", "length"), false),
            R"({"id":"id-1","object":"chat.completion.chunk","created":1700000000,"model":"m",)"
            R"("choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"length"}]})");
}

TEST(Responses, TheUsageChunkHasNoChoices) {
  const std::string chunk = usage_chunk(kMeta, true, kUsage, {1.5, 2, 3, 0.25, 0.125, 8});
  EXPECT_NE(chunk.find(R"("choices":[])"), std::string::npos);
  EXPECT_NE(chunk.find(R"("total_tokens":5)"), std::string::npos);
  EXPECT_NE(chunk.find("chat.completion.chunk"), std::string::npos);
  EXPECT_NE(usage_chunk(kMeta, false, kUsage, {}).find("text_completion"), std::string::npos);
}

TEST(Responses, ChatLogprobsHoldBytes) {
  AnswerChoice c = choice("é", "stop");
  c.with_logprobs = true;
  c.logprobs = {{"\xc3", -0.5, {{"\xc3", -0.5, {}}, {"a", -1.0, {}}}}};
  const auto json = text::Json::parse(chat_completion(kMeta, {&c, 1}, kUsage));
  ASSERT_TRUE(json.ok()) << json.error().message;
  const text::Json& token =
      json->find("choices")->items()[0].find("logprobs")->find("content")->items()[0];
  EXPECT_EQ(token.find("bytes")->dump(), "[195]");
  EXPECT_EQ(token.find("logprob")->as_double(), -0.5);
  EXPECT_EQ(token.find("top_logprobs")->items().size(), 2U);
  EXPECT_EQ(token.find("top_logprobs")->items()[1].find("token")->as_string(), "a");
}

TEST(Responses, CompletionLogprobsHaveOffsets) {
  AnswerChoice c = choice("ab", "length");
  c.with_logprobs = true;
  c.logprobs = {{"a", -0.25, {{"a", -0.25, {}}}}, {"b", -2.0, {}}};
  const auto json = text::Json::parse(text_completion(kMeta, {&c, 1}, kUsage));
  ASSERT_TRUE(json.ok()) << json.error().message;
  const text::Json& lp = *json->find("choices")->items()[0].find("logprobs");
  EXPECT_EQ(lp.find("tokens")->dump(), R"(["a","b"])");
  EXPECT_EQ(lp.find("token_logprobs")->dump(), "[-0.25,-2.0]");
  EXPECT_EQ(lp.find("text_offset")->dump(), "[0,1]");
}

TEST(Responses, OffsetsCountCharacters) {
  AnswerChoice c = choice("\u00e9\U0001F600b", "length");
  c.with_logprobs = true;
  c.text_offset = 3;
  c.logprobs = {{"\u00e9", -1, {}}, {"\xF0\x9F", -1, {}}, {"\x98\x80", -1, {}}, {"b", -1, {}}};
  const auto json = text::Json::parse(text_completion(kMeta, {&c, 1}, kUsage));
  ASSERT_TRUE(json.ok()) << json.error().message;
  const text::Json& lp = *json->find("choices")->items()[0].find("logprobs");
  EXPECT_EQ(lp.find("text_offset")->dump(), "[3,4,5,5]");
}

TEST(Responses, ATokenOfThePromptMayHaveNoLogprobAndShowNothing) {
  AnswerChoice c = choice("ab", "length");
  c.with_logprobs = true;
  c.logprobs = {{"<s>", 0, {}}, {" a", -0.5, {{"b", -0.25, {}}}}, {"b", -2.0, {}}};
  c.logprobs[0].scored = false;
  c.logprobs[0].shown_characters = 0;
  c.logprobs[1].shown_characters = 1;
  const auto json = text::Json::parse(text_completion(kMeta, {&c, 1}, kUsage));
  ASSERT_TRUE(json.ok()) << json.error().message;
  const text::Json& lp = *json->find("choices")->items()[0].find("logprobs");
  EXPECT_EQ(lp.find("tokens")->dump(), R"(["<s>"," a","b"])");
  EXPECT_EQ(lp.find("token_logprobs")->dump(), "[null,-0.5,-2.0]");
  EXPECT_EQ(lp.find("top_logprobs")->dump(), R"([null,{"b":-0.25," a":-0.5},{"b":-2.0}])");
  EXPECT_EQ(lp.find("text_offset")->dump(), "[0,0,1]");
}

TEST(Responses, OfTokensThatReadAlikeTheLikeliestStandsInTheTop) {
  AnswerChoice c = choice("x", "length");
  c.with_logprobs = true;
  c.logprobs = {{"\xc3", -2.0, {{"\xa9", -0.5, {}}, {"\xc3", -2.0, {}}}}};
  const auto json = text::Json::parse(text_completion(kMeta, {&c, 1}, kUsage));
  ASSERT_TRUE(json.ok()) << json.error().message;
  const text::Json& lp = *json->find("choices")->items()[0].find("logprobs");
  EXPECT_EQ(lp.find("top_logprobs")->items()[0].find("\xef\xbf\xbd")->as_double(), -0.5);
}

TEST(Responses, NoByteOfATokenBreaksTheJson) {
  for (int b = 0; b < 256; ++b) {
    AnswerChoice c = choice("x", std::nullopt);
    c.with_logprobs = true;
    c.logprobs = {{std::string(1, static_cast<char>(b)), -1, {}}};
    EXPECT_TRUE(text::Json::parse(chat_chunk(kMeta, c, false)).ok()) << b;
    EXPECT_TRUE(text::Json::parse(text_chunk(kMeta, c)).ok()) << b;
  }
}

TEST(Responses, ModelList) {
  const ModelCard card{"m", 5, 4096};
  EXPECT_EQ(model_list({&card, 1}),
            R"({"object":"list","data":[{"id":"m","object":"model","created":5,"owned_by":"weir",)"
            R"("max_model_len":4096}]})");
}

TEST(EmbeddingList, HasOpenAisShape) {
  const std::vector<std::vector<float>> vectors{{0.5F, -1e-8F}, {1.0F, 0.1F}};
  EXPECT_EQ(embedding_list("m\"", vectors, VectorEncoding::kNumbers, 7),
            R"({"object":"list","data":[)"
            R"({"object":"embedding","index":0,"embedding":[0.5,-1e-08]},)"
            R"({"object":"embedding","index":1,"embedding":[1,0.1]}],)"
            R"("model":"m\"","usage":{"prompt_tokens":7,"total_tokens":7}})");
  const std::vector<std::vector<float>> halves{{1.0F, 0.5F}};  // 00 00 80 3F, 00 00 00 3F
  EXPECT_EQ(
      embedding_list("m", halves, VectorEncoding::kBase64, 1),
      R"({"object":"list","data":[{"object":"embedding","index":0,"embedding":"AACAPwAAAD8="}],)"
      R"("model":"m","usage":{"prompt_tokens":1,"total_tokens":1}})");
}

TEST(EmbeddingList, IsNeverLongerThanItsBound) {
  const float longest[] = {-1234567890000000.0F, -9999999e9F,   -1.17549435e-38F, -1.4e-45F,
                           -0.000123456789F,     -3.4028235e38F};
  for (const VectorEncoding encoding : {VectorEncoding::kNumbers, VectorEncoding::kBase64}) {
    for (const size_t dim : {1, 2, 3, 1000}) {
      for (const float value : longest) {
        const std::vector<std::vector<float>> vectors(110, std::vector<float>(dim, value));
        const auto bytes = static_cast<int64_t>(embedding_list("m\n", vectors, encoding, 1).size());
        const int64_t bound = max_embedding_list_bytes("m\n", vectors.size(), dim, encoding);
        EXPECT_LE(bytes, bound) << value;
        if (dim == 1000 && (encoding == VectorEncoding::kBase64 || value == longest[0])) {
          EXPECT_GT(bytes, bound * 0.9) << value;
        }
      }
    }
  }
}

TEST(Base64, IsThatOfTheStandard) {  // RFC 4648 section 10
  const auto of = [](std::string_view text) { return base64(std::as_bytes(std::span(text))); };
  EXPECT_EQ(of(""), "");
  EXPECT_EQ(of("f"), "Zg==");
  EXPECT_EQ(of("fo"), "Zm8=");
  EXPECT_EQ(of("foo"), "Zm9v");
  EXPECT_EQ(of("foob"), "Zm9vYg==");
  EXPECT_EQ(of("fooba"), "Zm9vYmE=");
  EXPECT_EQ(of("foobar"), "Zm9vYmFy");
  EXPECT_EQ(of("\xFB\xFF"), "+/8=");
}

}  // namespace
}  // namespace weir::api
