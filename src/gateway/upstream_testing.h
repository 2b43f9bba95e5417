// An upstream for tests: the model of a request says how it is answered. Tests only.
//
//   ok, slow (300 ms), hang (never), cut (after half of a stream), status-NNN, malformed (a stream
//   of another content type), nowhere and nowhere-page (404 of a web server), reset (closed without
//   an answer), echo (the last message's text, with usage and finish reason), embed (how many
//   letters a and b the first input has), trickle (a stream of 60 deltas, 5 ms apart), stall (half
//   of a stream, and nothing more)
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/thread_annotations.h"
#include "http/server.h"
#include "text/json.h"

namespace weir::gateway {

class FakeUpstream {
 public:
  // name: what its answers say; behaviour: instead of what the model says, when not empty; host and
  // port: where it listens, 0: any free one.
  explicit FakeUpstream(std::string name = "fake", std::string behaviour = "",
                        const std::string& host = "127.0.0.1", uint16_t port = 0)
      : name_(std::move(name)), host_(host), behaviour_(std::move(behaviour)) {
    http::ServerOptions options;
    options.host = host;
    options.port = port;
    auto started = http::Server::start(
        std::move(options),
        [this](http::Request request, http::ResponseWriter writer) {
          handle(std::move(request), std::move(writer));
        },
        {}, clock_);
    EXPECT_TRUE(started.ok());
    server_ = std::move(*started);
  }
  ~FakeUpstream() { server_->stop(); }
  FakeUpstream(const FakeUpstream&) = delete;
  FakeUpstream& operator=(const FakeUpstream&) = delete;

  std::string url() const { return "http://" + host_ + ":" + std::to_string(server_->port()); }
  uint16_t port() const { return server_->port(); }
  int requests() const { return requests_; }
  int gone() const { return gone_; }  // answers that nobody waited for
  http::Request last() const {
    MutexLock lock(mutex_);
    return last_;
  }
  // What it says at /metrics; "": nothing, with status 404.
  void say_metrics(std::string text) {
    MutexLock lock(mutex_);
    metrics_ = std::move(text);
  }
  int scrapes() const { return scrapes_; }
  void behave(std::string behaviour) {
    MutexLock lock(mutex_);
    behaviour_ = std::move(behaviour);
  }

 private:
  static std::string event(const std::string& text) {
    return R"(data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":")" +
           text + "\"}}]}\n\n";
  }

  void handle(http::Request request, http::ResponseWriter writer) {
    if (request.path == "/metrics") {
      ++scrapes_;
      MutexLock lock(mutex_);
      writer.send({metrics_.empty() ? 404 : 200, {{"Content-Type", "text/plain"}}, metrics_});
      return;
    }
    if (request.method == "GET") {
      writer.send(http::json_response(200, "{}"));
      return;
    }
    const auto body = text::Json::parse(request.body);
    const bool stream = body.ok() && body->find("stream") != nullptr &&
                        body->find("stream")->is_bool() && body->find("stream")->as_bool();
    std::string how;
    const bool counts = request.path.ends_with("/count_tokens");
    {
      MutexLock lock(mutex_);
      how = behaviour_.empty() ? body->find("model")->as_string() : behaviour_;
      last_ = std::move(request);
    }
    ++requests_;
    if (counts && !how.starts_with("status-") && how != "nowhere")
      return static_cast<void>(writer.send(http::json_response(200, R"({"input_tokens":42})")));
    if (how == "embed") return embed(*body, std::move(writer));
    if (how == "echo") return echo(*body, stream, std::move(writer));
    if (how == "message") return message(stream, std::move(writer));
    if (how == "slow-message") {
      // shared: std::function wants copies.
      auto kept = std::make_shared<http::ResponseWriter>(std::move(writer));
      return server_->post_after(std::chrono::milliseconds(200),
                                 [kept, stream] { message(stream, std::move(*kept)); });
    }
    answer(how, stream, std::move(writer));
  }

  static void embed(const text::Json& body, http::ResponseWriter writer) {
    const text::Json* input = body.find("input");
    const std::string text =
        input->is_string() ? input->as_string() : input->items()[0].as_string();
    const auto count = [&text](char c) { return std::count(text.begin(), text.end(), c); };
    writer.send(http::json_response(
        200, fmt::format(R"({{"object":"list","data":[{{"index":0,"embedding":[{},{}]}}]}})",
                         count('a'), count('b'))));
  }

  static text::Json echo_choice(const std::string& member, const std::string& text, bool last) {
    text::Json message = text::Json::object();
    message.set("role", "assistant");
    message.set("content", text);
    text::Json choice = text::Json::object();
    choice.set("index", 0);
    choice.set(member, std::move(message));
    choice.set("finish_reason", last ? text::Json("stop") : text::Json());
    text::Json choices = text::Json::array();
    choices.push_back(std::move(choice));
    text::Json out = text::Json::object();
    out.set("id", "chatcmpl-1");
    out.set("object", member == "delta" ? "chat.completion.chunk" : "chat.completion");
    out.set("created", 1);
    out.set("model", "m");
    out.set("choices", std::move(choices));
    return out;
  }

