// What request bodies are accepted, and what is said about the others.
#include <gtest/gtest.h>

#include <set>

#include "api/chat_completions.h"
#include "api/completions.h"
#include "api/embeddings.h"
#include "api/error_table.h"
#include "api/tokenize.h"

namespace weir::api {
namespace {

using text::Json;

Json parsed(std::string_view s) {
  auto json = Json::parse(s);
  EXPECT_TRUE(json.ok()) << s;
  return json.ok() ? *json : Json();
}

// {"messages":[…],MEMBERS}
std::string chat_body(const std::string& members) {
  return R"({"messages":[{"role":"user","content":"hi"}])" +
         (members.empty() ? "" : "," + members) + "}";
}

Result<ChatRequest> chat(const std::string& members, const Limits& limits = {}) {
  return parse_chat_request(parsed(chat_body(members)), limits);
}
Result<CompletionRequest> completion(const std::string& body, const Limits& limits = {}) {
  return parse_completion_request(parsed(body), limits);
}

// "param: message" of the error.
template <typename T>
std::string refusal(const Result<T>& result) {
  if (result.ok()) return "accepted";
  EXPECT_EQ(result.error().code, ErrorCode::kInvalidValue) << result.error().message;
  return result.error().param + ": " + result.error().message;
}

TEST(ChatRequest, DefaultsAreOpenAis) {
  const auto r = chat("");
  ASSERT_TRUE(r.ok()) << r.error().message;
  const GenerationParams& p = r->generation;
  EXPECT_FALSE(p.max_tokens.has_value());
  EXPECT_EQ(p.temperature, 1.0);
  EXPECT_EQ(p.top_p, 1.0);
  EXPECT_EQ(p.top_k, 0);
  EXPECT_EQ(p.n, 1);
  EXPECT_EQ(p.logprobs, -1);
  EXPECT_FALSE(p.stream || p.include_usage || p.ignore_eos || p.seed.has_value());
  EXPECT_TRUE(r->add_generation_prompt);
  EXPECT_EQ(r->messages.dump(), R"([{"role":"user","content":"hi"}])");
}

TEST(ChatRequest, GoesOnWithTheLastMessage) {
  const std::string messages =
      R"("messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"Hel"}],)";
  const auto parse = [](const std::string& body) {
    return parse_chat_request(*text::Json::parse("{" + body + "\"model\":\"m\"}"), {});
  };
  const auto r = parse(messages + R"("continue_final_message":true,)");
  ASSERT_TRUE(r.ok()) << r.error().message;
  EXPECT_EQ(r->begun, "Hel");
  EXPECT_EQ(r->messages.dump(), R"([{"role":"user","content":"hi"}])");
  EXPECT_TRUE(
      parse(messages + R"("continue_final_message":true,"add_generation_prompt":false,)").ok());
  const auto plain = parse(messages + R"("continue_final_message":false,)");
  EXPECT_TRUE(plain.ok() && !plain->begun.has_value() && plain->messages.size() == 2);
  EXPECT_EQ(parse(messages + R"("continue_final_message":true,"add_generation_prompt":true,)")
                .error()
                .param,
            "continue_final_message");
  EXPECT_EQ(parse(R"("messages":[{"role":"user","content":"hi"}],"continue_final_message":true,)")
                .error()
                .param,
            "messages[0]");
  EXPECT_EQ(parse(R"("messages":[{"role":"assistant","content":"a","tool_calls":[]}],)"
                  R"("continue_final_message":true,)")
                .error()
                .param,
            "messages[0]");
}

