// The ledger: what is written, what outcomes join, what a kill leaves, what old and foreign files
// are refused for.
#include "gateway/state/ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <future>

#include "gateway/state/full_disk_testing.h"
#include "gateway/state/ledger_reader.h"
#include "gateway/state/ledger_schema.h"
#include "os/temp_dir.h"
#include "text/json.h"

namespace weir::gateway {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int64_t kNow = 1'700'000'000'000;  // of ManualClock

LedgerRow row(std::string id, std::string tenant = "acme") {
  LedgerRow r;
  r.request_id = std::move(id);
  r.tenant = std::move(tenant);
  r.key_id = "k1";
  r.model = "fast";
  r.upstream = "pool";
  r.endpoint = "http://10.0.0.1:8000";
  r.upstream_model = "llama";
  r.release = "v2";
  r.started_unix_ms = kNow;
  r.status = 200;
  r.input_tokens = 100;
  r.cached_tokens = 60;
  r.output_tokens = 20;
  r.ttft_ms = 12.5;
  r.total_ms = 250;
  r.cost_nanos = 1'500'000;
  r.cache = "miss";
  return r;
}

class LedgerTest : public ::testing::Test {
 protected:
  Result<std::unique_ptr<Ledger>> try_open() { return Ledger::open(options_, metrics_, clock_); }
  void open() {
    auto opened = try_open();
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    ledger_ = std::move(*opened);
  }
  std::vector<LedgerEntry> entries(const LedgerFilter& filter = {}) {
    if (ledger_) ledger_->flush();
    std::vector<LedgerEntry> out;
    auto reader = LedgerReader::open(options_.path);
    EXPECT_TRUE(reader.ok()) << reader.error().message;
    const Status read = reader->each(filter, [&](const LedgerEntry& e) -> Status {
      out.push_back(e);
      return {};
    });
    EXPECT_TRUE(read.ok());
    return out;
  }
  Status report(const std::string& id, bool accepted, const std::string& tenant = "acme") {
    std::promise<Status> result;
    ledger_->report({.request_id = id, .accepted = accepted, .score = 0.5, .note = "n"}, tenant,
                    kNow, [&](Status s) { result.set_value(std::move(s)); });
    return result.get_future().get();
  }

