// A Redis that answers what no script of ours says: no answer of it is taken for one, none is
// reckoned with, and nobody waits.
#include "gateway/state/quota_redis.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <string>

#include "gateway/state/quota_stores_testing.h"
#include "gateway/state/unix_peer_testing.h"

namespace weir::gateway {
namespace {

constexpr int64_t kNow = 1'800'000'000'000;

void answer_each(int peer, std::string& asked, const std::string& word, const std::string& with) {
  for (size_t at = 0; (at = asked.find(word)) != std::string::npos;) {
    asked.erase(0, at + word.size());
    (void)::send(peer, with.data(), with.size(), MSG_NOSIGNAL);
  }
}

// Takes scripts, and answers `says` to each call of one, until the peer closes.
class OddRedis : public UnixPeer {
 public:
  explicit OddRedis(const std::string& says)
      : UnixPeer([says](int peer) {
          std::string asked;
          char piece[4096];
          for (ssize_t n = 0; (n = ::recv(peer, piece, sizeof(piece), 0)) > 0;) {
            asked.append(piece, static_cast<size_t>(n));
            answer_each(peer, asked, "LOAD\r\n", "$2\r\nab\r\n");
            answer_each(peer, asked, "EVALSHA\r\n", says);
          }
        }) {}
};

QuotaAnswer answer_to(const std::string& says) {
  telemetry::Registry registry;
  const QuotaMetrics metrics(registry);
  OddRedis redis(says);
  RedisQuotaOptions o;
  o.address.unix_path = redis.path();
  RedisQuotaStore store(o, metrics);
  return reserve_now(store, {{"day", "n", QuotaMetric::kRequests, QuotaWindow::kDay, 9}}, {}, kNow);
}

// 0, refused, which limit, used, wanted, bucket, window, when was last taken in it.
std::string refused(const std::string& bucket, int window, int64_t last_ms = 0) {
  return "*8\r\n:0\r\n:0\r\n:1\r\n:9\r\n:1\r\n:" + bucket + "\r\n:" + std::to_string(window) +
         "\r\n:" + std::to_string(last_ms) + "\r\n";
}

TEST(OddRedisTest, ARefusalSaysWhenToComeAgain) {
  const int64_t day = window_at(QuotaWindow::kDay, kNow).bucket;
  const QuotaAnswer a = answer_to(refused(std::to_string(day), 1));
  EXPECT_EQ(a.verdict, QuotaVerdict::kRefused);
  EXPECT_EQ(a.retry_after_ms, bucket_leaves_ms(QuotaWindow::kDay, day, 0) - kNow);
  const std::string second = std::to_string(kNow / 1000 - 50);
  EXPECT_EQ(answer_to(refused(second, 0, kNow - 49'200)).retry_after_ms, 60'000 - 49'200);
}

TEST(OddRedisTest, WhatIsNoAnswerIsNone) {
  std::vector<std::string> odd = {":5\r\n",
                                  "$-1\r\n",
                                  "*0\r\n",
                                  "*2\r\n*1\r\n:1\r\n*0\r\n",
                                  "+OK\r\n",
                                  "*2\r\n:0\r\n:0\r\n",
                                  "*8\r\n:0\r\n:0\r\n:0\r\n:9\r\n:1\r\n:1\r\n:1\r\n:1\r\n"};
  for (const int64_t last_ms : {kNow - 50'001, kNow - 48'999, INT64_MAX, INT64_MIN})
    odd.push_back(refused(std::to_string(kNow / 1000 - 50), 0, last_ms));
  for (const int window : {-1, 0, 1, 2, 3})
    for (const char* bucket : {"9223372036854775807", "-9223372036854775808", "5000000"})
      odd.push_back(refused(bucket, window));
  for (const std::string& says : odd) {
    const QuotaAnswer a = answer_to(says);
    EXPECT_EQ(a.verdict, QuotaVerdict::kUnavailable) << says;
  }
}

}  // namespace
}  // namespace weir::gateway