TEST(ChatRequest, EveryFieldIsRead) {
  const auto r = chat(
      R"("model":"m","max_tokens":5,"temperature":0.5,"top_p":0.9,"top_k":3,"min_p":0.1,)"
      R"("repetition_penalty":1.2,"presence_penalty":-1,"frequency_penalty":2,"seed":7,"n":2,)"
      R"("logit_bias":{"5":-100,"6":2.5},"stop":["a","b"],"stop_token_ids":[1,2],"min_tokens":1,)"
      R"("ignore_eos":true,"stream":true,"stream_options":{"include_usage":true},)"
      R"("logprobs":true,"top_logprobs":4,"chat_template_kwargs":{"a":1},"user":"u")");
  ASSERT_TRUE(r.ok()) << r.error().message;
  const GenerationParams& p = r->generation;
  EXPECT_EQ(p.model, "m");
  EXPECT_EQ(p.max_tokens, 5);
  EXPECT_EQ(p.temperature, 0.5);
  EXPECT_EQ(p.top_p, 0.9);
  EXPECT_EQ(p.top_k, 3);
  EXPECT_EQ(p.min_p, 0.1);
  EXPECT_EQ(p.repetition_penalty, 1.2);
  EXPECT_EQ(p.presence_penalty, -1);
  EXPECT_EQ(p.frequency_penalty, 2);
  EXPECT_EQ(p.seed, 7U);
  EXPECT_EQ(p.n, 2);
  ASSERT_EQ(p.logit_bias.size(), 2U);
  EXPECT_EQ(p.logit_bias[0], std::pair(5, -100.0));
  EXPECT_EQ(p.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(p.stop_token_ids, (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(p.min_tokens, 1);
  EXPECT_TRUE(p.ignore_eos && p.stream && p.include_usage);
  EXPECT_EQ(p.logprobs, 4);
  EXPECT_EQ(r->template_kwargs.dump(), R"({"a":1})");
}

TEST(ChatRequest, MaxCompletionTokensIsTheNewName) {
  EXPECT_EQ(chat(R"("max_completion_tokens":9)")->generation.max_tokens, 9);
}

TEST(ChatRequest, NullMeansAbsent) {
  const auto r = chat(R"("max_tokens":null,"stop":null,"seed":null,"tools":null,"logprobs":null)");
  ASSERT_TRUE(r.ok()) << r.error().message;
  EXPECT_FALSE(r->generation.max_tokens.has_value());
}

TEST(ChatRequest, EachBoundIsNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {R"("max_tokens":-1)", "max_tokens: max_tokens is -1; it must be between 1 and 2147483647"},
      {R"("max_tokens":0)", "max_tokens: max_tokens is 0; it must be between 1 and 2147483647"},
      {R"("max_tokens":1.5)", "max_tokens: max_tokens must be an integer, not a number"},
      {R"("seed":9223372036854775808)",
       "seed: seed is 9.223372036854776e+18; it must be between -9223372036854775808 and "
       "9223372036854775807"},
      {R"("max_tokens":"5")", "max_tokens: max_tokens must be an integer, not a string"},
      {R"("stream":1)", "stream: stream must be true or false, not an integer"},
      {R"("stop":5)", "stop: "},
      {R"("stop":[""])", "stop[0]: "},
      {R"("stop_token_ids":[-1])", "stop_token_ids[0]: "},
      {R"("logit_bias":[1])", "logit_bias: logit_bias must be an object from token id"},
      {R"("logit_bias":{"x":1})", "logit_bias"},
      {R"("logit_bias":{"1":"x"})", "logit_bias"},
      {R"("n":0)", "n: n is 0; it must be between 1 and 16"},
      {R"("n":17)", "n: n is 17; it must be between 1 and 16"},
      {R"("temperature":-0.1)", "temperature: temperature is -0.1; it must be between 0 and 2"},
      {R"("temperature":"hot")", "temperature: temperature must be a number, not a string"},
      {R"("top_p":1.1)", "top_p: "},
      {R"("min_p":-1)", "min_p: "},
      {R"("repetition_penalty":0)", "repetition_penalty: "},
      {R"("presence_penalty":2.1)", "presence_penalty: "},
      {R"("top_logprobs":3)", "top_logprobs: "},
      {R"("logprobs":true,"top_logprobs":21)", "top_logprobs: "},
      {R"("logprobs":5)", "logprobs: logprobs must be true or false, not an integer"},
      {R"("prompt_logprobs":0)", "prompt_logprobs: prompt_logprobs is not supported"},
      {R"("max_tokens":0)", "max_tokens: "},
      {R"("stream_options":7)", "stream_options: "},
      {R"("chat_template_kwargs":[])", "chat_template_kwargs: "},
      {R"("tools":{})", "tools: "},
      {R"("model":5)", "model: model must be a string, not an integer"},
  };
  for (const auto& [members, start] : cases) {
    const std::string said = refusal(chat(members));
    EXPECT_EQ(said.substr(0, std::string_view(start).size()), start) << members;
  }
}

TEST(ChatRequest, MessagesAreCheckedByPath) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({})", "messages: "},
      {R"({"messages":5})", "messages: messages must be an array of messages, not an integer"},
      {R"({"messages":[]})", "messages: messages must not be empty"},
      {R"({"messages":["x"]})", "messages[0]: "},
      {R"({"messages":[{"content":"x"}]})", "messages[0].role: "},
      {R"({"messages":[{"role":"x","content":"x"}]})", "messages[0].role: "},
      {R"({"messages":[{"role":"user"}]})", "messages[0].content: "},
      {R"({"messages":[{"role":"user","content":7}]})", "messages[0].content: "},
      {R"({"messages":[{"role":"user","content":[7]}]})", "messages[0].content[0]: "},
      {R"({"messages":[{"role":"user","content":[{"type":"text"}]}]})",
       "messages[0].content[0].text: "},
      {R"({"messages":[{"role":"user","content":[{"type":"image_url","image_url":{}}]}]})",
       "messages[0].content[0].type: "},
  };
  for (const auto& [body, start] : cases) {
    const std::string said = refusal(parse_chat_request(parsed(body), {}));
    EXPECT_EQ(said.substr(0, std::string_view(start).size()), start) << body;
  }
}