  // Of a stream an event for every three bytes, so that words come in pieces.
  static void echo(const text::Json& body, bool stream, http::ResponseWriter writer) {
    const std::string text = body.find("messages")->items().back().find("content")->as_string();
    if (!stream) {
      text::Json out = echo_choice("message", text, true);
      text::Json usage = text::Json::object();
      usage.set("prompt_tokens", 3);
      usage.set("completion_tokens", 2);
      usage.set("total_tokens", 5);
      out.set("usage", std::move(usage));
      writer.send(http::json_response(200, out.dump()));
      return;
    }
    writer.begin_stream(200, {{"Content-Type", "text/event-stream"}});
    for (size_t i = 0; i < text.size(); i += 3)
      writer.write("data: " + echo_choice("delta", text.substr(i, 3), false).dump() + "\n\n");
    writer.write("data: " + echo_choice("delta", "", true).dump() + "\n\ndata: [DONE]\n\n");
    writer.finish();
  }

  // One of Anthropic's kind, "hi".
  static void message(bool stream, http::ResponseWriter writer) {
    const auto head = [](std::string_view content, std::string_view reason) {
      return fmt::format(
          R"({{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{}],)"
          R"("stop_reason":{},"usage":{{"input_tokens":3,"output_tokens":2}}}})",
          content, reason);
    };
    if (!stream)
      return static_cast<void>(writer.send(
          http::json_response(200, head(R"({"type":"text","text":"hi"})", R"("end_turn")"))));
    writer.begin_stream(200, {{"Content-Type", "text/event-stream"}});
    const std::pair<std::string_view, std::string> events[] = {
        {"message_start", R"("message":)" + head("", "null")},
        {"content_block_start", R"("index":0,"content_block":{"type":"text","text":""})"},
        {"content_block_delta", R"("index":0,"delta":{"type":"text_delta","text":"hi"})"},
        {"content_block_stop", R"("index":0)"},
        {"message_delta", R"("delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2})"},
        {"message_stop", ""}};
    for (const auto& [type, rest] : events)
      writer.write(fmt::format("event: {0}\ndata: {{\"type\":\"{0}\"{1}{2}}}\n\n", type,
                               rest.empty() ? "" : ",", rest));
    writer.finish();
  }

  void answer(const std::string& how, bool stream, http::ResponseWriter writer) {
    if (how.starts_with("status-")) {
      int status = 500;
      std::from_chars(how.data() + 7, how.data() + how.size(), status);
      http::Response r = http::json_response(
          status, R"({"error":{"message":"no","type":"t","param":null,"code":"c"}})");
      if (status == 429 || status == 503) r.headers.set("Retry-After", "7");
      writer.send(std::move(r));
    } else if (how == "hang" || how == "slow") {
      // shared: std::function wants copies.
      auto kept = std::make_shared<http::ResponseWriter>(std::move(writer));
      kept->on_closed([this](http::CloseReason) { ++gone_; });
      if (how == "slow")
        server_->post_after(std::chrono::milliseconds(300),
                            [this, kept, stream] { answer("ok", stream, std::move(*kept)); });
      else
        hanging_.push_back(kept);
    } else if (how == "reset") {
      writer.begin_stream(200, {{"Content-Type", "application/json"}});
      writer.abort();
    } else if (how == "nowhere") {
      writer.send(http::json_response(404, R"({"detail":"Not Found"})"));
    } else if (how == "nowhere-page") {
      writer.send({404, {{"Content-Type", "text/html"}}, "<html>nginx</html>"});
    } else if (how == "malformed") {
      writer.send({200, {{"Content-Type", "text/html"}}, "<html>"});
    } else if (stream && how == "trickle") {
      writer.begin_stream(200, {{"Content-Type", "text/event-stream"}});
      // shared: std::function wants copies.
      auto kept = std::make_shared<http::ResponseWriter>(std::move(writer));
      kept->on_closed([this](http::CloseReason) { ++gone_; });
      trickle(kept, 60);
    } else if (stream) {
      writer.begin_stream(200, {{"Content-Type", "text/event-stream"}});
      writer.write(event("Hello "));
      writer.write(event("from " + name_));
      if (how == "stall") {
        hanging_.push_back(std::make_shared<http::ResponseWriter>(std::move(writer)));
        return;
      }
      if (how == "cut") {  // once the client of this has what came before
        auto kept = std::make_shared<http::ResponseWriter>(std::move(writer));
        return server_->post_after(std::chrono::milliseconds(50), [kept] { kept->abort(); });
      }
      if (how != "unfinished") writer.write("data: [DONE]\n\n");
      if (how == "linger") {  // its end comes later
        auto kept = std::make_shared<http::ResponseWriter>(std::move(writer));
        return server_->post_after(std::chrono::milliseconds(300), [kept] { kept->finish(); });
      }
      writer.finish();
    } else {
      writer.send(http::json_response(
          200, R"({"object":"chat.completion","choices":[{"index":0,"message":{"content":")" +
                   name_ + R"("}}],"usage":{"prompt_tokens":3,"completion_tokens":2}})"));
    }
  }

  void trickle(const std::shared_ptr<http::ResponseWriter>& writer, int deltas) {
    writer->write(deltas > 0 ? event("x") : "data: [DONE]\n\n");
    if (deltas == 0 || writer->closed()) {
      writer->finish();
      return;
    }
    server_->post_after(std::chrono::milliseconds(5),
                        [this, writer, deltas] { trickle(writer, deltas - 1); });
  }

  const std::string name_;
  const std::string host_;
  SystemClock clock_;
  std::atomic<int> requests_{0};
  std::atomic<int> gone_{0};
  std::atomic<int> scrapes_{0};
  mutable Mutex mutex_;
  std::string behaviour_ WEIR_GUARDED_BY(mutex_);
  std::string metrics_ WEIR_GUARDED_BY(mutex_);
  http::Request last_ WEIR_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<http::ResponseWriter>> hanging_;  // I/O thread
  std::unique_ptr<http::Server> server_;
};

}  // namespace weir::gateway
