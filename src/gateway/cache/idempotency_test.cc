#include "gateway/cache/idempotency.h"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <set>

#include "base/rng.h"

namespace weir::gateway {
namespace {

using Verdict = Idempotency::Verdict;
using Ids = std::vector<Idempotency::Id>;

constexpr int64_t kHour = 3'600'000;
constexpr const char* kRoute = "/v1/chat/completions";

StoredReply reply(const std::string& body, int status = 200) {
  return {status, "application/json", body};
}

// The same tests on both stores.
class IdempotencyTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    path_ = std::filesystem::path(testing::TempDir()) /
            ("weir_idempotency_" + std::to_string(::getpid()) + ".db");
    remove_file();
    make();
  }
  void TearDown() override {
    all_.reset();
    remove_file();
  }
  void remove_file() const {
    for (const char* end : {"", "-wal", "-shm"}) std::filesystem::remove(path_.string() + end);
  }
  void make() {
    all_.reset();
    std::unique_ptr<IdempotencyStore> store;
    if (GetParam()) {
      auto opened = sqlite_idempotency_store(config_, path_.string());
      ASSERT_TRUE(opened.ok()) << opened.error().message;
      store = std::move(*opened);
    } else {
      store = memory_idempotency_store(config_);
    }
    all_ = std::make_unique<Idempotency>(config_, std::move(store));
  }
  Result<Idempotency::Begin> begin(Idempotency::Id id, const std::string& key = "k",
                                   const std::string& body = "{}", int64_t now_ms = 0,
                                   const std::string& tenant = "acme") {
    return all_->begin(tenant, key, kRoute, body, id, now_ms);
  }
  Verdict verdict(Idempotency::Id id, const std::string& key = "k", const std::string& body = "{}",
                  int64_t now_ms = 0, const std::string& tenant = "acme") {
    auto b = begin(id, key, body, now_ms, tenant);
    EXPECT_TRUE(b.ok()) << b.error().message;
    return b.ok() ? b->verdict : Verdict::kRun;
  }
  Ids finish(Idempotency::Id id, const StoredReply& r) {
    auto end = all_->finish(id, r);
    EXPECT_TRUE(end.stored.ok()) << end.stored.error().message;
    return end.woken;
  }
  Ids abandon(Idempotency::Id id) {
    auto end = all_->abandon(id);
    EXPECT_TRUE(end.stored.ok()) << end.stored.error().message;
    return end.woken;
  }

  IdempotencyConfig config_;
  std::filesystem::path path_;
  std::unique_ptr<Idempotency> all_;
};

TEST_P(IdempotencyTest, TheSecondGetsTheFirstOnesAnswer) {
  EXPECT_EQ(verdict(1), Verdict::kRun);
  const StoredReply said{201, "text/event-stream", std::string("data: \0x\n\n", 10)};
  EXPECT_TRUE(finish(1, said).empty());
  const auto again = begin(2);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->verdict, Verdict::kReplay);
  EXPECT_EQ(again->reply, said);
  EXPECT_EQ(all_->store().records(), 1U);
}

TEST_P(IdempotencyTest, AnotherBodyOrPlaceIsRefused) {
  EXPECT_EQ(verdict(1), Verdict::kRun);
  for (const bool done : {false, true}) {
    const auto other = begin(2, "k", "{ }");
    ASSERT_FALSE(other.ok());
    EXPECT_EQ(other.error().code, ErrorCode::kInvalidValue);
    EXPECT_NE(other.error().message.find("another body"), std::string::npos);
    EXPECT_FALSE(all_->begin("acme", "k", "/v1/completions", "{}", 3, 0).ok());
    if (!done) finish(1, reply("a"));
  }
}