TEST(ChatRequest, TextPartsBecomeOneString) {
  const auto r = parse_chat_request(
      parsed(R"({"messages":[{"role":"user","content":[{"type":"text","text":"a"},)"
             R"({"type":"text","text":"b"}]}]})"),
      {});
  ASSERT_TRUE(r.ok()) << r.error().message;
  const std::string& content = r->messages.items()[0].find("content")->as_string();
  EXPECT_EQ(content.front(), 'a');
  EXPECT_EQ(content.back(), 'b');
}

TEST(ChatRequest, UnknownParametersAreIgnoredUnlessStrict) {
  EXPECT_TRUE(chat(R"("temprature":1)").ok());
  Limits strict;
  strict.strict = true;
  const auto r = chat(R"("temprature":1)", strict);
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.error().code, ErrorCode::kUnknownParameter);
  EXPECT_EQ(r.error().param, "temprature");
}

TEST(CompletionRequest, PromptsOfEachShape) {
  EXPECT_EQ(std::get<std::string>(completion(R"({"prompt":"a"})")->prompts.at(0)), "a");
  EXPECT_EQ(completion(R"({"prompt":["a","b"]})")->prompts.size(), 2U);
  EXPECT_EQ(std::get<std::vector<int32_t>>(completion(R"({"prompt":[1,2]})")->prompts.at(0)),
            (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(completion(R"({"prompt":[[1],[2,3]]})")->prompts.size(), 2U);
  EXPECT_EQ(completion(R"({"prompt":"a"})")->generation.max_tokens, 16);  // OpenAI's default here
  EXPECT_EQ(completion(R"({"prompt":"a","logprobs":2})")->generation.logprobs, 2);
}

TEST(CompletionRequest, EchoWithLogprobsAsksForThoseOfThePrompt) {
  const auto r = completion(R"({"prompt":"a","echo":true,"logprobs":1,"max_tokens":0})");
  ASSERT_TRUE(r.ok()) << r.error().message;
  EXPECT_TRUE(r->generation.prompt_logprobs);
  EXPECT_EQ(r->generation.max_tokens, 0);
  EXPECT_FALSE(completion(R"({"prompt":"a","echo":true})")->generation.prompt_logprobs);
  EXPECT_FALSE(completion(R"({"prompt":"a","logprobs":1})")->generation.prompt_logprobs);
  EXPECT_TRUE(completion(R"({"prompt":"a","echo":true,"logprobs":1,"stream":true})").ok());
}

TEST(CompletionRequest, HowManyLogprobsOfPromptsAnAnswerHolds) {
  Limits limits;
  limits.max_prompt_logprobs = 36;
  limits.max_streamed_prompt_logprobs = 18;
  const std::vector<std::vector<int32_t>> prompts{{1, 2}, {3, 4, 5, 6}};
  const auto said = [&](const char* body) {
    const auto r = completion(body);
    EXPECT_TRUE(r.ok());
    const Status ok = check_prompt_logprobs(*r, prompts, limits);
    return ok.ok() ? "" : ok.error().param + ": " + ok.error().message;
  };
  EXPECT_EQ(said(R"({"prompt":"a","echo":true,"logprobs":2,"n":2})"), "");
  EXPECT_EQ(said(R"({"prompt":"a","echo":true,"n":16})"), "");
  EXPECT_EQ(said(R"({"prompt":"a","echo":true,"logprobs":3,"n":2})"),
            "logprobs: echo with logprobs 3 asks for 48 log probabilities of 6 prompt tokens; an "
            "answer has at most 36: send fewer prompts a request, or ask for fewer alternatives");
  EXPECT_EQ(said(R"({"prompt":"a","echo":true,"logprobs":2,"stream":true})"), "");
  EXPECT_NE(said(R"({"prompt":"a","echo":true,"logprobs":3,"stream":true})").find("leave stream"),
            std::string::npos);
}

TEST(CompletionRequest, BadPromptsAreNamedByPath) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({})", "prompt: "},
      {R"({"prompt":5})", "prompt: "},
      {R"({"prompt":[]})", "prompt: "},
      {R"({"prompt":["a",5]})", "prompt[1]: "},
      {R"({"prompt":[1,"a"]})", "prompt[1]: "},
      {R"({"prompt":[-1]})", "prompt[0]: "},
      {R"({"prompt":[99999999999]})", "prompt[0]: "},
      {R"({"prompt":"a","logprobs":true})", "logprobs: "},
      {R"({"prompt":"a","best_of":2})", "best_of: "},
      {R"({"prompt":"a","suffix":"x"})", "suffix: "},
      {R"({"prompt":"a","max_tokens":0})", "max_tokens: "},
      {R"({"prompt":"a","max_tokens":-1,"echo":true})", "max_tokens: "},
      {R"({"prompt":"a","prompt_logprobs":1})", "prompt_logprobs: "},
      {R"({"prompt":"a","echo":true,"logprobs":1,"stream":true,"n":2})", "n: "},
  };
  for (const auto& [body, start] : cases) {
    const std::string said = refusal(completion(body));
    EXPECT_EQ(said.substr(0, std::string_view(start).size()), start) << body;
  }
  Limits limits;
  limits.max_prompts = 2;
  EXPECT_EQ(refusal(completion(R"({"prompt":["a","b","c"]})", limits)).substr(0, 8), "prompt: ");
}

