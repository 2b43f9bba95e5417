#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <semaphore>
#include <string>
#include <thread>

#include "mcp/base64.h"
#include "mcp/http_endpoint.h"
#include "mcp/stdio.h"
#include "mcp/token.h"
#include "os/file.h"

namespace weir::mcp {
namespace {

using testing::HasSubstr;
using testing::Not;

// Tools "quick" and "slow"; slow runs until it is stopped.
Protocol protocol() {
  ServerContent content;
  for (const char* name : {"quick", "slow"}) {
    Tool tool;
    tool.name = name;
    tool.command = {name};
    content.tools.push_back(tool);
  }
  return Protocol(std::move(content));
}

ToolOutput run(const ToolCall& call, const std::function<bool()>& stopped,
               const std::function<void(double, std::string_view)>& progress) {
  progress(0.5, "half");
  while (call.command[0] == "slow" && !stopped())
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  ToolOutput out;
  out.output = "ran " + call.command[0];
  return out;
}

std::string call(int id, const std::string& tool) {
  return R"({"jsonrpc":"2.0","id":)" + std::to_string(id) +
         R"(,"method":"tools/call","params":{"name":")" + tool +
         R"(","_meta":{"progressToken":"t","io.modelcontextprotocol/protocolVersion":"2026-07-28",)" +
         R"("io.modelcontextprotocol/clientCapabilities":{}}}})" + "\n";
}

std::string cancel(int id) {
  return R"({"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":)" +
         std::to_string(id) + "}}\n";
}

// serve_stdio over pipes.
class Stdio : public testing::Test {
 protected:
  Stdio() {
    EXPECT_EQ(::pipe(in_.data()), 0);
    EXPECT_EQ(::pipe(out_.data()), 0);
    server_ = std::thread([this] {
      const Protocol p = protocol();
      ok_ = serve_stdio(p, run, 2, in_[0], out_[1]).ok();
      ::close(out_[1]);
    });
  }
  ~Stdio() override {
    end();
    ::close(in_[0]);
    ::close(out_[0]);
  }

  void say(const std::string& bytes) {
    size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t n = ::write(in_[1], bytes.data() + done, bytes.size() - done);
      ASSERT_GT(n, 0);
      done += static_cast<size_t>(n);
    }
  }
  std::string line() {
    std::string out;
    char c = 0;
    while (::read(out_[0], &c, 1) == 1 && c != '\n') out += c;
    return out;
  }
  void end() {
    if (!server_.joinable()) return;
    ::close(in_[1]);
    server_.join();
  }

  std::array<int, 2> in_{}, out_{};
  std::atomic<bool> ok_{false};
  std::thread server_;
};

TEST_F(Stdio, AnswersInLinesHoweverTheyArrive) {
  const std::string ping = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}";
  for (const char c : ping.substr(0, 20)) say(std::string(1, c));
  say(ping.substr(20) + "\r\n\n  \nnonsense\n");
  EXPECT_EQ(line(), R"({"jsonrpc":"2.0","id":1,"result":{}})");
  EXPECT_THAT(line(), HasSubstr("-32700"));
  say(std::string(kMaxMessageBytes + 2, 'x') + "\n" + ping);  // the last without a line end
  EXPECT_THAT(line(), HasSubstr("a line may have"));
  ::close(in_[1]);
  EXPECT_EQ(line(), R"({"jsonrpc":"2.0","id":1,"result":{}})");
  server_.join();
  EXPECT_TRUE(ok_);
}

TEST_F(Stdio, RunsCallsWithProgressWithinItsBound) {
  say(call(1, "quick"));
  EXPECT_THAT(line(), HasSubstr("notifications/progress"));
  EXPECT_THAT(line(), HasSubstr("ran quick"));
  say(call(2, "slow") + call(3, "slow"));
  EXPECT_THAT(line(), HasSubstr("progress"));
  EXPECT_THAT(line(), HasSubstr("progress"));
  say(call(2, "slow"));
  EXPECT_THAT(line(), HasSubstr("a request of this id runs"));
}

// An agent asks for several things at once: what is above the bound waits, in its order.
TEST_F(Stdio, MoreCallsThanMayRunWaitTheirTurn) {
  say(call(1, "slow") + call(2, "slow"));
  EXPECT_THAT(line(), HasSubstr("progress"));
  EXPECT_THAT(line(), HasSubstr("progress"));
  say(call(3, "quick") + call(4, "slow"));
  say(cancel(4));  // while it waits: it never begins
  say(cancel(1));
  EXPECT_THAT(line(), HasSubstr("progress"));
  EXPECT_THAT(line(), HasSubstr("ran quick"));
  say(call(10, "slow"));
  EXPECT_THAT(line(), HasSubstr("progress"));
  for (int i = 0; i < static_cast<int>(Calls::kMaxWaiting) + 1; ++i) say(call(20 + i, "quick"));
  EXPECT_THAT(line(), HasSubstr("2 calls run and 16 wait, the bound"));
}

