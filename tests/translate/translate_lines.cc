// Translates requests and answers for translate_test.py. Reads one JSON object a line from standard
// input: {"client", "upstream", "path", "body"} is a request, answered with {"path", "body",
// "headers", "stream", "altered"} or {"error"}; then {"status", "content_type", "body"} is its
// answer, answered with {"status", "content_type", "body"}, or with {"error"}: what the client is
// to get.
#include <iostream>
#include <string>

#include "gateway/translate/translate.h"
#include "text/json.h"

namespace {

using namespace weir::gateway;
using weir::Error;
using weir::Result;
using weir::Status;
using weir::text::Json;

Protocol protocol_of(const Json& value) {
  return value.as_string() == "openai" ? Protocol::kOpenAi : Protocol::kAnthropic;
}

class Session {
 public:
  Json answer(const Json& line) {
    return line.find("client") != nullptr ? request(line) : reply(line);
  }

 private:
  Json failed(const Error& error, int status) {
    Json out = Json::object();
    out.set("error", error.message);
    out.set("status", status);
    out.set("content_type", "application/json");
    out.set("body", error_body(client_, error));
    return out;
  }

  Json request(const Json& line) {
    client_ = protocol_of(*line.find("client"));
    TranslateOptions options;
    options.upstream_model = line.find("model")->as_string();
    const auto r =
        translate_request(client_, protocol_of(*line.find("upstream")),
                          line.find("path")->as_string(), line.find("body")->as_string(), options);
    if (!r.ok()) return failed(r.error(), 400);
    plan_ = r->plan;
    Json out = Json::object();
    out.set("path", r->path);
    out.set("body", r->body);
    out.set("stream", r->plan.stream);
    Json altered = Json::array();
    for (const std::string& field : r->altered) altered.push_back(field);
    out.set("altered", std::move(altered));
    return out;
  }

  Json reply(const Json& line) {
    const auto translator = make_answer_translator(plan_);
    const auto status = static_cast<int>(line.find("status")->as_int());
    const std::string& type = line.find("content_type")->as_string();
    const std::string& body = line.find("body")->as_string();
    Json out = Json::object();
    if (status < 400 && plan_.stream) {
      std::string bytes;
      Status s = translator->begin(status, type);
      if (!s.ok()) return failed(s.error(), 502);
      s = translator->feed(body, bytes);
      if (s.ok()) s = translator->end(bytes);
      if (!s.ok()) translator->fail(s.error(), "", bytes);
      out.set("status", 200);
      out.set("content_type", "text/event-stream");
      out.set("body", bytes);
      return out;
    }
    const auto r = translator->whole(status, type, body);
    if (!r.ok()) return failed(r.error(), 502);
    out.set("status", r->status);
    out.set("content_type", r->content_type);
    out.set("body", r->body);
    return out;
  }

  Protocol client_ = Protocol::kOpenAi;
  AnswerPlan plan_;
};

}  // namespace

int main() {
  std::ios::sync_with_stdio(false);
  Session session;
  for (std::string line; std::getline(std::cin, line);) {
    const auto json = Json::parse(line);
    if (!json.ok()) return 1;
    std::cout << session.answer(*json).dump() << std::endl;
  }
}
