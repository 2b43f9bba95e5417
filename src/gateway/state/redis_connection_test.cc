// What Redis answers, from a server that says whatever a test wants.
#include "gateway/state/redis_connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <thread>

#include "os/temp_dir.h"

namespace weir::gateway {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Takes one connection, reads what comes first, says `says` so many times and closes.
class OneAnswer {
 public:
  explicit OneAnswer(std::string says, int times = 1)
      : fd_(::socket(AF_UNIX, SOCK_STREAM, 0)), says_(std::move(says)), times_(times) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path().c_str(), sizeof(address.sun_path) - 1);
    EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(::listen(fd_, 1), 0);
    thread_ = std::thread([this] { serve(); });
  }
  ~OneAnswer() {
    thread_.join();
    ::close(fd_);
  }
  OneAnswer(const OneAnswer&) = delete;
  OneAnswer& operator=(const OneAnswer&) = delete;

  std::string path() const { return dir_.file("redis.sock"); }

 private:
  void serve() {
    const int peer = ::accept(fd_, nullptr, nullptr);
    char asked[4096];
    bool open = ::recv(peer, asked, sizeof(asked), 0) > 0;
    for (int i = 0; i < times_ && open; ++i)
      open = ::send(peer, says_.data(), says_.size(), MSG_NOSIGNAL) >= 0;
    ::close(peer);
  }

  const os::TempDir dir_;
  const int fd_;
  const std::string says_;
  const int times_;
  std::thread thread_;
};

Result<std::vector<RedisReply>> answer_to(const OneAnswer& server, size_t commands = 1) {
  RedisAddress address;
  address.unix_path = server.path();
  address.call_ms = 2000;
  auto connection = RedisConnection::open(address);
  if (!connection.ok()) return connection.error();
  return connection->call(std::vector<std::vector<std::string>>(commands, {"PING"}));
}

constexpr std::string_view kAnswer = "*3\r\n:-12\r\n$3\r\na\r\n\r\n$-1\r\n-LOADING it is\r\n";

TEST(RedisReplies, AreFlat) {
  const OneAnswer server{std::string(kAnswer)};
  const auto replies = answer_to(server, 2);
  ASSERT_TRUE(replies.ok()) << replies.error().message;
  ASSERT_EQ(replies->size(), 2U);
  EXPECT_FALSE((*replies)[0].error);
  EXPECT_THAT((*replies)[0].texts, ElementsAre("-12", "a\r\n", ""));
  EXPECT_TRUE((*replies)[1].error);
  EXPECT_THAT((*replies)[1].texts, ElementsAre("LOADING it is"));
}

TEST(RedisReplies, CutAtEveryByteAreAnError) {
  for (size_t cut = 0; cut < kAnswer.size(); ++cut) {
    const OneAnswer server{std::string(kAnswer.substr(0, cut))};
    EXPECT_FALSE(answer_to(server, 2).ok()) << cut;
  }
}

TEST(RedisReplies, WhatIsNoneIsAnError) {
  for (const char* nonsense :
       {"HTTP/1.1 400 Bad Request\r\n\r\n", "*-7\r\n", "$x\r\n", "\x15\x03"}) {
    const OneAnswer server{nonsense};
    EXPECT_FALSE(answer_to(server).ok()) << nonsense;
  }
}

TEST(RedisReplies, AreBounded) {
  const OneAnswer server("$1000000000\r\n" + std::string(1 << 20, 'x'), 64);
  const auto replies = answer_to(server);
  ASSERT_FALSE(replies.ok());
  EXPECT_THAT(replies.error().message, HasSubstr("more than"));
}

}  // namespace
}  // namespace weir::gateway