// The answer reaches the client before the call's thread ends.
TEST(Calls, TheNameOfAnAnsweredCallIsFree) {
  std::binary_semaphore answering{0};
  std::binary_semaphore go_on{0};
  Calls calls([](const ToolCall&, const auto&, const auto&) { return ToolOutput(); }, 2);
  const auto answered = [&](const ToolOutput*) {
    answering.release();
    go_on.acquire();
  };
  EXPECT_EQ(calls.start("1", {}, {nullptr, answered}), Calls::Started::kYes);
  answering.acquire();
  EXPECT_EQ(calls.start("1", {}, {nullptr, [](const ToolOutput*) {}}), Calls::Started::kYes);
  go_on.release();
}

TEST_F(Stdio, ACancelledCallIsNotAnswered) {
  say(call(5, "slow"));
  EXPECT_THAT(line(), HasSubstr("progress"));
  say("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/"
      "cancelled\",\"params\":{\"requestId\":5}}\n");
  say("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/"
      "cancelled\",\"params\":{\"requestId\":99}}\n");
  end();  // the input's end ends all that runs
  EXPECT_EQ(line(), "");
}

RpcMessage message(const std::string& bytes) {
  const RpcRead read = read_message(bytes);
  EXPECT_TRUE(read.message);
  return *read.message;
}

TEST(HttpHeaders, AreHeldAgainstTheBody) {
  const RpcMessage m = message(call(1, "quick"));
  const http::Headers good{
      {"mcp-protocol-version", "2026-07-28"}, {"Mcp-Method", "tools/call"}, {"Mcp-Name", "quick"}};
  EXPECT_EQ(header_mismatch(good, m), "");
  http::Headers encoded = good;
  encoded.set("Mcp-Name", "=?base64?cXVpY2s=?=");
  EXPECT_EQ(header_mismatch(encoded, m), "");
  for (const char* name : {"MCP-Protocol-Version", "Mcp-Method", "Mcp-Name"}) {
    http::Headers missing = good;
    missing.remove(name);
    EXPECT_THAT(header_mismatch(missing, m), HasSubstr("missing"));
    http::Headers other = good;
    other.set(name, "tools/list");
    EXPECT_THAT(header_mismatch(other, m), HasSubstr("the body says"));
  }
}

TEST(Token, IsCheckedReadAndCompared) {
  const std::string token = "0123456789abcdef0123";
  EXPECT_TRUE(presents_token({{"authorization", "bearer " + token}}, token));
  EXPECT_TRUE(presents_token({{"Authorization", "Bearer " + token}}, token));
  const std::vector<std::string> others = {"",
                                           token,
                                           "Bearer " + token + "4",
                                           "Bearer ",
                                           "Bearer 0123456789abcdef0124",
                                           "Basic " + token};
  for (const std::string& field : others)
    EXPECT_FALSE(presents_token({{"Authorization", field}}, token)) << field;
  EXPECT_FALSE(presents_token({}, token));
  for (const char* bad : {"", "short", "with a blank in its middle", "0123456789abcdef\x80"})
    EXPECT_THAT(check_token(bad, "t").error().message, HasSubstr("openssl rand -hex 24"));
  const std::string path = testing::TempDir() + "/weir-mcp-token-" + std::to_string(::getpid());
  ASSERT_TRUE(os::write_file_atomic(path, token + "\n").ok());
  ASSERT_EQ(::chmod(path.c_str(), 0640), 0);
  EXPECT_THAT(read_token_file(path).error().message, HasSubstr("chmod 600"));
  ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
  EXPECT_EQ(*read_token_file(path), token);
  ::unlink(path.c_str());
}

TEST(Base64, AsClientsWriteIt) {
  EXPECT_EQ(decode_base64("SGVsbG8="), "Hello");
  EXPECT_EQ(decode_base64("/+8="), "\xff\xef");
  EXPECT_EQ(decode_base64(""), "");
  for (const char* bad : {"a", "ab=c", "a===", "ab*=", "abc"})
    EXPECT_EQ(decode_base64(bad), std::nullopt);
  EXPECT_EQ(decode_header("plain"), "plain");
  EXPECT_EQ(decode_header("=?base64?*?="), std::nullopt);
  EXPECT_EQ(decode_header("=?base64?="), "=?base64?=");
}

}  // namespace
}  // namespace weir::mcp