  os::TempDir dir_;
  ManualClock clock_;
  telemetry::Registry registry_;
  LedgerMetrics metrics_{registry_};
  LedgerOptions options_{.path = dir_.file("ledger.db"), .batch_ms = 2};
  std::unique_ptr<Ledger> ledger_;
};

TEST_F(LedgerTest, KeepsAllOfAnAttempt) {
  open();
  LedgerRow a = row("r1");
  a.end = LedgerEnd::kTimeout;
  a.final = false;
  a.hedged = a.retried = true;
  LedgerRow b = row("r1");
  b.attempt = 2;
  b.continued = true;
  b.ttft_ms = std::nullopt;
  b.cost_nanos = std::nullopt;
  b.tenant = std::string(1000, 't');
  ledger_->add(a);
  ledger_->add(b);
  const auto got = entries();
  ASSERT_EQ(got.size(), 2);
  const LedgerRow& g = got[0].row;
  EXPECT_EQ(std::tie(g.request_id, g.attempt, g.final, g.tenant, g.key_id, g.model, g.upstream),
            std::tie(a.request_id, a.attempt, a.final, a.tenant, a.key_id, a.model, a.upstream));
  EXPECT_EQ(std::tie(g.endpoint, g.upstream_model, g.release, g.started_unix_ms, g.status, g.end),
            std::tie(a.endpoint, a.upstream_model, a.release, a.started_unix_ms, a.status, a.end));
  EXPECT_EQ(std::tie(g.input_tokens, g.cached_tokens, g.output_tokens, g.ttft_ms, g.total_ms),
            std::tie(a.input_tokens, a.cached_tokens, a.output_tokens, a.ttft_ms, a.total_ms));
  EXPECT_EQ(std::tie(g.cost_nanos, g.cache, g.hedged, g.retried, g.continued),
            std::tie(a.cost_nanos, a.cache, a.hedged, a.retried, a.continued));
  EXPECT_TRUE(got[1].row.continued && !got[1].row.retried);
  EXPECT_EQ(got[1].row.ttft_ms, std::nullopt);
  EXPECT_EQ(got[1].row.cost_nanos, std::nullopt);
  EXPECT_EQ(got[1].row.tenant.size(), kMaxLedgerText);
  EXPECT_THAT(entries({.from_ms = kNow + 1}), IsEmpty());
  EXPECT_EQ(entries({.tenant = "acme"}).size(), 1);
  for (const char* end : {"", "-wal", "-shm"}) {
    struct stat file {};
    ASSERT_EQ(::stat((options_.path + end).c_str(), &file), 0) << end;
    EXPECT_EQ(file.st_mode & 0777, 0600) << end;
  }
}

TEST_F(LedgerTest, AnOutcomeIsOfItsTenantAndTheLastOneCounts) {
  open();
  ledger_->add(row("r1"));
  LedgerRow first = row("r1");
  first.final = false;
  ledger_->add(first);
  EXPECT_TRUE(report("r1", false).ok());
  EXPECT_TRUE(report("r1", true).ok());
  const Status other = report("r1", true, "beta");
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(other.error().code, ErrorCode::kRouteNotFound);
  EXPECT_EQ(report("r2", true).error().code, ErrorCode::kRouteNotFound);
  const auto got = entries();
  EXPECT_EQ(got[0].accepted, true);
  EXPECT_EQ(got[0].score, 0.5);
  EXPECT_EQ(got[1].accepted, std::nullopt);
  EXPECT_EQ(metrics_.outcomes.with("unknown").value(), 2);
}

TEST_F(LedgerTest, RequestsAreLinesThatTheOpsLoopReads) {
  open();
  LedgerRow failed = row("r1");
  failed.final = false;
  ledger_->add(failed);
  LedgerRow second = row("r1");
  second.attempt = 2;
  ledger_->add(second);
  LedgerRow later = row("r2");
  later.started_unix_ms += 1500;
  ledger_->add(later);
  ASSERT_TRUE(report("r1", true).ok());
  auto reader = LedgerReader::open(options_.path);
  ASSERT_TRUE(reader.ok());
  const std::string lines = reader->requests({}, false, 1 << 20).value();
  const auto one = text::Json::parse(lines.substr(0, lines.find('\n'))).value();
  EXPECT_EQ(one.find("cost_usd")->as_double(), 0.003);  // both attempts
  EXPECT_EQ(one.find("accepted")->as_bool(), true);
  EXPECT_EQ(one.find("timestamp")->as_int(), 0);
  EXPECT_EQ(one.find("input_length")->as_int(), 100);
  EXPECT_EQ(one.find("output_length")->as_int(), 20);
  EXPECT_THAT(lines, HasSubstr("\"timestamp\":1500"));
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 2);
  const std::string reported = reader->requests({}, true, 1 << 20).value();
  EXPECT_EQ(std::count(reported.begin(), reported.end(), '\n'), 1);
  EXPECT_EQ(reader->requests({}, false, 100).error().code, ErrorCode::kLimit);
  EXPECT_TRUE(LedgerReader::is_database(options_.path));
}