TEST(TokenizeRequest, TakesAPromptOrMessages) {
  const auto tokenize = [](std::string_view s) { return parse_tokenize_request(parsed(s), {}); };
  EXPECT_EQ(tokenize(R"({"prompt":"a"})")->prompt, "a");
  EXPECT_TRUE(tokenize(R"({"messages":[{"role":"user","content":"a"}]})").ok());
  EXPECT_FALSE(tokenize(R"({})").ok());
  EXPECT_FALSE(tokenize(R"({"prompt":7})").ok());
  EXPECT_EQ(parse_detokenize_request(parsed(R"({"tokens":[1,2]})"), {})->tokens.size(), 2U);
  EXPECT_FALSE(parse_detokenize_request(parsed(R"({"tokens":"x"})"), {}).ok());
  EXPECT_FALSE(parse_detokenize_request(parsed(R"({"tokens":[1.5]})"), {}).ok());
}

// Every member replaced by a value of every type: an answer, whatever it is.
TEST(Requests, AnyTypeAnywhere) {
  const Json full = parsed(
      R"({"messages":[{"role":"user","content":[{"type":"text","text":"a"}],"tool_calls":[]}],)"
      R"("prompt":["a"],"model":"m","max_tokens":5,"stop":["a"],"logit_bias":{"1":1},"n":1,)"
      R"("stream_options":{},"tools":[{"type":"function","function":{"name":"f"}}],"seed":1,)"
      R"("stop_token_ids":[1],"tokens":[1],"response_format":{"type":"text"},"tool_choice":"auto"})");
  const Json values[] = {Json(),          Json(true),   Json(-1),
                         Json(1e300),     Json("x"),    parsed("[]"),
                         parsed("[[1]]"), parsed("{}"), parsed(R"({"type":[]})")};
  for (const auto& [name, unused] : full.members()) {
    for (const Json& value : values) {
      Json body = full;
      body.set(name, value);
      (void)parse_chat_request(body, {});
      (void)parse_completion_request(body, {});
      (void)parse_tokenize_request(body, {});
      (void)parse_detokenize_request(body, {});
    }
  }
  for (const Json& value : values) {
    EXPECT_FALSE(parse_chat_request(value, {}).ok());
    EXPECT_FALSE(parse_completion_request(value, {}).ok());
  }
}

