// A day of traffic in virtual time: 10,000 tenants with prompts and sessions of their own over
// 1,000 endpoints in two regions, of which some fail, restart and come back. Every request finds an
// endpoint that is up, prefixes are found again, and memory stays within its bound.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <queue>
#include <string>

#include "base/rng.h"
#include "gateway/route/mix.h"
#include "gateway/route/pick.h"
#include "gateway/route/prefix_index.h"
#include "gateway/route/prompt_blocks.h"

namespace weir::gateway {
namespace {

constexpr uint32_t kEndpoints = 1'000;
constexpr uint64_t kTenants = 10'000;
constexpr int kRequests = 20'000;  // a sample of the day's
constexpr double kDayS = 86'400;

class Day {
 public:
  Day() {
    for (uint32_t i = 0; i < kEndpoints; ++i) {
      candidates_.push_back({.endpoint = i, .priority = static_cast<uint8_t>(i >= 900 ? 1 : 0)});
      endpoints_.push_back({.identity = mix64(i), .region = 1 + i % 2, .max_in_flight = 32});
      index_.set_capacity(i, 200'000);
    }
    pick_.policy = PickPolicy::kCacheAware;
  }

  void run() {
    for (int i = 0; i < kRequests; ++i) {
      // Twice as many at noon as at midnight.
      const double t = (i + 0.5) / kRequests;
      const double now_s = kDayS * (t - std::sin(2 * M_PI * t) / (6 * M_PI));
      ASSERT_GE(now_s, now_s_);
      now_s_ = now_s;
      end_requests();
      if (i % 50 == 0) fail_or_restart();
      failover_.update({endpoints_, 1, 0}, candidates_, static_cast<int64_t>(now_s * 1e9));
      serve();
      most_bytes = std::max(most_bytes, index_.bytes());
    }
  }

  static constexpr PrefixIndexConfig kIndex{.endpoints = kEndpoints, .max_pairs = 70'000};
  size_t most_bytes = 0;
  int64_t matched_tokens = 0;
  int64_t all_tokens = 0;
  size_t pairs() const { return index_.pairs(); }

 private:
  void end_requests() {
    for (; !running_.empty() && -running_.top().first <= now_s_; running_.pop())
      --endpoints_[running_.top().second].in_flight;
  }

  void fail_or_restart() {
    const auto e = static_cast<uint32_t>(rng_.below(kEndpoints));
    endpoints_[e].up = !endpoints_[e].up;
    if (endpoints_[e].up) index_.cleared(e);
  }

  void serve() {
    const double u = rng_.unit();
    const auto tenant = static_cast<uint64_t>(u * u * kTenants);
    const std::string name = std::to_string(tenant);
    const uint64_t turns = 1 + rng_.below(8);
    PromptBlocks prompt({.key = {1, 2}}, name);
    prompt.add("system", std::string(1'000 + tenant % 3'000, static_cast<char>('a' + tenant % 26)));
    for (uint64_t k = 0; k < turns; ++k) prompt.add("user", std::string(300, 'x'));
    RequestView request;
    request.tenant = name;
    request.blocks = prompt.blocks();
    request.input_tokens = static_cast<int64_t>(prompt.bytes() / 4 + 1);
    index_.match(request.blocks, matched_);
    const Attempts a = route(pick_,
                             {.request = request,
                              .fleet = {endpoints_, 1, 0},
                              .failover = failover_,
                              .matched_tokens = matched_,
                              .draw = rng_.next()},
                             scratch_);
    ASSERT_EQ(a.count, 3U);
    for (const uint32_t e : a.all()) ASSERT_TRUE(endpoints_[e].up);
    const uint32_t to = a.endpoint[0];
    index_.touch(to, request.blocks);
    ++endpoints_[to].in_flight;
    running_.emplace(-(now_s_ + 5 + 20 * rng_.unit()), to);
    matched_tokens += matched_[to];
    all_tokens += request.input_tokens;
  }

  Rng rng_{1};
  std::vector<EndpointView> endpoints_;
  std::vector<Candidate> candidates_;
  Failover failover_{{}};
  PrefixIndex index_{kIndex};
  PickConfig pick_;
  PickScratch scratch_;
  std::vector<uint32_t> matched_ = std::vector<uint32_t>(kEndpoints);
  std::priority_queue<std::pair<double, uint32_t>> running_;  // by the end, soonest first
  double now_s_ = 0;
};

TEST(DayTest, ADayOfTenantsAndFailures) {
  Day day;
  day.run();
  if (HasFatalFailure()) return;
  EXPECT_EQ(day.pairs(), Day::kIndex.max_pairs);  // the bound was met
  EXPECT_LE(day.most_bytes, PrefixIndex::max_bytes(Day::kIndex));
  EXPECT_GT(static_cast<double>(day.matched_tokens), 0.3 * static_cast<double>(day.all_tokens));
}

}  // namespace
}  // namespace weir::gateway
