#include "engine/prefix_cache.h"

#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <set>
#include <thread>

#include "engine/engine_testing.h"
#include "engine/fake_runner.h"
#include "kv/cache_events.h"
#include "kv/page_tier.h"
#include "os/file.h"
#include "os/temp_dir.h"

namespace weir::engine {
namespace {

std::vector<int32_t> numbers(int32_t from, int32_t count) {
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  for (int32_t i = 0; i < count; ++i) tokens[static_cast<size_t>(i)] = (from + i) % 200;
  return tokens;
}

std::vector<int32_t> joined(std::vector<int32_t> a, const std::vector<int32_t>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

class PrefixCacheTest : public ::testing::Test {
 protected:
  void SetUp() override {
    tokenizer_ = tiny_tokenizer();
    ASSERT_NE(tokenizer_, nullptr);
    make({});
  }
  void make(const PrefixOptions& options) {
    engine_.reset();
    engine_ = std::make_unique<Engine>(runner_, *tokenizer_, clock_, EngineLimits{}, options);
    runner_.before = [this](std::span<const model::Chunk> batch) -> Status {
      for (const model::Chunk& c : batch) computed_ += static_cast<int>(c.tokens.size());
      return {};
    };
  }
  Request request(std::vector<int32_t> prompt, int32_t max_tokens = 4) {
    Request q;
    q.prompt = std::move(prompt);
    q.max_tokens = max_tokens;
    q.ignore_eos = true;
    q.sampling.temperature = 0;
    return q;
  }
  Received& submit(const Request& q) {
    Received& got = received_[received_.size()];
    EXPECT_TRUE(engine_->submit(q, std::make_unique<RecordingSink>(got)).ok());
    return got;
  }
  void finish() {
    for (int i = 0; i < 1000 && !engine_->idle(); ++i) {
      engine_->step();
      clock_.advance_ms(1);
      const Status ok = engine_->check_invariants();
      ASSERT_TRUE(ok.ok()) << ok.error().message;
    }
    ASSERT_TRUE(engine_->idle());
  }
  Received& ask(const Request& q) {
    computed_ = 0;
    Received& got = submit(q);
    finish();
    return got;
  }

  FakeRunner runner_{FakeRunner::Shape{}};  // pages of 8 tokens
  std::unique_ptr<text::Tokenizer> tokenizer_;
  ManualClock clock_;
  std::unique_ptr<Engine> engine_;
  std::map<size_t, Received> received_;
  int computed_ = 0;  // tokens, since ask() began
};

TEST_F(PrefixCacheTest, TheSamePromptIsComputedOnce) {
  const Request q = request(numbers(0, 45));
  const Received first = ask(q);
  EXPECT_EQ(first.usage.cached_tokens, 0);
  EXPECT_EQ(computed_, 45 + 3);
  const Received second = ask(q);
  EXPECT_EQ(second.usage.cached_tokens, 44);  // the last is computed for its logits
  EXPECT_EQ(computed_, 1 + 3);
  EXPECT_EQ(second.choices[0].tokens, first.choices[0].tokens);
  const EngineStats s = engine_->stats();
  EXPECT_EQ(s.prefix_queries_tokens, 90U);
  EXPECT_EQ(s.prefix_hits_tokens, 44U);
}

TEST_F(PrefixCacheTest, AChatFindsItsPastAndTheAnswer) {
  const Received first = ask(request(numbers(0, 30), 20));
  const auto past = joined(numbers(0, 30), first.choices[0].tokens);
  const Received second = ask(request(joined(past, numbers(100, 9))));
  EXPECT_EQ(second.usage.cached_tokens, 49);  // the answer's last token was never computed
}

TEST_F(PrefixCacheTest, AnotherTenantOrSaltFindsNothing) {
  Request q = request(numbers(0, 40));
  ask(q);
  q.tenant.name = "a";
  EXPECT_EQ(ask(q).usage.cached_tokens, 0);
  q.cache_salt = "b";
  EXPECT_EQ(ask(q).usage.cached_tokens, 0);
  q.tenant.name = "";
  q.cache_salt = "ab";
  EXPECT_EQ(ask(q).usage.cached_tokens, 0);
  EXPECT_EQ(ask(q).usage.cached_tokens, 39);
}

TEST_F(PrefixCacheTest, ManyAtOnceComputeACommonPrefixOnce) {
  const auto prefix = numbers(0, 100);
  std::vector<Received*> all;
  for (int i = 0; i < 16; ++i)
    all.push_back(&submit(request(joined(prefix, numbers(101 + 7 * i, 12)), 2)));
  finish();
  // 112 of the first, of the others the tail, and one token each for the second output.
  EXPECT_EQ(computed_, 112 + 15 * 12 + 16);
  for (int i = 0; i < 16; ++i) {
    const Received alone = *all[static_cast<size_t>(i)];
    EXPECT_EQ(alone.usage.cached_tokens, i == 0 ? 0 : 100);
  }
}

TEST_F(PrefixCacheTest, ChoicesShareThePrompt) {
  Request q = request(numbers(0, 64), 6);
  q.n = 4;
  q.sampling.temperature = 1.0F;
  ask(q);
  EXPECT_LE(computed_, 64 + 3 * 8 + 4 * 5);
}

TEST_F(PrefixCacheTest, APausedRequestHoldsNobodyBack) {
  Request q = request(numbers(0, 200), 2);
  Received slow;
  const auto id = engine_->submit(q, std::make_unique<RecordingSink>(slow));
  ASSERT_TRUE(id.ok());
  engine_->step();
  engine_->pause(*id);
  Received& other = submit(q);
  for (int i = 0; i < 20; ++i) engine_->step();
  EXPECT_TRUE(other.done);
  EXPECT_EQ(other.usage.cached_tokens, 64);  // what the first had computed before it was paused
  engine_->resume(*id);
  finish();
}

TEST_F(PrefixCacheTest, ACancelledRequestLeavesWhatItComputed) {
  Received cancelled;
  const Request q = request(numbers(0, 200), 2);
  const auto id = engine_->submit(q, std::make_unique<RecordingSink>(cancelled));
  ASSERT_TRUE(id.ok());
  engine_->step();
  engine_->cancel(*id);
  EXPECT_EQ(ask(q).usage.cached_tokens, 64);
}

TEST_F(PrefixCacheTest, AfterAFlushNothingIsFound) {
  const Request q = request(numbers(0, 60), 20);
  ask(q);
  Received& running = submit(q);
  engine_->step();
  engine_->flush_cache();
  finish();
  EXPECT_TRUE(running.done);
  EXPECT_EQ(engine_->stats().prefix_pages, 0) << "what ran over the flush is not taken up";
  EXPECT_EQ(ask(q).usage.cached_tokens, 0);
  EXPECT_EQ(ask(q).usage.cached_tokens, 59);
}

TEST_F(PrefixCacheTest, OffMeansOff) {
  PrefixOptions options;
  options.enabled = false;
  make(options);
  const Request q = request(numbers(0, 60));
  ask(q);
  EXPECT_EQ(ask(q).usage.cached_tokens, 0);
  EXPECT_EQ(engine_->stats().prefix_pages, 0);
}

TEST_F(PrefixCacheTest, AFailedStepLeavesNothing) {
  const Request q = request(numbers(0, 60));
  runner_.before = [](std::span<const model::Chunk>) {
    return make_error(ErrorCode::kInternal, "injected");
  };
  ask(q);
  EXPECT_EQ(engine_->stats().prefix_pages, 0);
}

TEST_F(PrefixCacheTest, TheCacheGivesWayToRequests) {
  for (int i = 0; i < 30; ++i) ask(request(numbers(3 * i, 120)));  // 64 pages hold four of them
  const EngineStats s = engine_->stats();
  EXPECT_GT(s.prefix_evictions, 0U);
  EXPECT_EQ(s.free_pages, s.total_pages);
  EXPECT_EQ(s.preemptions, 0U);
}

// What was evicted comes back from the second tier, with the same tokens as if computed.
TEST_F(PrefixCacheTest, TheSecondTierGivesBackWhatWasEvicted) {
  auto tier =
      kv::PageTier::in_memory(200 * runner_.page_bytes(0).size(), runner_.page_bytes(0).size());
  ASSERT_TRUE(tier.ok());
  PrefixOptions options;
  options.tier = tier->get();
  make(options);
  const Request q = request(numbers(0, 120));
  const Received first = ask(q);
  for (int i = 1; i < 10; ++i) ask(request(numbers(11 * i, 120)));
  EXPECT_GT(engine_->stats().tier_pages, 0);
  const Received again = ask(q);
  EXPECT_GE(again.usage.cached_tokens, 112);
  EXPECT_EQ(again.choices[0].tokens, first.choices[0].tokens);
  EXPECT_GT(engine_->stats().tier_hits_pages, 0U);
  engine_->flush_cache();
  EXPECT_EQ(ask(q).usage.cached_tokens, 0);
  engine_.reset();
}

TEST_F(PrefixCacheTest, EventsSayWhatIsThere) {
  kv::CacheEvents events;
  PrefixOptions options;
  options.events = &events;
  make(options);
  for (int i = 0; i < 10; ++i) ask(request(numbers(11 * i, 120)));
  std::set<Hash128> there;
  const auto follow = [&] {
    there.clear();
    for (const auto& batch : events.read(0, 100'000)) {
      for (const kv::CacheEvent& e : batch->events) {
        using Kind = kv::CacheEvent::Kind;
        if (e.kind == Kind::kCleared) there.clear();
        if (e.kind == Kind::kRemoved) {
          EXPECT_EQ(there.erase(e.hash), 1U);
        }
        if (e.kind == Kind::kStored) {
          EXPECT_TRUE(!e.parent.has_value() || there.contains(*e.parent));
          EXPECT_TRUE(there.insert(e.hash).second);
          EXPECT_EQ(e.tokens.size(), 8U);
        }
      }
    }
  };
  follow();
  EXPECT_GT(there.size(), 30U);
  EXPECT_LE(there.size(), 64U);
  engine_->flush_cache();
  engine_->step();
  follow();
  EXPECT_TRUE(there.empty());
  engine_.reset();
}

class PrefixSnapshotTest : public PrefixCacheTest {
 protected:
  void SetUp() override {
    PrefixCacheTest::SetUp();
    options_.snapshot_path = dir_.file("cache.kv");
    options_.snapshot_interval_s = 10;
    options_.traits = "t";
    options_.hash_key = {1, 2};
    options_.on_snapshot = [this](const SnapshotReport& r) { reports_.push_back(r); };
    make(options_);
  }
  void TearDown() override { engine_.reset(); }  // it writes to what goes before it
  // A new process: nothing is left in memory.
  void restart() {
    engine_.reset();
    for (int32_t i = 0; i < runner_.pages(); ++i) {
      for (std::byte& b : runner_.page_bytes(i)) b = std::byte{0x55};
    }
    make(options_);
  }
  os::TempDir dir_;
  PrefixOptions options_;
  std::vector<SnapshotReport> reports_;
};

TEST_F(PrefixSnapshotTest, ARestartFindsWhatWasThere) {
  const Request q = request(numbers(0, 120));
  const Received first = ask(q);
  options_.hash_key = {3, 4};  // drawn anew by each process; the file's counts
  restart();
  ASSERT_EQ(reports_.size(), 2U);
  EXPECT_EQ(reports_[0].kind, SnapshotReport::Kind::kWritten);
  EXPECT_EQ(reports_[1].kind, SnapshotReport::Kind::kRestored);
  EXPECT_EQ(reports_[1].pages, 15);
  const Status ok = engine_->check_invariants();
  ASSERT_TRUE(ok.ok()) << ok.error().message;
  const Received second = ask(q);
  EXPECT_GE(second.usage.cached_tokens, 119);
  EXPECT_EQ(second.choices[0].tokens, first.choices[0].tokens);
}

TEST_F(PrefixSnapshotTest, ItIsWrittenWhileTheEngineRuns) {
  for (int i = 0; i < 4; ++i) ask(request(numbers(11 * i, 100)));
  clock_.advance_ms(10'001);
  for (int i = 0; i < 2000 && reports_.empty(); ++i) {
    engine_->step();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  ASSERT_EQ(reports_.size(), 1U);
  EXPECT_EQ(reports_[0].kind, SnapshotReport::Kind::kWritten);
  EXPECT_GT(reports_[0].pages, 30);
  clock_.advance_ms(10'001);
  engine_->step();
  EXPECT_EQ(reports_.size(), 1U) << "nothing changed";
}

TEST_F(PrefixSnapshotTest, ADamagedOrForeignFileIsIgnoredAndSaysWhy) {
  ask(request(numbers(0, 120)));
  engine_.reset();
  const auto written = os::read_file(options_.snapshot_path, 1 << 20);
  ASSERT_TRUE(written.ok());
  std::string damaged = *written;
  damaged[damaged.size() / 2] ^= 1;
  ASSERT_TRUE(os::write_file_atomic(options_.snapshot_path, damaged).ok());
  restart();
  EXPECT_EQ(reports_.back().kind, SnapshotReport::Kind::kIgnored);
  EXPECT_NE(reports_.back().error->message.find("damaged"), std::string::npos);
  EXPECT_EQ(engine_->stats().prefix_pages, 0);
  EXPECT_EQ(ask(request(numbers(0, 120))).usage.cached_tokens, 0);
  options_.traits = "u";
  restart();
  EXPECT_EQ(reports_.back().kind, SnapshotReport::Kind::kIgnored);
  EXPECT_EQ(engine_->stats().prefix_pages, 0);
}

}  // namespace
}  // namespace weir::engine
