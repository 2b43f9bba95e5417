// What crashes and outages do to quotas: the gateway is killed, Redis goes away and hangs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>

#include "gateway/state/quota_stores_testing.h"
#include "http/tls_testing.h"

namespace weir::gateway {
namespace {

constexpr int64_t kNow = 1'800'000'000'000;

QuotaLimit per_day(int64_t most) {
  return {"day", "tokens per day", QuotaMetric::kOutputTokens, QuotaWindow::kDay, most};
}

// Does it in a process of its own, which is killed as soon as it is done.
template <typename Work>
void killed_after(const Work& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    work();
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
}

// Grants are written to a pipe as they are given; after the kill the file never holds less.
TEST(QuotaFile, AfterAKillNeverLessThanWasGranted) {
  constexpr int64_t kLimit = 640'000;
  for (int round = 0; round < 2; ++round) {
    os::TempDir dir;
    telemetry::Registry registry;
    const QuotaMetrics metrics(registry);
    MemoryQuotaOptions o;
    o.path = dir.file("quota.db");
    o.batch_ms = 5;
    int pipe[2];
    ASSERT_EQ(::pipe(pipe), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      auto store = MemoryQuotaStore::open(o, metrics, kNow);
      for (int64_t i = 0; store.ok(); ++i) {
        const QuotaAnswer a = reserve_now(**store, {per_day(kLimit)}, {.output_tokens = 100}, kNow);
        if (a.verdict != QuotaVerdict::kGranted) break;
        const int64_t granted = 100;
        if (::write(pipe[1], &granted, sizeof granted) < 0) break;
      }
      ::pause();
    }
    ::close(pipe[1]);
    int64_t granted = 0, one = 0;
    for (int i = 0; i < 400 + 800 * round; ++i) {
      ASSERT_EQ(::read(pipe[0], &one, sizeof one), 8);
      granted += one;
    }
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    while (::read(pipe[0], &one, sizeof one) == 8) granted += one;
    ::close(pipe[0]);
    auto store = MemoryQuotaStore::open(o, metrics, kNow);
    ASSERT_TRUE(store.ok()) << store.error().message;
    const int64_t kept = read_now(**store, {per_day(kLimit)}, kNow)[0];
    EXPECT_GE(kept, granted);
    EXPECT_LE(kept, granted + 200 + kLimit / 64);
    // Another process cannot take the same file.
    const auto second = MemoryQuotaStore::open(o, metrics, kNow);
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().code, ErrorCode::kServerOverloaded);
    EXPECT_EQ(second.error().message.find(o.path + " is in use by another process"), 0U);
  }
}

// Ten requests a second of a limit of which a 64th would be a hundred thousand; killed four times.
TEST(QuotaFile, AKillCostsAboutASecondOfTraffic) {
  constexpr int64_t kLimit = 6'400'000, kEach = 100, kRequests = 30, kKills = 4;
  os::TempDir dir;
  telemetry::Registry registry;
  const QuotaMetrics metrics(registry);
  MemoryQuotaOptions o;
  o.path = dir.file("quota.db");
  o.batch_ms = 1;
  for (int64_t kill = 0; kill < kKills; ++kill) {
    killed_after([&] {
      auto store = MemoryQuotaStore::open(o, metrics, kNow);
      for (int64_t i = 0; store.ok() && i < kRequests; ++i) {
        const int64_t at = kNow + (kill * kRequests + i) * 100;
        const QuotaAnswer a = reserve_now(**store, {per_day(kLimit)}, {.output_tokens = kEach}, at);
        (*store)->reconcile(a.reservation, {.output_tokens = kEach}, at + 50);
      }
    });
  }
  auto store = MemoryQuotaStore::open(o, metrics, kNow);
  ASSERT_TRUE(store.ok()) << store.error().message;
  const int64_t kept = read_now(**store, {per_day(kLimit)}, kNow)[0];
  EXPECT_GE(kept, kKills * kRequests * kEach);
  EXPECT_LE(kept, kKills * (kRequests * kEach + 12 * kEach));
}

// What a few requests reserve at once, and mostly give back, says nothing of the pace.
TEST(QuotaFile, ABurstOfReservationsIsNoPace) {
  constexpr int64_t kLimit = 64'000'000, kEstimate = 1000;
  os::TempDir dir;
  telemetry::Registry registry;
  const QuotaMetrics metrics(registry);
  MemoryQuotaOptions o;
  o.path = dir.file("quota.db");
  o.batch_ms = 1;
  killed_after([&] {
    auto store = MemoryQuotaStore::open(o, metrics, kNow);
    for (int64_t at = kNow; store.ok() && at < kNow + 200; ++at) {
      std::vector<QuotaAnswer> open;
      for (int i = 0; i < 8; ++i)
        open.push_back(reserve_now(**store, {per_day(kLimit)}, {.output_tokens = kEstimate}, at));
      for (const QuotaAnswer& a : open)
        (*store)->reconcile(a.reservation, {.output_tokens = 1}, at);
    }
  });
  auto store = MemoryQuotaStore::open(o, metrics, kNow);
  ASSERT_TRUE(store.ok()) << store.error().message;
  const int64_t kept = read_now(**store, {per_day(kLimit)}, kNow)[0];
  EXPECT_GE(kept, 200 * 8);
  EXPECT_LE(kept, 100 * kEstimate);
}

TEST(QuotaFile, BoundsAreNamed) {
  telemetry::Registry registry;
  const QuotaMetrics metrics(registry);
  MemoryQuotaOptions o;
  o.book.max_reservations = 2;
  o.book.max_counters = 3;
  auto store = MemoryQuotaStore::open(o, metrics, kNow).value();
  const auto counter = [](int i) {
    return QuotaLimit{fmt::format("{}", i), "n", QuotaMetric::kRequests, QuotaWindow::kMinute, 9};
  };
  const QuotaAnswer a = reserve_now(*store, {counter(1)}, {}, kNow);
  reserve_now(*store, {counter(1)}, {}, kNow);
  EXPECT_THAT(reserve_now(*store, {counter(1)}, {}, kNow).why,
              ::testing::HasSubstr("max_reservations"));
  store->refund(a.reservation, kNow);
  EXPECT_THAT(reserve_now(*store, {counter(2), counter(3), counter(4)}, {}, kNow).why,
              ::testing::HasSubstr("max_counters"));
  // Counters whose window has passed make room.
  int granted = 0;
  for (int i = 0; i < 20; ++i) {
    const auto answer = reserve_now(*store, {counter(100 + i)}, {}, kNow + i * 70'000);
    granted += answer.verdict == QuotaVerdict::kGranted ? 1 : 0;
    store->refund(answer.reservation, kNow + i * 70'000);
  }
  EXPECT_EQ(granted, 20);
}

// Of 127.0.0.1; nobody had it a moment ago.
int32_t free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* a = reinterpret_cast<sockaddr*>(&address);
  const bool bound = ::bind(fd, a, size) == 0 && ::getsockname(fd, a, &size) == 0;
  ::close(fd);
  return bound ? ntohs(address.sin_port) : 0;
}

class RedisOutage : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!RedisServer::is_installed()) GTEST_SKIP() << "redis-server is not installed";
    redis_ = RedisServer::start();
    ASSERT_NE(redis_, nullptr);
    options_.address.unix_path = redis_->socket();
    options_.address.call_ms = 100;
    options_.first_backoff_ms = 10;
    options_.max_backoff_ms = 50;
  }
  void start() { store_ = std::make_unique<RedisQuotaStore>(options_, metrics_); }
  QuotaAnswer ask() { return reserve_now(*store_, {per_day(1000)}, {.output_tokens = 100}, kNow); }
  // Asks until Redis is back, for at most 5 s.
  QuotaAnswer ask_until_counted() {
    for (int i = 0; i < 500; ++i) {
      QuotaAnswer a = ask();
      if (a.verdict == QuotaVerdict::kGranted && !a.uncounted) return a;
      ::usleep(10'000);
    }
    return {};
  }

  std::unique_ptr<RedisServer> redis_;
  telemetry::Registry registry_;
  QuotaMetrics metrics_{registry_};
  RedisQuotaOptions options_;
  std::unique_ptr<RedisQuotaStore> store_;
};

