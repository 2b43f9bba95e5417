// A gateway over loopback, in front of upstreams that answer well or badly. Tests only.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "gateway/gateway.h"
#include "gateway/upstream_testing.h"
#include "http/server_test_util.h"

namespace weir::gateway {

using http::TestClient;

class GatewayTest : public testing::Test {
 protected:
  // more: of models.chat, upstream: of the pool; members of a map.
  void start(const std::string& more = "", const std::string& upstream = "") {
    std::string yaml = "listen: {port: 0}\nupstreams:\n  pods: {endpoints: [";
    for (const auto& u : upstreams_) yaml += "\"" + u->url() + "\",";
    yaml += "]" + (upstream.empty() ? "" : ", " + upstream) + "}\nmodels:\n  chat: {" + more +
            "targets: [{upstream: pods}]}\n";
    yaml += "  renamed: {targets: [{upstream: pods, model: ok}]}\n";
    start_yaml(yaml);
  }
  // With the variable T of the environment, "t".
  static Result<GatewayConfig> config_of(const std::string& yaml) {
    const auto node = config::parse_yaml(yaml, "g.yaml");
    if (!node.ok()) return node.error();
    const Environment environment = [](const std::string& name) {
      return name == "T" ? std::optional<std::string>("t") : std::nullopt;
    };
    return parse_gateway_config(*node, "g.yaml", environment);
  }
  void start_yaml(const std::string& yaml, ResolveFn resolve = {}) {
    auto config = config_of(yaml);
    ASSERT_TRUE(config.ok()) << config.error().message;
    auto started = Gateway::start(std::move(*config), clock_, log_, 1, std::move(resolve));
    ASSERT_TRUE(started.ok()) << started.error().message;
    gateway_ = std::move(*started);
  }
  FakeUpstream& add(const std::string& name, const std::string& behaviour = "ok") {
    return *upstreams_.emplace_back(std::make_unique<FakeUpstream>(name, behaviour));
  }
  static std::string post(const std::string& body, const std::string& fields = "",
                          const std::string& path = "/v1/chat/completions") {
    return "POST " + path + " HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n" + fields +
           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  http::Response ask(const std::string& body, const std::string& fields = "") {
    TestClient client(gateway_->port());
    const auto response = client.exchange(post(body, fields));
    EXPECT_TRUE(response.has_value());
    return response.value_or(http::Response{0, {}, ""});
  }
  std::string metric(const std::string& line) {
    TestClient client(gateway_->port());
    const auto r = client.exchange("GET /metrics HTTP/1.1\r\nHost: t\r\n\r\n");
    const size_t at = r->body.find("\n" + line + " ");
    if (at == std::string::npos) return "";
    const size_t value = at + line.size() + 2;
    return r->body.substr(value, r->body.find('\n', value) - value);
  }

  // What the admin listener says; its token is T of the environment, "t".
  http::Response admin(const std::string& path, const std::string& method = "GET",
                       const std::string& body = "") {
    TestClient client(gateway_->admin_port());
    const auto r = client.exchange(method + " " + path +
                                   " HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer t\r\n"
                                   "Content-Length: " +
                                   std::to_string(body.size()) + "\r\n\r\n" + body);
    return r.value_or(http::Response{0, {}, ""});
  }

  // What was logged since the test set a level of log_.
  std::string logged() {
    std::string out;
    char piece[4096];
    // Not by fread, which would move the place where the gateway writes on.
    while (true) {
      const auto n =
          ::pread(::fileno(said_.get()), piece, sizeof piece, static_cast<off_t>(out.size()));
      if (n <= 0) return out;
      out.append(piece, static_cast<size_t>(n));
    }
  }
  // The same, once the text stands in it: a request's line comes behind its answer.
  std::string logged(const std::string& text) {
    std::string out = logged();
    for (int i = 0; i < 400 && out.find(text) == std::string::npos; ++i, out = logged())
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    EXPECT_NE(out.find(text), std::string::npos) << text << "\nis not in\n" << out;
    return out;
  }

  SystemClock clock_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> said_{std::tmpfile(), std::fclose};
  telemetry::Logger log_{{.level = telemetry::LogLevel::kOff, .file = said_.get()}};
  std::deque<std::unique_ptr<FakeUpstream>> upstreams_;
  std::unique_ptr<Gateway> gateway_;
};

inline constexpr std::string_view kChat =
    R"({"model":"chat","messages":[{"role":"user","content":"hi"}]})";
inline constexpr std::string_view kStream =
    R"({"model":"chat","stream":true,"messages":[{"role":"user","content":"hi"}]})";

}  // namespace weir::gateway