TEST(ErrorTable, EveryCodeHasOneRowAndTheContractsStatus) {
  EXPECT_EQ(error_row(ErrorCode::kInvalidJson).status, 400);
  EXPECT_EQ(error_row(ErrorCode::kServerOverloaded).status, 503);
  EXPECT_TRUE(error_row(ErrorCode::kServerOverloaded).retryable);
  EXPECT_EQ(error_row(ErrorCode::kModelNotFound).openai_code, "model_not_found");
  EXPECT_EQ(error_row(ErrorCode::kIo).status, 500);
  EXPECT_EQ(render_error(param_error(ErrorCode::kInvalidValue, "n", "n is {}", 0)),
            R"({"error":{"message":"n is 0","type":"invalid_request_error","param":"n",)"
            R"("code":"invalid_value"}})");
}

TEST(ErrorTable, InternalErrorsKeepTheirSecrets) {
  const std::string shown = render_error(make_error(ErrorCode::kIo, "/secret/path: broken"), "r1");
  EXPECT_EQ(shown.find("secret"), std::string::npos);
  EXPECT_NE(shown.find("r1"), std::string::npos);
}

Result<EmbeddingRequest> embedding(const std::string& body, const Limits& limits = {}) {
  return parse_embedding_request(parsed(body), limits);
}

TEST(EmbeddingRequest, TakesTextsAndTokenIds) {
  const auto one = embedding(R"({"model":"m","input":"a"})");
  ASSERT_TRUE(one.ok()) << one.error().message;
  EXPECT_EQ(one->model, "m");
  ASSERT_EQ(one->inputs.size(), 1U);
  EXPECT_EQ(std::get<std::string>(one->inputs[0]), "a");
  EXPECT_EQ(one->encoding, VectorEncoding::kNumbers);
  EXPECT_FALSE(one->dimensions.has_value() || one->truncate_prompt_tokens.has_value());
  EXPECT_EQ(embedding(R"({"input":["a","b"]})")->inputs.size(), 2U);
  EXPECT_EQ(embedding(R"({"input":[1,2]})")->inputs.size(), 1U);
  const auto mixed = embedding(
      R"({"input":[[1,2],"b"],"encoding_format":"base64","dimensions":3,
          "truncate_prompt_tokens":-1,"user":"u"})",
      {.strict = true});
  ASSERT_TRUE(mixed.ok()) << mixed.error().message;
  EXPECT_EQ(std::get<std::vector<int32_t>>(mixed->inputs[0]), (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(mixed->encoding, VectorEncoding::kBase64);
  EXPECT_EQ(mixed->dimensions, 3);
  EXPECT_EQ(mixed->truncate_prompt_tokens, -1);
}

TEST(EmbeddingRequest, NamesTheFieldThatIsWrong) {
  EXPECT_EQ(refusal(embedding("{}")).substr(0, 6), "input:");
  EXPECT_EQ(refusal(embedding(R"({"input":[]})")), "input: input must not be empty");
  EXPECT_EQ(refusal(embedding(R"({"input":["a","b","c"]})", {.max_texts = 2})),
            "input: input has 3 items; at most 2 are taken");
  EXPECT_EQ(refusal(embedding(R"({"input":["a",{}]})")).substr(0, 9), "input[1]:");
  EXPECT_EQ(refusal(embedding(R"({"input":"a","encoding_format":"f16"})")),
            R"(encoding_format: encoding_format must be "float" or "base64", not "f16")");
  EXPECT_EQ(refusal(embedding(R"({"input":"a","dimensions":0})")).substr(0, 11), "dimensions:");
  EXPECT_EQ(refusal(embedding(R"({"input":"a","truncate_prompt_tokens":0})")),
            "truncate_prompt_tokens: truncate_prompt_tokens is 0; it must be -1 or at least 1");
}

}  // namespace
}  // namespace weir::api
