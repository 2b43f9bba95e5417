#include "bench/load/answer_reader.h"

#include <gtest/gtest.h>

#include "bench/load/request_body.h"

namespace weir::bench {
namespace {

http::Response sse_head() {
  return {200, {{"content-type", "text/event-stream"}, {"server-timing", "queue;dur=1.5, x"}}, {}};
}

const std::string kStream =
    "data: {\"choices\":[{\"index\":0,\"text\":\" a\",\"finish_reason\":null}]}\n\n"
    ": keep-alive\n\n"
    "data: {\"choices\":[{\"index\":0,\"text\":\"\",\"finish_reason\":null}]}\n\n"
    "data: {\"choices\":[{\"index\":0,\"text\":\" b\",\"finish_reason\":null}]}\n\n"
    "data: {\"choices\":[{\"index\":0,\"text\":\"\",\"finish_reason\":\"length\"}]}\n\n"
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":4,"
    "\"prompt_tokens_details\":{\"cached_tokens\":5}}}\n\n"
    "data: [DONE]\n\n";

RequestRecord read(const http::Response& head, const std::string& body,
                   const http::Failure* failure = nullptr) {
  RequestRecord r;
  AnswerReader reader(r, true);
  reader.on_head(head);
  double now = 1;
  // One line end at a time, half a second apart.
  for (size_t at = 0; at < body.size();) {
    const size_t end = std::min(body.find("\n\n", at), body.size() - 2) + 2;
    reader.on_body(std::string_view(body).substr(at, end - at), now);
    now += 0.5;
    at = end;
  }
  reader.on_end(failure, now);
  return r;
}

TEST(AnswerReader, Stream) {
  const RequestRecord r = read(sse_head(), kStream);
  EXPECT_EQ(r.outcome, Outcome::kOk) << r.error;
  EXPECT_EQ(r.status, 200);
  EXPECT_EQ(r.first_token_s, 1);
  EXPECT_EQ(r.gaps_ms, (std::vector<float>{1000, 500}));
  EXPECT_EQ(r.prompt_tokens, 7);
  EXPECT_EQ(r.output_tokens, 4);
  EXPECT_EQ(r.cached_tokens, 5);
  EXPECT_EQ(r.queue_ms, 1.5);
  EXPECT_EQ(r.end_s, 4.5);
}

TEST(AnswerReader, ChatStream) {
  RequestRecord r;
  AnswerReader reader(r, true);
  reader.on_head(sse_head());
  const auto event = [&](const std::string& delta, double now) {
    reader.on_body("data: {\"choices\":[{\"delta\":" + delta + ",\"finish_reason\":null}]}\n\n",
                   now);
  };
  event(R"({"role":"assistant","content":""})", 1);
  event(R"({"reasoning_content":"hm"})", 2);
  event(R"({"content":"a"})", 3);
  reader.on_body("data: [DONE]\n\n", 4);
  reader.on_end(nullptr, 4);
  EXPECT_EQ(r.outcome, Outcome::kOk) << r.error;
  EXPECT_EQ(r.first_token_s, 2);
  EXPECT_EQ(r.output_tokens, 2) << "without usage, pieces count";
  EXPECT_EQ(reader.text(), "hma");
}

// However the bytes arrive, and wherever they stop.
TEST(AnswerReader, CutAnywhere) {
  for (size_t cut = 0; cut <= kStream.size(); ++cut) {
    RequestRecord r;
    AnswerReader reader(r, false);
    reader.on_head(sse_head());
    for (size_t i = 0; i < cut; ++i) reader.on_body(kStream.substr(i, 1), 1);
    reader.on_end(nullptr, 2);
    EXPECT_EQ(r.outcome, cut == kStream.size() ? Outcome::kOk : Outcome::kBadResponse) << cut;
    const http::Failure closed{http::FailureKind::kClosed, "gone", true};
    RequestRecord broken;
    AnswerReader other(broken, false);
    other.on_head(sse_head());
    other.on_body(kStream.substr(0, cut), 1);
    other.on_end(&closed, 2);
    EXPECT_EQ(broken.outcome, Outcome::kConnection) << cut;
  }
}

TEST(AnswerReader, WholeAnswer) {
  const http::Response head{200, {{"content-type", "application/json"}}, {}};
  const RequestRecord r =
      read(head, R"({"choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":3,)"
                 R"("completion_tokens":2}})");
  EXPECT_EQ(r.outcome, Outcome::kOk) << r.error;
  EXPECT_EQ(r.first_token_s, -1);
  EXPECT_EQ(r.output_tokens, 2);
  EXPECT_EQ(read(head, "{}  ").outcome, Outcome::kBadResponse);
  EXPECT_EQ(read(head, "<html>").outcome, Outcome::kBadResponse);
}

TEST(AnswerReader, Refusals) {
  const auto refusal = [](int status) {
    return read({status, {{"retry-after", "7"}}, {}}, R"({"error":{"message":"full"}})");
  };
  EXPECT_EQ(refusal(503).outcome, Outcome::kRejected);
  EXPECT_EQ(refusal(429).outcome, Outcome::kRejected);
  EXPECT_EQ(refusal(503).retry_after_s, 7);
  EXPECT_EQ(refusal(503).error, "full");
  EXPECT_EQ(refusal(404).outcome, Outcome::kClientError);
  EXPECT_EQ(refusal(500).outcome, Outcome::kServerError);
  EXPECT_EQ(refusal(302).outcome, Outcome::kBadResponse);
  EXPECT_EQ(read({500, {}, {}}, std::string(5000, 'x')).error.size(), 200U);
}

TEST(AnswerReader, FailuresAndErrorEvents) {
  const auto with = [](http::FailureKind kind) {
    const http::Failure failure{kind, "why", true};
    return read(sse_head(), "data: {}\n\n", &failure).outcome;
  };
  EXPECT_EQ(with(http::FailureKind::kTimeout), Outcome::kTimeout);
  EXPECT_EQ(with(http::FailureKind::kConnect), Outcome::kConnection);
  EXPECT_EQ(with(http::FailureKind::kProtocol), Outcome::kBadResponse);
  const RequestRecord r = read(sse_head(), "data: {\"error\":{\"message\":\"out of pages\"}}\n\n");
  EXPECT_EQ(r.outcome, Outcome::kServerError);
  EXPECT_EQ(r.error, "out of pages");
  EXPECT_EQ(read(sse_head(), "data: {\"a\":\n\ndata: [DONE]\n\n").outcome, Outcome::kBadResponse);
}

TEST(RequestBody, CompletionAndChat) {
  Target t;
  t.model = "m\"x";
  RequestShape shape;
  shape.extra = R"("top_p":0.5)";
  Turn turn;
  turn.output_tokens = 9;
  const std::vector<Exchange> said{{"u", "a"}};
  const auto member = [&](const std::string& name) {
    const auto body = text::Json::parse(request_body(t, shape, turn, said, "new"));
    EXPECT_TRUE(body.ok()) << body.error().message;
    const text::Json* value = body->find(name);
    return value == nullptr ? "" : value->dump();
  };
  EXPECT_EQ(member("model"), R"("m\"x")");
  EXPECT_EQ(member("prompt"), R"("u\na\nnew")");
  EXPECT_EQ(member("max_tokens"), "9");
  EXPECT_EQ(member("top_p"), "0.5");
  EXPECT_EQ(member("stream_options"), R"({"include_usage":true})");
  EXPECT_EQ(member("ignore_eos"), "true");
  t.chat = true;
  shape.stream = false;
  shape.ignore_eos = false;
  EXPECT_EQ(member("messages"),
            R"([{"role":"user","content":"u"},{"role":"assistant","content":"a"},)"
            R"({"role":"user","content":"new"}])");
  EXPECT_EQ(member("stream"), "false");
  EXPECT_EQ(member("stream_options"), "");
  EXPECT_EQ(member("ignore_eos"), "");
}

TEST(RequestBody, RowsOfOwnPrompts) {
  Target t;
  t.model = "m";
  const RequestShape shape;
  ops::DatasetRow row;
  row.messages = R"([{"role":"system","content":"s"},{"role":"user","content":"u"}])";
  const auto body = [&](const char* name) {
    return text::Json::parse(request_body(t, shape, Turn{}, row))->find(name)->dump();
  };
  EXPECT_EQ(body("prompt"), R"("s\nu")");
  t.chat = true;
  EXPECT_EQ(body("messages"), row.messages);
  row.messages.clear();
  row.prompt = "p";
  EXPECT_EQ(body("messages"), R"([{"role":"user","content":"p"}])");
}

}  // namespace
}  // namespace weir::bench