TEST_P(IdempotencyTest, UnderWayItWaitsOrIsRefused) {
  config_.max_waiters = 2;
  make();
  EXPECT_EQ(verdict(1), Verdict::kRun);
  EXPECT_EQ(verdict(2), Verdict::kWait);
  EXPECT_EQ(verdict(3), Verdict::kWait);
  EXPECT_EQ(begin(4).error().bound, "idempotency_in_flight");
  abandon(2);  // its client went
  EXPECT_EQ(verdict(5), Verdict::kWait);
  EXPECT_EQ(finish(1, reply("a")), (Ids{3, 5}));
  EXPECT_EQ(begin(3)->reply.body, "a");
  EXPECT_EQ(all_->waiters(), 0U);
  // After a failure one of those who waited runs, and the others wait for it.
  EXPECT_EQ(verdict(6, "l"), Verdict::kRun);
  EXPECT_EQ(verdict(7, "l"), Verdict::kWait);
  EXPECT_EQ(verdict(8, "l"), Verdict::kWait);
  EXPECT_EQ(finish(6, reply("bad", 503)), (Ids{7, 8}));
  EXPECT_EQ(verdict(7, "l"), Verdict::kRun);
  EXPECT_EQ(verdict(8, "l"), Verdict::kWait);
  EXPECT_EQ(finish(7, reply("good")), (Ids{8}));
  EXPECT_EQ(begin(8, "l")->reply.body, "good");
  config_.wait = false;
  make();
  EXPECT_EQ(verdict(1, "m"), Verdict::kRun);
  const auto refused = begin(2, "m");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().bound, "idempotency_in_flight");
  EXPECT_EQ(refused.error().param, "idempotency-key");
}

TEST_P(IdempotencyTest, FailuresAndCutsAreNotKept) {
  Idempotency::Id id = 0;
  for (const int status : {500, 502, 503, 504, 408, 409, 425, 429, 0, 101, 199}) {
    EXPECT_EQ(verdict(++id), Verdict::kRun) << status;
    finish(id, reply("x", status));
    EXPECT_EQ(all_->store().records(), 0U);
  }
  EXPECT_EQ(verdict(++id), Verdict::kRun);
  abandon(id);
  EXPECT_EQ(all_->store().bytes(), 0U);
  config_.max_reply_bytes = 10;
  make();
  EXPECT_EQ(verdict(++id), Verdict::kRun);
  finish(id, reply("12345678901"));
  EXPECT_EQ(all_->store().records(), 0U);
  for (const int status : {200, 204, 400, 404, 422, 499}) {
    EXPECT_EQ(verdict(++id, std::to_string(status)), Verdict::kRun);
    finish(id, reply("x", status));
    EXPECT_EQ(verdict(++id, std::to_string(status)), Verdict::kReplay);
  }
}

TEST_P(IdempotencyTest, KeysAreATenantsOwn) {
  Idempotency::Id id = 0;
  for (const char* tenant : {"acme", "", "ac", "other"}) {
    EXPECT_EQ(verdict(++id, "k", "{}", 0, tenant), Verdict::kRun);
    finish(id, reply(tenant));
  }
  EXPECT_EQ(verdict(++id, "mek", "{}", 0, "ac"), Verdict::kRun);
  for (const char* tenant : {"acme", "", "ac", "other"})
    EXPECT_EQ(begin(++id, "k", "{}", 0, tenant)->reply.body, tenant);
  // Under way of another tenant is nobody's business.
  EXPECT_EQ(verdict(100, "z", "1", 0, "a"), Verdict::kRun);
  EXPECT_EQ(verdict(101, "z", "2", 0, "b"), Verdict::kRun);
}

TEST_P(IdempotencyTest, KeptForADay) {
  EXPECT_EQ(verdict(1, "k", "{}", 1000), Verdict::kRun);
  finish(1, reply("a"));
  EXPECT_EQ(verdict(2, "k", "{}", 1000 + 24 * kHour - 1), Verdict::kReplay);
  EXPECT_EQ(verdict(3, "k", "other", 1000 + 24 * kHour), Verdict::kRun);
  finish(3, reply("b"));
  EXPECT_EQ(verdict(4, "l", "{}", 1000 + 48 * kHour), Verdict::kRun);
  EXPECT_EQ(all_->store().records(), 1U) << "what is old is gone without being asked for";
}

TEST_P(IdempotencyTest, KeysAreChecked) {
  EXPECT_TRUE(check_idempotency_key(std::string(255, 'k')).ok());
  EXPECT_TRUE(check_idempotency_key(" ~").ok());
  for (const std::string& bad : {std::string(), std::string(256, 'k'), std::string("a\nb"),
                                 std::string("\x7F"), std::string("ä"), std::string(1, '\0')}) {
    const auto refused = begin(1, bad);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidValue);
  }
}

