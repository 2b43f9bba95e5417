// The runner against the mock server, over real sockets.
#include "bench/load/runner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <set>

#include "bench/mock/mock_server.h"

namespace weir::bench {
namespace {

class RunnerTest : public testing::Test {
 protected:
  void start(MockOptions options) {
    auto mock = MockServer::start(std::move(options), clock_);
    ASSERT_TRUE(mock.ok()) << mock.error().message;
    mock_ = std::move(*mock);
    auto client = http::Client::start({});
    ASSERT_TRUE(client.ok());
    client_ = std::move(*client);
    target_.url = http::Url{"127.0.0.1", mock_->port(), ""};
    target_.model = "mock";
    const auto calibration = calibrate(*client_, target_);
    ASSERT_TRUE(calibration.ok()) << calibration.error().message;
    EXPECT_TRUE(calibration->exact);
    words_ = calibration->words;
    spec_.prompt = *parse_length("", "uniform:5-30");
    spec_.output = *parse_length("", "uniform:2-9");
  }
  LoadRun run(const Schedule& schedule, const LoadRunner::OnProgress& on_progress = going,
              const ops::Dataset* dataset = nullptr) {
    const auto workload = Workload::make(spec_, dataset);
    EXPECT_TRUE(workload.ok());
    LoadRunner runner(*client_, target_, shape_, *workload, words_);
    auto made = runner.run(schedule, on_progress);
    EXPECT_TRUE(made.ok()) << made.error().message;
    return made.ok() ? std::move(*made) : LoadRun{};
  }
  static bool going(const RunProgress&) { return true; }
  static Schedule closed(int32_t users, uint64_t requests) {
    Schedule s;
    s.kind = Schedule::Kind::kClosed;
    s.concurrency = users;
    s.requests = requests;
    return s;
  }
  static Schedule open(double rate, uint64_t requests) {
    Schedule s;
    s.arrivals = *parse_arrivals("poisson", rate);
    s.requests = requests;
    return s;
  }
  // What holds of every record of a request that went well.
  void check(const RequestRecord& r) {
    EXPECT_EQ(r.outcome, Outcome::kOk) << r.error;
    EXPECT_GE(r.sent_s, r.intended_s);
    EXPECT_GE(r.first_token_s, r.sent_s);
    EXPECT_GE(r.end_s, r.first_token_s);
    EXPECT_EQ(static_cast<int32_t>(r.gaps_ms.size()) + 1, r.output_tokens);
    EXPECT_GE(r.queue_ms, 0);
  }

