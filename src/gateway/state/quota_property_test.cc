// What quota.h guarantees, held against random traffic: 1,000 requests that interleave, from one
// thread and from many, on every store.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "base/rng.h"
#include "gateway/state/quota_stores_testing.h"

namespace weir::gateway {
namespace {

constexpr int64_t kNow = 1'800'000'000'000;
constexpr int kRequests = 1000;

// One limit of every metric and window, which most requests meet, over three tenants.
std::vector<QuotaLimit> limits_of(uint64_t tenant) {
  std::vector<QuotaLimit> out;
  const int64_t most[kQuotaMetrics] = {40, 12'000, 9'000, 20'000, 4'000'000};
  for (size_t m = 0; m < kQuotaMetrics; ++m) {
    for (int w = 0; w < 3; ++w) {
      const bool shared = m % 2 == 0;  // by all tenants
      out.push_back({fmt::format("{}/{}/{}", m, w, shared ? 9 : tenant), fmt::format("{} {}", m, w),
                     static_cast<QuotaMetric>(m), static_cast<QuotaWindow>(w),
                     most[m] * (w + 1) * (shared ? 2 : 1)});
    }
  }
  return out;
}

struct Request {
  std::string id;
  uint64_t tenant = 0;
  QuotaAmounts reserved, actual;
  bool fails = false, cut = false;
};

QuotaAmounts more_of(const QuotaAmounts& r, int64_t tokens) {
  QuotaAmounts out = r;
  out.requests = 0;
  out.input_tokens = 0;
  out.output_tokens = tokens;
  out.money_nanos = tokens * 3;
  return out;
}

// What a limit is overspent by, and what a single request may go beyond its estimate.
constexpr int64_t kMostOverrun = 400;  // tokens of output

int64_t overrun_of(QuotaMetric metric) {
  switch (metric) {
    case QuotaMetric::kOutputTokens:
    case QuotaMetric::kTotalTokens:
      return kMostOverrun;
    case QuotaMetric::kMoney:
      return kMostOverrun * 3;
    default:
      return 0;
  }
}

// The gateway's side of a request: what it was told at admission, and what came.
struct Traffic {
  explicit Traffic(uint64_t seed) : rng(seed) {}
  Rng rng;
  int64_t draw(int64_t n) { return static_cast<int64_t>(rng.below(static_cast<uint64_t>(n))); }

  Request request() {
    Request r;
    r.tenant = rng.below(3);
    r.reserved.input_tokens = draw(400);
    r.reserved.output_tokens = draw(300);
    r.reserved.money_nanos = r.reserved.input_tokens + r.reserved.output_tokens * 3;
    r.actual = r.reserved;
    r.actual.input_tokens = draw(r.reserved.input_tokens + 1);  // the estimate is an upper bound
    r.actual.output_tokens = draw(r.reserved.output_tokens + kMostOverrun);
    r.fails = rng.below(5) == 0;
    return r;
  }
};

class QuotaProperty : public QuotaStores {
 protected:
  void expect_within(uint64_t tenant, int64_t unix_ms) {
    const auto limits = limits_of(tenant);
    const auto used = read_now(*store_, limits, unix_ms);
    ASSERT_EQ(used.size(), limits.size());
    for (size_t i = 0; i < limits.size(); ++i) {
      ASSERT_LE(used[i], limits[i].limit + overrun_of(limits[i].metric))
          << limits[i].name << " of seed " << seed_ << " at " << unix_ms;
      beyond_ += used[i] > limits[i].limit ? 1 : 0;
    }
  }

  // Runs the request to its end: asks before it goes beyond its estimate, stops where refused.
  void finish(Request r, int64_t unix_ms) {
    if (r.fails) return store_->refund(r.id, unix_ms);
    int64_t more = r.actual.output_tokens - r.reserved.output_tokens;
    for (; more > 0 && !r.cut; more -= 100) {
      const QuotaAmounts piece = more_of(r.reserved, std::min<int64_t>(more, 100));
      r.cut = extend_now(*store_, r.id, piece, unix_ms).verdict != QuotaVerdict::kGranted;
      if (r.cut) break;
      r.reserved.output_tokens += piece.output_tokens;
    }
    r.actual.output_tokens = std::min(r.actual.output_tokens, r.reserved.output_tokens);
    r.actual.money_nanos = r.actual.input_tokens + r.actual.output_tokens * 3;
    ++finished_;
    cut_ += r.cut ? 1 : 0;
    spent_input_ += r.actual.input_tokens;
    spent_output_ += r.actual.output_tokens;
    store_->reconcile(r.id, r.actual, unix_ms);
  }

  std::atomic<int64_t> finished_{0}, cut_{0}, refused_{0}, beyond_{0};
  uint64_t seed_ = 0;
  std::atomic<int64_t> spent_input_{0}, spent_output_{0};
};

INSTANTIATE_TEST_SUITE_P(Stores, QuotaProperty, all_stores(), store_name);

// Interleaved: up to 30 in flight, over ten minutes across a midnight and the end of a month.
TEST_P(QuotaProperty, AThousandRequestsNeverOverspendByMoreThanOnesOverrun) {
  const uint64_t seeds = GetParam() == StoreKind::kMemory ? 20 : 2;
  const int64_t january_ends = 1'801'440'000'000;
  for (uint64_t seed = 1; seed <= seeds && !HasFailure(); ++seed) {
    seed_ = seed;
    ASSERT_NO_FATAL_FAILURE(begin_anew());
    Traffic traffic(seed);
    std::vector<Request> flying;
    int64_t now = january_ends - 300'000;
    for (int i = 0; i < kRequests; ++i) {
      now += traffic.draw(1200);
      Request r = traffic.request();
      const QuotaAnswer a = reserve(limits_of(r.tenant), r.reserved, now);
      ASSERT_NE(a.verdict, QuotaVerdict::kUnavailable) << a.why;
      r.id = a.reservation;
      if (a.verdict == QuotaVerdict::kGranted)
        flying.push_back(std::move(r));
      else
        ++refused_;
      while (flying.size() > 30 || (!flying.empty() && traffic.rng.below(2) == 0)) {
        std::swap(flying[traffic.rng.below(flying.size())], flying.back());
        finish(flying.back(), now);
        flying.pop_back();
      }
      if (i % 10 == 0) expect_within(r.tenant, now);
    }
    while (!flying.empty()) {
      finish(flying.back(), now);
      flying.pop_back();
    }
    expect_within(0, now);
  }
  EXPECT_GT(refused_, kRequests / 20);
  EXPECT_GT(finished_, kRequests / 5);
  EXPECT_GT(cut_, 0);
  EXPECT_GT(beyond_, 0);
  fmt::print("{} seeds: {} finished, {} of them cut, {} refused; {} readings beyond a limit\n",
             seeds, finished_, cut_, refused_, beyond_);
}

// What is left after the end is what was reported, to the unit; without failures nothing else.
TEST_P(QuotaProperty, AfterTheEndWhatIsBookedIsWhatWasReported) {
  const QuotaLimit input{"in", "in", QuotaMetric::kInputTokens, QuotaWindow::kMonth, kMaxQuota};
  const QuotaLimit output{"out", "out", QuotaMetric::kOutputTokens, QuotaWindow::kDay, kMaxQuota};
  const QuotaLimit requests{"n", "n", QuotaMetric::kRequests, QuotaWindow::kDay, kMaxQuota};
  Traffic traffic(7);
  std::vector<Request> flying;
  for (int i = 0; i < kRequests; ++i) {
    Request r = traffic.request();
    r.id = reserve({input, output, requests}, r.reserved, kNow).reservation;
    flying.push_back(std::move(r));
    if (flying.size() < 40) continue;
    finish(flying[traffic.rng.below(40)], kNow);
    flying.clear();  // the others are never heard of again: they expire
  }
  const int64_t later = kNow + book_.lifetime_ms;
  for (int i = 0; i < kRequests / 16 + 1; ++i)
    store_->refund(reserve({requests}, {}, later).reservation, later);
  EXPECT_EQ(used(input, later), spent_input_);
  EXPECT_EQ(used(output, later), spent_output_);
  EXPECT_EQ(used(requests, later), finished_);
}

// Eight threads as fast as they can; the limits hold at every moment that another one looks.
TEST_P(QuotaProperty, ManyThreads) {
  constexpr int kThreads = 8;
  std::atomic<int> running{kThreads};
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      Traffic traffic(100 + static_cast<uint64_t>(t));
      for (int i = 0; i < kRequests / kThreads; ++i) {
        Request r = traffic.request();
        const QuotaAnswer a = reserve(limits_of(r.tenant), r.reserved, kNow + i * 400);
        r.id = a.reservation;
        if (a.verdict == QuotaVerdict::kGranted)
          finish(std::move(r), kNow + i * 400);
        else
          ++refused_;
      }
      --running;
    });
  }
  while (running > 0) {
    for (uint64_t tenant = 0; tenant < 3; ++tenant) expect_within(tenant, kNow + 25'000);
  }
  for (std::thread& t : threads) t.join();
  const QuotaLimit all{"0/2/9", "", QuotaMetric::kRequests, QuotaWindow::kMonth, 240};
  EXPECT_EQ(used(all, kNow), finished_);
  EXPECT_GT(refused_, 0);
}

}  // namespace
}  // namespace weir::gateway