TEST_F(RedisOutage, RefusesOrGrantsAsConfiguredAndComesBack) {
  for (const bool open : {false, true}) {
    options_.fail_open = open;
    start();
    const QuotaAnswer before = ask_until_counted();
    ASSERT_FALSE(before.reservation.empty());
    EXPECT_TRUE(store_->connected());
    redis_->kill();
    const QuotaAnswer during = ask();
    EXPECT_EQ(during.verdict, open ? QuotaVerdict::kGranted : QuotaVerdict::kUnavailable);
    EXPECT_EQ(during.uncounted, open);
    EXPECT_EQ(during.reservation, "");
    EXPECT_FALSE(store_->connected());
    EXPECT_EQ(read_now(*store_, {per_day(1000)}, kNow), std::vector<int64_t>());
    store_->refund(before.reservation, kNow);  // waits
    ASSERT_TRUE(redis_->restart());
    EXPECT_FALSE(ask_until_counted().reservation.empty());
    EXPECT_GT(metrics_.failures.value(), 0);
    EXPECT_EQ(metrics_.lost.value(), 0);
    store_.reset();
  }
  EXPECT_GT(metrics_.answers.with("uncounted").value(), 0);
}

// A server that hangs: callers are answered in time, and what it may have taken is given back.
TEST_F(RedisOutage, AHangIsBounded) {
  start();
  ASSERT_FALSE(ask_until_counted().reservation.empty());
  redis_->stop();
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(ask().verdict, QuotaVerdict::kUnavailable);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(2));
  redis_->go_on();
  const QuotaAnswer after = ask_until_counted();
  ASSERT_FALSE(after.used.empty());
  int64_t used = 0;
  for (int i = 0; i < 100 && used != 200; ++i) {
    ::usleep(10'000);
    used = read_now(*store_, {per_day(1000)}, kNow)[0];
  }
  EXPECT_EQ(used, 200);  // the first and the last
}

