// A server over loopback with a fake model, for tests only: requests as bytes, answers as JSON, and
// what is left in the engine.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <thread>

#include "engine/engine.h"
#include "engine/engine_testing.h"
#include "engine/fake_runner.h"
#include "http/server_test_util.h"
#include "server/server.h"
#include "text/json.h"

namespace weir::server {

using http::eventually;
using http::TestClient;
using text::Json;

inline std::string post(const std::string& path, const std::string& body,
                        const std::string& fields = "") {
  return "POST " + path + " HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n" + fields +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

inline std::string get(const std::string& path, const std::string& fields = "") {
  return "GET " + path + " HTTP/1.1\r\nHost: test\r\n" + fields + "\r\n";
}

inline Json parsed(const std::optional<http::Response>& response) {
  if (!response.has_value()) {
    ADD_FAILURE() << "no answer";
    return {};
  }
  auto json = Json::parse(response->body);
  EXPECT_TRUE(json.ok()) << response->body;
  return json.ok() ? *json : Json();
}

inline std::string error_code(const std::optional<http::Response>& response) {
  const Json body = parsed(response);
  const Json* error = body.find("error");
  return error == nullptr ? "no error" : error->find("code")->as_string();
}

class ServerTest : public testing::Test {
 protected:
  static engine::FakeRunner::Shape shape() {
    engine::FakeRunner::Shape s;
    s.context = 512;
    s.pages = 256;
    return s;
  }

  void SetUp() override {
    tokenizer_ = engine::tiny_tokenizer();
    ASSERT_NE(tokenizer_, nullptr);
    auto chat = text::ChatTemplate::compile(
        "{% for m in messages %}{{ m.role[0] }}:{{ m.content }};{% endfor %}");
    ASSERT_TRUE(chat.ok());
    chat_.emplace(std::move(*chat));
    runner_.before = [this](std::span<const model::Chunk>) -> Status {
      while (frozen_.load()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      std::this_thread::sleep_for(std::chrono::microseconds(step_us_.load()));
      if (failing_.load()) return make_error(ErrorCode::kInternal, "broken on purpose");
      return {};
    };
    config_.port = 0;
    config_.model_name = "tiny";
    config_.seed = 1;
  }

  void listen() {
    auto server = Server::listen(config_, clock_, log_);
    ASSERT_TRUE(server.ok()) << server.error().message;
    server_ = std::move(*server);
  }
  void serve() {
    engine_ = std::make_unique<engine::Engine>(runner_, *tokenizer_, clock_, limits_);
    const ServedModel served{*engine_, *tokenizer_, *chat_, shape().page_tokens, 1024, "q8_0"};
    server_->serve(served);
    engine_->start();
  }
  void start() {
    listen();
    if (server_ != nullptr) serve();
  }

  void TearDown() override {
    frozen_ = false;
    if (engine_) engine_->stop();
    server_.reset();
    engine_.reset();
  }

  TestClient client() { return TestClient(server_->port()); }
  std::optional<http::Response> ask(const std::string& request) {
    return client().exchange(request);
  }
  std::optional<http::Response> complete(const std::string& members) {
    return ask(post("/v1/completions", R"({"prompt":"hello","seed":1,)" + members + "}"));
  }
  // Over all label sets, or those that hold `label`.
  double metric(const std::string& name, const std::string& label = "") {
    std::istringstream lines(ask(get("/metrics"))->body);
    double sum = 0;
    bool found = false;
    for (std::string line; std::getline(lines, line);) {
      if (line.rfind(name, 0) != 0 || (line[name.size()] != '{' && line[name.size()] != ' '))
        continue;
      if (line.find(label) == std::string::npos) continue;
      found = true;
      sum += std::stod(line.substr(line.rfind(' ')));
    }
    EXPECT_TRUE(found) << "no metric " << name << " " << label;
    return sum;
  }
  bool engine_is_empty() {
    const engine::EngineStats s = engine_->stats();
    return s.free_pages == s.total_pages && engine_->idle();
  }

  SystemClock clock_;
  telemetry::Logger log_{[] {
    telemetry::LogOptions o;
    o.level = telemetry::LogLevel::kOff;
    return o;
  }()};
  engine::FakeRunner runner_{shape()};
  engine::EngineLimits limits_;
  ServerConfig config_;
  std::atomic<bool> frozen_{false};
  std::atomic<bool> failing_{false};
  std::atomic<int> step_us_{0};
  std::unique_ptr<text::Tokenizer> tokenizer_;
  std::optional<text::ChatTemplate> chat_;
  std::unique_ptr<engine::Engine> engine_;
  std::unique_ptr<Server> server_;
};

}  // namespace weir::server
