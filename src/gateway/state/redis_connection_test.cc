// What Redis answers, from a server that says whatever a test wants.
#include "gateway/state/redis_connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <string>

#include "gateway/state/unix_peer_testing.h"

namespace weir::gateway {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Reads what comes first, says `says` so many times and closes.
class OneAnswer : public UnixPeer {
 public:
  explicit OneAnswer(const std::string& says, int times = 1)
      : UnixPeer([says, times](int peer) {
          char asked[4096];
          bool open = ::recv(peer, asked, sizeof(asked), 0) > 0;
          for (int i = 0; i < times && open; ++i)
            open = ::send(peer, says.data(), says.size(), MSG_NOSIGNAL) >= 0;
        }) {}
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