TEST_F(RedisOutage, TwoReplicasShareLimitsAndTheDeadOnesReservationsExpire) {
  options_.lifetime_ms = 1000;
  start();
  RedisQuotaStore other(options_, metrics_);
  const QuotaAnswer a = reserve_now(other, {per_day(1000)}, {.output_tokens = 950}, kNow);
  ASSERT_EQ(a.verdict, QuotaVerdict::kGranted);
  EXPECT_EQ(ask().verdict, QuotaVerdict::kRefused);
  EXPECT_EQ(reserve_now(*store_, {per_day(1000)}, {.output_tokens = 100}, kNow + 1001).verdict,
            QuotaVerdict::kGranted);
  EXPECT_EQ(metrics_.expired.value(), 1);
}

// A restart, and a server that closes idle connections, while nobody asks.
TEST_F(RedisOutage, AConnectionThatWasClosedIsMadeAnew) {
  start();
  ASSERT_EQ(ask_until_counted().used, std::vector<int64_t>{100});
  redis_->kill();
  ASSERT_TRUE(redis_->restart());
  EXPECT_EQ(ask().used, std::vector<int64_t>{100});
  EXPECT_EQ(metrics_.failures.value(), 0);
}

TEST_F(RedisOutage, TlsBelievesItsAuthorityAlone) {
  constexpr long kDayS = 86'400;
  const os::TempDir dir;
  const http::Identity authority = http::make_identity("authority", -kDayS, kDayS);
  const http::Identity other = http::make_identity("other", -kDayS, kDayS);
  const auto identity =
      http::make_identity("redis", -kDayS, kDayS, &authority, "DNS:localhost,IP:127.0.0.1");
  http::write_identity(authority, dir.file("ca.pem"), dir.file("ca.key"));
  http::write_identity(other, dir.file("other.pem"), dir.file("other.key"));
  http::write_identity(identity, dir.file("redis.pem"), dir.file("redis.key"));
  int32_t port = 0;
  for (int i = 0; i < 5 && (i == 0 || !redis_); ++i) {  // somebody else may take the port
    port = free_port();
    redis_ =
        RedisServer::start({"--tls-port", fmt::format("{}", port), "--tls-cert-file",
                            dir.file("redis.pem"), "--tls-key-file", dir.file("redis.key"),
                            "--tls-ca-cert-file", dir.file("ca.pem"), "--tls-auth-clients", "no"});
  }
  ASSERT_NE(redis_, nullptr);
  options_.address.unix_path.clear();
  options_.address.port = port;
  options_.address.call_ms = 1000;
  const auto believing = [&](const std::string& ca) {
    http::TlsClientOptions o;
    o.ca_file = dir.file(ca);
    return http::TlsClientContext::load(o).value();
  };
  options_.address.tls = believing("ca.pem");
  start();
  EXPECT_EQ(ask().used, std::vector<int64_t>{100});
  EXPECT_EQ(ask().used, std::vector<int64_t>{200});
  EXPECT_EQ(metrics_.failures.value(), 0);
  options_.address.tls = believing("other.pem");
  auto refused = RedisConnection::open(options_.address);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, ::testing::HasSubstr("not trusted"));
  options_.address.tls = nullptr;  // plain words to a TLS port
  refused = RedisConnection::open(options_.address);
  EXPECT_TRUE(!refused.ok() || !refused->call({{"PING"}}).ok());
}

TEST_F(RedisOutage, APasswordIsSentAndNeverSaid) {
  options_.address.password = "sesame-of-the-test";
  auto refused = RedisConnection::open(options_.address);
  ASSERT_FALSE(refused.ok());  // this server has none
  EXPECT_EQ(refused.error().message.find("sesame"), std::string::npos);
}

}  // namespace
}  // namespace weir::gateway