TEST_P(IdempotencyTest, BoundedInRecordsBytesAndByTenant) {
  config_.max_records = 40;
  config_.max_bytes = 30'000;
  config_.max_reply_bytes = 2'000;
  make();
  Rng rng(7);
  std::vector<Idempotency::Id> running;
  Idempotency::Id id = 0;
  size_t refused = 0;
  for (int i = 0; i < 1'500; ++i) {
    const std::string tenant(1, "aaabc"[rng.below(5)]);  // the shares of three are more than all
    const auto begun = begin(++id, std::to_string(i), "{}", i, tenant);
    if (!begun.ok()) {
      EXPECT_EQ(begun.error().bound, "idempotency_records");
      ++refused;
    } else {
      running.push_back(id);
    }
    if (running.size() > 15 || (!running.empty() && rng.below(2) == 0)) {
      finish(running.front(), reply(std::string(rng.below(2'000), 'x')));
      running.erase(running.begin());
    }
    ASSERT_LE(all_->store().records(), 40U);
    ASSERT_LE(all_->store().bytes(), 30'000U);
  }
  EXPECT_GT(all_->store().dropped_early(), 500U);
  for (const auto left : running) abandon(left);
  // One tenant with everything under way: no room, and another has its own.
  for (int i = 0; i < 20; ++i) verdict(++id, "r" + std::to_string(i));
  EXPECT_EQ(begin(++id, "one too many").error().code, ErrorCode::kServerOverloaded);
  EXPECT_EQ(verdict(++id, "k", "{}", 0, "quiet"), Verdict::kRun);
}

TEST_P(IdempotencyTest, WhatAnotherGatewayLeftUnderWayIsTakenOver) {
  if (GetParam()) GTEST_SKIP() << "rows under way go when the file is opened";
  // A record that nobody here runs, as one of a gateway that shares the store.
  auto store = memory_idempotency_store(config_);
  IdempotencyStore& shared = *store;
  all_ = std::make_unique<Idempotency>(config_, std::move(store));
  EXPECT_EQ(verdict(1), Verdict::kRun);
  const std::string fingerprint = (*shared.insert({"acme", "k"}, "", 0))->fingerprint;
  abandon(1);
  ASSERT_FALSE(shared.insert({"acme", "k"}, fingerprint, 0)->has_value());
  EXPECT_EQ(begin(2, "k", "{}", 29 * 60'000).error().bound, "idempotency_in_flight");
  EXPECT_EQ(verdict(3, "k", "{}", 30 * 60'000), Verdict::kRun);
}

// A store in memory whose writes fail when told to, as on a full disk.
class FullStore final : public IdempotencyStore {
 public:
  FullStore(const IdempotencyConfig& config, const bool& full)
      : kept_(memory_idempotency_store(config)), full_(full) {}
  Result<std::optional<IdempotencyRecord>> insert(const IdempotencyName& name,
                                                  const std::string& fingerprint,
                                                  int64_t now_ms) override {
    if (full_ && !known_.contains(name)) return error();
    known_.insert(name);
    return kept_->insert(name, fingerprint, now_ms);
  }
  Status set_reply(const IdempotencyName& name, const StoredReply& reply) override {
    return full_ ? error() : kept_->set_reply(name, reply);
  }
  Status erase(const IdempotencyName& name) override {
    if (full_) return error();
    known_.erase(name);
    return kept_->erase(name);
  }
  size_t records() const override { return kept_->records(); }
  size_t bytes() const override { return kept_->bytes(); }
  uint64_t dropped_early() const override { return 0; }

 private:
  static Error error() { return make_error(ErrorCode::kIo, "the disk is full"); }
  std::unique_ptr<IdempotencyStore> kept_;
  std::set<IdempotencyName> known_;
  const bool& full_;
};

class FullIdempotencyTest : public IdempotencyTest {
 protected:
  void SetUp() override {
    all_ = std::make_unique<Idempotency>(config_, std::make_unique<FullStore>(config_, full_));
  }
  bool full_ = false;
};
INSTANTIATE_TEST_SUITE_P(Store, FullIdempotencyTest, testing::Values(false));

TEST_P(FullIdempotencyTest, RequestsGoOnAndAreStillDoneOneAtATime) {
  full_ = true;
  const auto first = begin(1);
  ASSERT_TRUE(first.ok()) << first.error().message;
  EXPECT_EQ(first->verdict, Verdict::kRun);
  ASSERT_FALSE(first->kept.ok());
  EXPECT_EQ(first->kept.error().message, "the disk is full");
  EXPECT_EQ(verdict(2), Verdict::kWait);
  EXPECT_EQ(begin(3, "k", "other").error().code, ErrorCode::kInvalidValue);
  EXPECT_EQ(all_->finish(1, reply("a")).woken, Ids{2});
  EXPECT_EQ(verdict(2), Verdict::kRun) << "nothing was kept";
  full_ = false;
  EXPECT_TRUE(all_->finish(2, reply("b")).stored.ok());
  EXPECT_EQ(verdict(4), Verdict::kRun);
  EXPECT_TRUE(finish(4, reply("c")).empty());
  EXPECT_EQ(begin(5)->reply.body, "c");
}

// Their records cannot be taken out, and must not make their keys ones that are always under way.
TEST_P(FullIdempotencyTest, WhatEndsWhileTheDiskIsFullIsOver) {
  EXPECT_EQ(verdict(1, "finished"), Verdict::kRun);
  EXPECT_EQ(verdict(2, "abandoned"), Verdict::kRun);
  EXPECT_EQ(verdict(3, "asked again"), Verdict::kRun);
  full_ = true;
  EXPECT_FALSE(all_->finish(1, reply("a")).stored.ok());
  EXPECT_FALSE(all_->abandon(2).stored.ok());
  EXPECT_FALSE(all_->abandon(3).stored.ok());
  EXPECT_EQ(all_->left(), 3U);
  EXPECT_EQ(verdict(4, "finished"), Verdict::kRun);
  EXPECT_EQ(verdict(5, "asked again"), Verdict::kRun);
  EXPECT_EQ(verdict(10, "abandoned", "another body"), Verdict::kRun);
  EXPECT_FALSE(all_->abandon(10).stored.ok());
  EXPECT_FALSE(all_->abandon(4).stored.ok());
  full_ = false;
  EXPECT_TRUE(finish(5, reply("b")).empty());
  EXPECT_EQ(begin(6, "asked again")->reply.body, "b");
  EXPECT_EQ(verdict(7, "finished"), Verdict::kRun);
  finish(7, reply("c"));
  EXPECT_EQ(begin(8, "finished")->reply.body, "c");
  EXPECT_EQ(verdict(9, "new"), Verdict::kRun);
  EXPECT_EQ(all_->left(), 0U);
  abandon(9);
  EXPECT_EQ(all_->store().records(), 2U);
}

INSTANTIATE_TEST_SUITE_P(Stores, IdempotencyTest, testing::Bool(),
                         [](const auto& store) { return store.param ? "Sqlite" : "Memory"; });

class SqliteIdempotencyTest : public IdempotencyTest {};
INSTANTIATE_TEST_SUITE_P(Store, SqliteIdempotencyTest, testing::Values(true));

TEST_P(SqliteIdempotencyTest, SurvivesARestartWithoutWhatWasUnderWay) {
  EXPECT_EQ(verdict(1, "done"), Verdict::kRun);
  finish(1, reply("a"));
  EXPECT_EQ(verdict(2, "lost"), Verdict::kRun);
  const size_t bytes = all_->store().bytes();
  make();
  EXPECT_EQ(all_->store().records(), 1U);
  EXPECT_LT(all_->store().bytes(), bytes);
  EXPECT_EQ(begin(3, "done")->reply.body, "a");
  EXPECT_EQ(verdict(4, "lost"), Verdict::kRun);
  struct stat file {};
  ASSERT_EQ(::stat(path_.c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777U, 0600U);
}

// The gateway's only thread waits for the file: not for long.
TEST_P(SqliteIdempotencyTest, AnotherProcessThatWritesHoldsNobodyUp) {
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open(path_.c_str(), &other), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(other, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  const auto began = std::chrono::steady_clock::now();
  const auto begun = begin(1);
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::milliseconds(1'000));
  ASSERT_TRUE(begun.ok());
  EXPECT_FALSE(begun->kept.ok());
  sqlite3_close(other);
  EXPECT_TRUE(begin(2, "l")->kept.ok());
}

TEST_P(SqliteIdempotencyTest, AFileThatIsNoneIsRefused) {
  all_.reset();
  remove_file();
  std::ofstream(path_) << std::string(4096, 'x');
  const auto opened = sqlite_idempotency_store(config_, path_.string());
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(opened.error().message.find(path_.string()), std::string::npos);
  EXPECT_EQ(sqlite_idempotency_store(config_, "/no/such/folder/x.db").error().code,
            ErrorCode::kNotFound);
}

}  // namespace
}  // namespace weir::gateway