TEST_F(LedgerTest, AFullQueueDropsAndCounts) {
  options_.max_queued = 10;
  options_.batch_ms = 60'000;
  options_.max_batch = 1000;
  open();
  usleep(20'000);  // the writer waits for its batch
  for (int i = 0; i < 25; ++i) ledger_->add(row(fmt::format("r{}", i)));
  EXPECT_EQ(metrics_.dropped.with("queue_full").value(), 15);
  const Status full = report("r1", true);
  EXPECT_EQ(full.error().code, ErrorCode::kServerOverloaded);
  EXPECT_EQ(entries().size(), 10);
  EXPECT_EQ(metrics_.rows.value(), 10);
}

TEST_F(LedgerTest, AFullDiskIsToldOnceAndSoIsItsEnd) {
  std::vector<std::string> told;
  auto opened = Ledger::open(options_, metrics_, clock_, [&](const Status& written) {
    told.push_back(written.ok() ? "again" : written.error().message);
  });
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  ledger_ = std::move(*opened);
  {
    const FullDisk full;
    for (const char* id : {"a", "b", "c"}) {
      ledger_->add(row(id));
      ledger_->flush();
    }
    EXPECT_FALSE(report("a", true).ok());
  }
  EXPECT_EQ(metrics_.dropped.with("write_failed").value(), 3);
  ASSERT_EQ(told.size(), 1);
  EXPECT_THAT(told[0], HasSubstr("ledger.db"));
  ledger_->add(row("d"));
  ledger_->flush();
  EXPECT_EQ(told.size(), 1) << "it may fail again at once";
  clock_.advance_ms(6'000);
  ledger_->add(row("e"));
  EXPECT_EQ(entries().size(), 2);
  ASSERT_EQ(told.size(), 2);
  EXPECT_EQ(told[1], "again");
}

TEST_F(LedgerTest, TheOldestGoByNumberAndAge) {
  options_.max_rows = 5;
  open();
  for (int i = 0; i < 12; ++i) ledger_->add(row(fmt::format("r{}", i)));
  ledger_->flush();
  ASSERT_TRUE(report("r11", true).ok());
  ledger_.reset();
  open();
  ledger_->add(row("r12"));  // the first batch of a ledger tidies
  const auto got = entries();
  ASSERT_EQ(got.size(), 5);
  EXPECT_EQ(got[0].row.request_id, "r8");
  EXPECT_EQ(got[3].accepted, true);
  ledger_.reset();
  clock_.advance_ns(int64_t{91} * 86'400 * 1'000'000'000);
  open();
  LedgerRow fresh = row("new");
  fresh.started_unix_ms = clock_.unix_s() * 1000;
  ledger_->add(fresh);
  EXPECT_EQ(entries().size(), 1);
}

TEST_F(LedgerTest, RefusesWhatIsNoLedgerOrIsNewer) {
  std::ofstream(options_.path) << "this is a text of some length, and no database at all; "
                               << std::string(600, 'x');
  EXPECT_EQ(try_open().error().code, ErrorCode::kCorrupt);
  EXPECT_FALSE(LedgerReader::is_database(options_.path));
  EXPECT_EQ(LedgerReader::open(dir_.file("none")).error().code, ErrorCode::kNotFound);
  options_.path = dir_.file("other.db");
  {
    auto db = Sqlite::open(options_.path, SqliteMode::kWrite);
    ASSERT_TRUE(db->execute("CREATE TABLE t (x)").ok());
  }
  EXPECT_THAT(try_open().error().message, HasSubstr("no ledger of a gateway"));
  EXPECT_THAT(LedgerReader::open(options_.path).error().message, HasSubstr("no ledger"));
  options_.path = dir_.file("newer.db");
  open();
  ledger_.reset();
  options_.currency = "EUR";
  EXPECT_THAT(try_open().error().message, HasSubstr("is in USD, and the prices are in EUR"));
  options_.currency = "USD";
  {
    auto db = Sqlite::open(options_.path, SqliteMode::kWrite);
    ASSERT_TRUE(db->execute("PRAGMA user_version=4").ok());
  }
  EXPECT_EQ(try_open().error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(LedgerReader::open(options_.path).error().code, ErrorCode::kUnsupported);
}

// One that called the client's name of a model `route`, and the upstream's `model`: it is read as
// it is, and becomes as these are when a gateway opens it.
TEST_F(LedgerTest, AnOlderOneKeepsItsRows) {
  open();
  ledger_->add(row("r1"));
  ledger_.reset();
  {
    auto db = Sqlite::open(options_.path, SqliteMode::kWrite);
    const Status older = db->execute(R"(
      DROP VIEW requests;
      ALTER TABLE attempts DROP COLUMN estimated;
      ALTER TABLE attempts RENAME COLUMN model TO route;
      ALTER TABLE attempts RENAME COLUMN upstream_model TO model;
      CREATE VIEW requests AS
        SELECT a.request_id, a.tenant, a.route, a.started_unix_ms AS timestamp,
               a.input_tokens AS input_length, a.output_tokens AS output_length, 0.0 AS cost,
               NULL AS accepted, NULL AS score, a.model, a.upstream, a.release, a.outcome,
               a.ttft_ms, a.total_ms
          FROM attempts a;
      PRAGMA user_version=1;)");
    ASSERT_TRUE(older.ok()) << older.error().message;
  }
  for (const bool opened : {false, true}) {
    if (opened) {
      open();
      LedgerRow second = row("r2");
      second.estimated = true;
      ledger_->add(second);
    }
    for (const LedgerEntry& e : entries()) {
      EXPECT_EQ(e.row.model, "fast");
      EXPECT_EQ(e.row.upstream_model, "llama");
      EXPECT_EQ(e.row.estimated, e.row.request_id == "r2");
    }
    EXPECT_EQ(entries().size(), opened ? 2U : 1U);
    auto reader = LedgerReader::open(options_.path);
    EXPECT_THAT(reader->requests({}, false, 1 << 20).value(),
                HasSubstr(R"("model":"fast","upstream_model":"llama")"));
    EXPECT_EQ(Sqlite::open(options_.path, SqliteMode::kRead)->version().value(),
              opened ? kLedgerSchema : 1);
  }
}

// One without the column `estimated`.
TEST_F(LedgerTest, ASecondOneKeepsItsRows) {
  open();
  ledger_->add(row("r1"));
  ledger_.reset();
  {
    auto db = Sqlite::open(options_.path, SqliteMode::kWrite);
    ASSERT_TRUE(
        db->execute("ALTER TABLE attempts DROP COLUMN estimated; PRAGMA user_version=2").ok());
  }
  EXPECT_EQ(entries().size(), 1U);
  open();
  ledger_->add(row("r2"));
  EXPECT_EQ(entries().size(), 2U);
}

// A process writes as fast as it can and is killed in the middle, five times: the file stays whole,
// and every row that was flushed is there.
TEST_F(LedgerTest, SurvivesAKill) {
  int64_t told = 0;
  for (int round = 0; round < 5; ++round) {
    int pipe[2];
    ASSERT_EQ(::pipe(pipe), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      auto opened = try_open();
      for (int64_t i = 0; opened.ok(); ++i) {
        (*opened)->add(row(fmt::format("{}-{}", round, i)));
        if (i % 50 != 49) continue;
        (*opened)->flush();
        const int64_t flushed = i + 1;
        if (::write(pipe[1], &flushed, sizeof flushed) < 0) break;
      }
      ::_exit(3);
    }
    ::close(pipe[1]);
    int64_t flushed = 0;
    for (int i = 0; i < 3 + round; ++i) ASSERT_EQ(::read(pipe[0], &flushed, sizeof flushed), 8);
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
    for (int64_t last = 0; ::read(pipe[0], &last, sizeof last) == 8;) flushed = last;
    ::close(pipe[0]);
    told += flushed;
    const auto got = entries();
    EXPECT_GE(static_cast<int64_t>(got.size()), told);
    told = static_cast<int64_t>(got.size());
  }
  auto db = Sqlite::open(options_.path, SqliteMode::kWrite);
  auto check = db->prepare("PRAGMA integrity_check");
  ASSERT_TRUE(check->step().value());
  EXPECT_EQ(check->text(0), "ok");
}

TEST(Outcomes, AreRead) {
  const Outcome o =
      parse_outcome(R"({"request_id":"r","accepted":true,"score":-1,"note":"ü","more":[1]})")
          .value();
  EXPECT_EQ(o.request_id, "r");
  EXPECT_TRUE(o.accepted);
  EXPECT_EQ(o.score, -1);
  EXPECT_EQ(o.note, "ü");
  EXPECT_EQ(parse_outcome(R"({"request_id":"r","accepted":false,"score":null})")->score,
            std::nullopt);
  const auto param = [](std::string_view body) { return parse_outcome(body).error().param; };
  EXPECT_EQ(param(R"({"accepted":true})"), "request_id");
  EXPECT_EQ(param(R"({"request_id":"","accepted":true})"), "request_id");
  EXPECT_EQ(param(R"({"request_id":"r","accepted":1})"), "accepted");
  EXPECT_EQ(param(R"({"request_id":"r","accepted":true,"score":1e7})"), "score");
  EXPECT_EQ(param(R"({"request_id":"r","accepted":true,"score":"1"})"), "score");
  EXPECT_EQ(param(R"({"request_id":"r","accepted":true,"note":")" + std::string(2001, 'x') + "\"}"),
            "note");
  EXPECT_EQ(parse_outcome("[]").error().code, ErrorCode::kInvalidValue);
  EXPECT_EQ(parse_outcome(std::string(9000, ' ')).error().code, ErrorCode::kBodyTooLarge);
  const std::string whole = R"({"request_id":"r","accepted":true,"score":1.5,"note":"x"})";
  for (size_t n = 0; n < whole.size(); ++n)
    EXPECT_EQ(parse_outcome(whole.substr(0, n)).error().code, ErrorCode::kInvalidJson) << n;
}

}  // namespace
}  // namespace weir::gateway