  SystemClock clock_;
  std::unique_ptr<MockServer> mock_;
  Target target_;
  RequestShape shape_;
  WorkloadSpec spec_;
  PromptWords words_;
  std::unique_ptr<http::Client> client_;  // last: stops first
};

TEST_F(RunnerTest, ClosedLoopSendsEveryRequestOnce) {
  MockOptions options;
  options.ttft_ms = 1;
  options.itl_ms = 0.2;
  start(options);
  const LoadRun r = run(closed(7, 100));
  EXPECT_EQ(r.label, "concurrency 7");
  EXPECT_EQ(r.concurrency, 7);
  ASSERT_EQ(r.requests.size(), 100U);
  for (size_t i = 0; i < r.requests.size(); ++i) {
    check(r.requests[i]);
    if (i == 0) continue;
    EXPECT_GE(r.requests[i].intended_s, r.requests[i - 1].intended_s);
  }
  // Lengths are those of the workload; the mock counts words, so they are exact.
  const auto workload = Workload::make(spec_, nullptr);
  std::multiset<std::pair<int64_t, int32_t>> wanted;
  std::multiset<std::pair<int64_t, int32_t>> got;
  for (uint64_t i = 0; i < 100; ++i) {
    const Conversation c = workload->conversation(i);
    wanted.emplace(c.prompt_tokens(), c.turns[0].output_tokens);
    got.emplace(r.requests[i].prompt_tokens, r.requests[i].output_tokens);
  }
  EXPECT_EQ(got, wanted);
  EXPECT_LE(client_->connections(), 7U);
}

// No more than `users` are ever under way, by the record's own times.
TEST_F(RunnerTest, ClosedLoopKeepsItsConcurrency) {
  MockOptions options;
  options.ttft_ms = 2;
  start(options);
  const LoadRun r = run(closed(3, 60));
  std::vector<std::pair<double, int>> edges;
  for (const RequestRecord& q : r.requests) {
    edges.emplace_back(q.sent_s, 1);
    edges.emplace_back(q.end_s, -1);
  }
  std::sort(edges.begin(), edges.end());
  int under_way = 0;
  int most = 0;
  for (const auto& [at, change] : edges) most = std::max(most, under_way += change);
  EXPECT_EQ(most, 3);
}

// An open loop sends by its own clock although the server has one slot and falls far behind, and
// the latencies count the wait.
TEST_F(RunnerTest, OpenLoopCountsFromTheIntendedTime) {
  MockOptions options;
  options.ttft_ms = 20;
  options.slots = 1;
  start(options);
  const LoadRun r = run(open(500, 30));
  ASSERT_EQ(r.requests.size(), 30U);
  const Arrivals arrivals = *parse_arrivals("poisson", 500);
  double at = 0;
  for (size_t i = 0; i < 30; ++i) {
    check(r.requests[i]);
    at += arrivals.gap_s(spec_.seed, i);
    EXPECT_DOUBLE_EQ(r.requests[i].intended_s, at);
  }
  // 30 answers of 20 ms one after the other: the last had to wait for those before it.
  double worst = 0;
  for (const RequestRecord& q : r.requests) worst = std::max(worst, q.ttft_s());
  EXPECT_GT(worst, 30 * 0.020 - at);
  EXPECT_EQ(r.offered_per_s, 500);
}

TEST_F(RunnerTest, TraceKeepsItsTimesAndScale) {
  start({});
  const auto d =
      ops::parse_dataset("Timestamp,Request tokens,Response tokens\n10,5,3\n10.1,6,4\n10.4,7,5\n");
  ASSERT_TRUE(d.ok());
  spec_.prompt = spec_.output = *parse_length("", "trace");
  Schedule s;
  s.kind = Schedule::Kind::kTrace;
  s.time_scale = 0.1;
  const LoadRun r = run(s, going, &*d);
  ASSERT_EQ(r.requests.size(), 3U);
  EXPECT_NEAR(r.requests[1].intended_s, 0.01, 1e-9);
  EXPECT_NEAR(r.requests[2].intended_s, 0.04, 1e-9);
  EXPECT_EQ(r.requests[2].prompt_tokens, 7);
  EXPECT_EQ(r.requests[2].output_tokens, 5);
  EXPECT_NEAR(r.offered_per_s, 50, 1e-6);
}

TEST_F(RunnerTest, WarmUpIsNotRecorded) {
  start({});
  Schedule s = closed(2, 20);
  s.warmup_requests = 10;
  LoadRun r = run(s);
  EXPECT_EQ(r.requests.size(), 20U);
  // The warm-up took the first conversations.
  const auto workload = Workload::make(spec_, nullptr);
  EXPECT_EQ(r.requests[0].prompt_tokens, workload->conversation(10).prompt_tokens());

  Schedule timed = open(200, 0);
  timed.duration_s = 0.4;
  timed.warmup_s = 0.2;
  r = run(timed);
  ASSERT_FALSE(r.requests.empty());
  EXPECT_LT(r.requests.size(), 70U);
  for (const RequestRecord& q : r.requests) {
    EXPECT_GE(q.intended_s, 0);
    EXPECT_LT(q.intended_s, 0.2);
    check(q);
  }
}

TEST_F(RunnerTest, ConversationsSendWhatWasSaid) {
  MockOptions options;
  options.ttft_ms = 1;
  start(options);
  spec_.turns = 3;
  spec_.think_s = 0.001;
  spec_.prompt = *parse_length("", "10");
  spec_.output = *parse_length("", "4");
  for (const bool chat : {false, true}) {
    target_.chat = chat;
    const LoadRun r = run(closed(2, 12));
    ASSERT_EQ(r.requests.size(), 12U);
    for (const RequestRecord& q : r.requests) {
      check(q);
      EXPECT_EQ(q.prompt_tokens, 10 + q.turn * 14) << q.turn;
    }
    std::set<int32_t> sessions;
    for (const RequestRecord& q : r.requests) sessions.insert(q.session);
    EXPECT_EQ(sessions.size(), 4U);
  }
}

TEST_F(RunnerTest, FailuresHaveTheirClass) {
  MockOptions options;
  options.error_rate = 0.2;
  options.reject_rate = 0.2;
  options.cut_rate = 0.3;
  start(options);
  const LoadRun r = run(open(2000, 200));
  ASSERT_EQ(r.requests.size(), 200U);
  std::map<Outcome, int> seen;
  for (const RequestRecord& q : r.requests) {
    ++seen[q.outcome];
    EXPECT_EQ(q.retry_after_s, q.outcome == Outcome::kRejected ? 1 : -1);
    EXPECT_EQ(q.error.empty(), q.outcome == Outcome::kOk);
  }
  // By seed: the shares hold roughly, whatever the order of arrival.
  EXPECT_NEAR(seen[Outcome::kServerError], 40, 20);
  EXPECT_NEAR(seen[Outcome::kRejected], 40, 20);
  EXPECT_NEAR(seen[Outcome::kConnection], 36, 20);
  EXPECT_EQ(seen[Outcome::kOk] + seen[Outcome::kServerError] + seen[Outcome::kRejected] +
                seen[Outcome::kConnection],
            200);
}

TEST_F(RunnerTest, AServerThatIsGoneIsAnErrorPerRequest) {
  start({});
  mock_.reset();
  const LoadRun r = run(closed(4, 8));
  ASSERT_EQ(r.requests.size(), 8U);
  for (const RequestRecord& q : r.requests) EXPECT_EQ(q.outcome, Outcome::kConnection);
}

TEST_F(RunnerTest, EndsWhenTold) {
  MockOptions options;
  options.ttft_ms = 5;
  start(options);
  Schedule s = closed(2, 0);
  s.duration_s = 3600;
  uint64_t ended = 0;
  const LoadRun r = run(s, [&](const RunProgress& p) {
    ended = p.ended;
    return p.ended < 5;
  });
  EXPECT_GE(r.requests.size(), ended);
  EXPECT_EQ(r.settings.at("ended"), "interrupted");
  for (const RequestRecord& q : r.requests) check(q);
}

TEST_F(RunnerTest, AStuckRequestEndsWhenToldToo) {
  MockOptions options;
  options.ttft_ms = 3.6e6;
  start(options);
  const LoadRun r = run(closed(3, 3), [](const RunProgress& p) { return p.sent < 3; });
  EXPECT_TRUE(r.requests.empty());
}

TEST_F(RunnerTest, PromptsDoNotReturnInTheNextRun) {
  start({});
  const auto workload = Workload::make(spec_, nullptr);
  LoadRunner runner(*client_, target_, shape_, *workload, words_);
  ASSERT_TRUE(runner.run(closed(1, 3), going).ok());
  const auto second = runner.run(closed(1, 3), going);
  ASSERT_TRUE(second.ok());
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(second->requests[i].prompt_tokens, workload->conversation(3 + i).prompt_tokens());
  }
}

TEST_F(RunnerTest, WholeAnswers) {
  MockOptions options;
  options.ttft_ms = 1;
  start(options);
  shape_.stream = false;
  const LoadRun r = run(closed(4, 20));
  ASSERT_EQ(r.requests.size(), 20U);
  for (const RequestRecord& q : r.requests) {
    EXPECT_EQ(q.outcome, Outcome::kOk) << q.error;
    EXPECT_EQ(q.first_token_s, -1);
    EXPECT_TRUE(q.gaps_ms.empty());
    EXPECT_GT(q.output_tokens, 0);
  }
}

TEST_F(RunnerTest, AScheduleWithoutEndIsRefused) {
  start({});
  const auto workload = Workload::make(spec_, nullptr);
  LoadRunner runner(*client_, target_, shape_, *workload, words_);
  EXPECT_FALSE(runner.run(closed(1, 0), going).ok());
  Schedule s = closed(1, 0);
  s.duration_s = 1;
  s.warmup_s = 1;
  EXPECT_FALSE(runner.run(s, going).ok());
}

TEST_F(RunnerTest, TheOnlyModelIsFound) {
  start({});
  const auto model = only_model(*client_, target_);
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_EQ(*model, "mock");
  const auto workload = Workload::make(spec_, nullptr);
  const auto calibration = calibrate(*client_, target_);
  EXPECT_EQ(check_prompts(*client_, target_, *workload, *calibration), calibration->note);
  target_.chat = true;
  EXPECT_TRUE(calibrate(*client_, target_)->exact);
}

}  // namespace
}  // namespace weir::bench
