// A Redis that answers what no script of ours says: no answer of it is taken for one, none is
// reckoned with, and nobody waits.
#include "gateway/state/quota_redis.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

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

const std::vector<QuotaLimit> kLimits = {
    {"day", "n", QuotaMetric::kRequests, QuotaWindow::kDay, 1'000'000}};

// Takes scripts and answers `calls` calls of one, then hangs; whoever connects later hears nothing.
class HangingRedis : public UnixPeer {
 public:
  explicit HangingRedis(int calls)
      : UnixPeer([calls](int peer) mutable {
          std::string asked;
          char piece[4096];
          for (ssize_t n = 0; (n = ::recv(peer, piece, sizeof(piece), 0)) > 0;) {
            asked.append(piece, static_cast<size_t>(n));
            answer_each(peer, asked, "LOAD\r\n", "$2\r\nab\r\n");
            if (calls <= 0 || asked.find("EVALSHA\r\n") == std::string::npos) continue;
            answer_each(peer, asked, "EVALSHA\r\n", "*3\r\n:0\r\n:1\r\n:1\r\n");
            --calls;
          }
        }) {}
};

class HangingRedisTest : public testing::TestWithParam<bool> {
 protected:
  RedisQuotaOptions options(const HangingRedis& redis) const {
    RedisQuotaOptions o;
    o.address.unix_path = redis.path();
    o.address.connect_ms = o.address.call_ms = 100;
    o.fail_open = GetParam();
    return o;
  }
  void take(const QuotaAnswer& a) {
    EXPECT_EQ(a.verdict, GetParam() ? QuotaVerdict::kGranted : QuotaVerdict::kUnavailable);
    EXPECT_EQ(a.uncounted, GetParam());
    ++answered_;
  }
  void ask(RedisQuotaStore& store) {
    store.reserve(kLimits, {}, kNow, [this](const QuotaAnswer& a) { take(a); });
  }
  bool eventually_answered(int n) {
    for (int i = 0; i < 2000 && answered_ < n; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return answered_ == n;
  }

  telemetry::Registry registry_;
  const QuotaMetrics metrics_{registry_};
  std::atomic<int> answered_{0};
};
INSTANTIATE_TEST_SUITE_P(Fails, HangingRedisTest, testing::Bool());

// Who was there when it began to hang waits for one time-out; all others, for as long as it hangs
// and also while it is tried again, for nothing.
TEST_P(HangingRedisTest, HoldsNobodyUpTwice) {
  HangingRedis redis(2);
  RedisQuotaStore store(options(redis), metrics_);
  EXPECT_FALSE(reserve_now(store, kLimits, {}, kNow).uncounted);
  EXPECT_EQ(metrics_.up.value(), 1);
  constexpr int kAtOnce = 1000;
  for (int i = 0; i < kAtOnce; ++i) ask(store);
  ASSERT_TRUE(eventually_answered(kAtOnce));
  EXPECT_EQ(metrics_.up.value(), 0);
  const auto begun = std::chrono::steady_clock::now();
  int later = 0;
  while (std::chrono::steady_clock::now() - begun < std::chrono::milliseconds(600)) {
    ask(store);
    ASSERT_EQ(answered_, kAtOnce + ++later);  // before the call returned
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_GE(metrics_.failures.value(), 2);  // it was tried again
  EXPECT_LE(metrics_.failures.value(), 8);
  EXPECT_FALSE(store.connected());
}

TEST_P(HangingRedisTest, SoManyWaitAndNoMore) {
  HangingRedis redis(1);
  RedisQuotaOptions o = options(redis);
  o.address.call_ms = 1000;
  o.max_waiting = 3;
  o.max_pipeline = 1;
  RedisQuotaStore store(o, metrics_);
  for (int i = 0; i < 20; ++i) ask(store);
  EXPECT_GE(answered_, 20 - 3 - 1);
  EXPECT_TRUE(eventually_answered(20));
}

}  // namespace
}  // namespace weir::gateway
