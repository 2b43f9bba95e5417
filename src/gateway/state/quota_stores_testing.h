// The stores of quotas for tests: memory, memory with a file, Redis with a server of its own. Calls
// that wait for their answer.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "gateway/state/quota_memory.h"
#include "gateway/state/quota_redis.h"
#include "gateway/state/redis_server_testing.h"
#include "os/temp_dir.h"

namespace weir::gateway {

inline QuotaAnswer reserve_now(QuotaStore& store, const std::vector<QuotaLimit>& limits,
                               const QuotaAmounts& estimate, int64_t unix_ms) {
  std::promise<QuotaAnswer> answer;
  store.reserve(limits, estimate, unix_ms, [&](QuotaAnswer a) { answer.set_value(std::move(a)); });
  return answer.get_future().get();
}

inline QuotaAnswer extend_now(QuotaStore& store, const std::string& reservation,
                              const QuotaAmounts& more, int64_t unix_ms) {
  std::promise<QuotaAnswer> answer;
  store.extend(reservation, more, unix_ms, [&](QuotaAnswer a) { answer.set_value(std::move(a)); });
  return answer.get_future().get();
}

inline std::vector<int64_t> read_now(QuotaStore& store, const std::vector<QuotaLimit>& limits,
                                     int64_t unix_ms) {
  std::promise<std::vector<int64_t>> used;
  store.read(limits, unix_ms, [&](std::vector<int64_t> u) { used.set_value(std::move(u)); });
  return used.get_future().get();
}

enum class StoreKind { kMemory, kSqlite, kRedis };

// A test for each kind; the one for Redis is skipped, saying so, where redis-server is missing.
class QuotaStores : public ::testing::TestWithParam<StoreKind> {
 protected:
  void SetUp() override {
    if (GetParam() == StoreKind::kRedis && !RedisServer::is_installed())
      GTEST_SKIP() << "redis-server is not installed";
    reopen();
  }
  void TearDown() override { store_.reset(); }

  // What a restart of the gateway does.
  void reopen() {
    store_.reset();
    if (GetParam() != StoreKind::kRedis) {
      MemoryQuotaOptions o;
      if (GetParam() == StoreKind::kSqlite) o.path = dir_.file("quota.db");
      o.batch_ms = 1;
      o.book = book_;
      auto opened = MemoryQuotaStore::open(o, metrics_, 0);
      ASSERT_TRUE(opened.ok()) << opened.error().message;
      store_ = std::move(*opened);
      return;
    }
    if (!redis_) redis_ = RedisServer::start();
    ASSERT_NE(redis_, nullptr);
    RedisQuotaOptions o;
    o.address.unix_path = redis_->socket();
    static_cast<QuotaExpiryOptions&>(o) = book_;
    store_ = std::make_unique<RedisQuotaStore>(o, metrics_);
  }

  // Without what was taken.
  void begin_anew() {
    store_.reset();
    for (const char* name : {"quota.db", "quota.db-wal", "quota.db-shm"})
      std::filesystem::remove(dir_.file(name));
    if (redis_) {
      redis_->kill();
      ASSERT_TRUE(redis_->restart());
    }
    reopen();
  }

  QuotaAnswer reserve(const std::vector<QuotaLimit>& limits, const QuotaAmounts& estimate,
                      int64_t unix_ms) {
    return reserve_now(*store_, limits, estimate, unix_ms);
  }
  int64_t used(const QuotaLimit& limit, int64_t unix_ms) {
    const auto all = read_now(*store_, {limit}, unix_ms);
    return all.empty() ? -1 : all[0];
  }

  os::TempDir dir_;
  QuotaBookOptions book_;
  telemetry::Registry registry_;
  QuotaMetrics metrics_{registry_};
  std::unique_ptr<RedisServer> redis_;
  std::unique_ptr<QuotaStore> store_;
};

inline auto all_stores() {
  return ::testing::Values(StoreKind::kMemory, StoreKind::kSqlite, StoreKind::kRedis);
}
inline std::string store_name(const ::testing::TestParamInfo<StoreKind>& info) {
  if (info.param == StoreKind::kRedis) return "Redis";
  return info.param == StoreKind::kSqlite ? "Sqlite" : "Memory";
}

}  // namespace weir::gateway
