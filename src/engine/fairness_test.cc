#include "engine/fairness.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "base/rng.h"
#include "engine/waiting_line.h"

namespace weir::engine {
namespace {

class Line {
 public:
  explicit Line(Fairness fairness = Fairness::kVtc) : line_(fairness, table) {}

  Waiter add(TenantState* tenant, int64_t tokens, int32_t priority = 0,
             ServiceClass c = ServiceClass::kInteractive) {
    Waiter w;
    w.priority = priority;
    w.seniority = next_++;
    w.service_class = c;
    w.tenant = tenant;
    w.tokens = tokens;
    line_.add(w);
    return w;
  }
  TenantState* tenant(const std::string& name, double weight = 1, int32_t max_running = 0) {
    return table.enter(name, weight, max_running);
  }
  std::string order(size_t count = 100) {
    std::vector<Waiter> out;
    line_.first(count, out);
    std::string text;
    for (const Waiter& w : out) text += std::to_string(w.seniority) + " ";
    return text;
  }
  WaitingLine& operator*() { return line_; }
  WaitingLine* operator->() { return &line_; }

  TenantTable table;

 private:
  WaitingLine line_;
  uint64_t next_ = 0;
};

TEST(Fairness, TenantsTakeTurnsByWhatTheyHaveHad) {
  Line line;
  TenantState* a = line.tenant("a");
  TenantState* b = line.tenant("b");
  for (int i = 0; i < 4; ++i) line.add(a, 100);
  for (int i = 0; i < 2; ++i) line.add(b, 100);
  EXPECT_EQ(line.order(), "0 4 1 5 2 3 ");
  TenantTable::charge(*a, 150, 0);
  EXPECT_EQ(line.order(4), "4 5 0 1 ");
}

TEST(Fairness, AHeavierWeightGetsMore) {
  Line line;
  TenantState* a = line.tenant("a", 2);
  TenantState* b = line.tenant("b", 1);
  for (int i = 0; i < 4; ++i) line.add(a, 100);
  for (int i = 0; i < 4; ++i) line.add(b, 100);
  EXPECT_EQ(line.order(6), "0 4 1 2 5 3 ");
}

TEST(Fairness, PriorityCountsInsideATenantOnly) {
  Line line;
  TenantState* a = line.tenant("a");
  TenantState* b = line.tenant("b");
  line.add(a, 10, 5);
  line.add(a, 10, -1);
  line.add(b, 10, 100);
  EXPECT_EQ(line.order(), "1 2 0 ");
}

TEST(Fairness, FifoAsksNotWhoButSincePriority) {
  Line line(Fairness::kFifo);
  TenantState* a = line.tenant("a");
  TenantState* b = line.tenant("b");
  line.add(a, 10);
  line.add(a, 10);
  line.add(b, 10);
  line.add(b, 10, -1);
  TenantTable::charge(*a, 1000, 0);
  EXPECT_EQ(line.order(), "3 0 1 2 ");
}

TEST(Fairness, ATenantStartsNoMoreThanItMayRun) {
  Line line;
  TenantState* a = line.tenant("a", 1, 2);
  a->running = 1;
  Waiter started = line.add(a, 10);
  for (int i = 0; i < 5; ++i) line.add(a, 10);
  EXPECT_EQ(line.order(), "0 ");
  started.started = true;
  line->add(started);
  EXPECT_EQ(line.order(), "0 1 ") << "what runs goes on, and one more may start";
  line->remove(started);
  EXPECT_EQ(line.order(), "1 ");
}

TEST(Fairness, IdleTimeEarnsNoCredit) {
  Line line;
  TenantState* a = line.tenant("a");
  TenantState* b = line.tenant("b");
  const Waiter w = line.add(a, 10);
  TenantTable::charge(*a, 5000, 0);
  line.add(b, 10);
  EXPECT_EQ(b->counter, 5000) << "lifted to the lowest that waits";
  line->remove(w);
  TenantState* c = line.tenant("c");
  TenantTable::charge(*b, 70, 0);
  line.add(c, 10);
  EXPECT_EQ(c->counter, 5070);
}

TEST(Fairness, AfterAPauseOfAllTheLastToWaitIsTheLevel) {
  Line line;
  TenantState* a = line.tenant("a");
  const Waiter w = line.add(a, 10);
  TenantTable::charge(*a, 300, 0);
  line->remove(w);
  TenantState* b = line.tenant("b");
  line.add(b, 10);
  EXPECT_EQ(b->counter, 300);
}

TEST(Fairness, BatchComesLastButGetsItsShare) {
  Line line;
  TenantState* a = line.tenant("a");
  line.add(a, 10, 0, ServiceClass::kBatch);
  line.add(a, 10);
  EXPECT_EQ(line.order(), "1 0 ");
  int64_t interactive = 0;
  while (!line->batch_first() && interactive < 100'000) {
    line->served(ServiceClass::kInteractive, 64);
    interactive += 64;
  }
  EXPECT_EQ(interactive, 2560) << "a tenth of it is a chunk of 256";
  EXPECT_EQ(line.order(), "0 1 ");
  line->served(ServiceClass::kBatch, 255);
  EXPECT_TRUE(line->batch_first());
  line->served(ServiceClass::kBatch, 1);
  EXPECT_EQ(line.order(), "1 0 ");
}

TEST(Fairness, IdleTenantsAreForgottenInBoundedNumber) {
  TenantTable table;
  for (int i = 0; i < 10'000; ++i) {
    TenantState* t = table.enter("t" + std::to_string(i), 1, 0);
    TenantTable::charge(*t, i, 0);
    table.leave(t);
    ASSERT_LE(table.all().size(), TenantTable::kMaxIdle + 1);
  }
  EXPECT_TRUE(table.all().contains("t9999")) << "those who had most are remembered";
}

// Theorem 4.4 of the paper, on a machine that serves one chunk at a time: while two tenants wait
// without a pause, their service differs by at most 2 max(w_p L_input, w_q M).
TEST(Fairness, ServiceOfBackloggedTenantsStaysWithinTheBound) {
  constexpr int64_t kLargestPrompt = 64;
  constexpr double kBound = 2 * kInputWeight * kLargestPrompt;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Rng rng(seed);
    Line line;
    std::vector<TenantState*> tenants;
    const uint64_t count = 2 + rng.below(4);
    for (uint64_t i = 0; i < count; ++i)
      tenants.push_back(line.tenant(std::to_string(i), 1 + static_cast<double>(rng.below(3))));
    const auto refill = [&](TenantState* t) {
      line.add(t, static_cast<int64_t>(1 + rng.below(kLargestPrompt)));
    };
    for (TenantState* t : tenants) {
      for (int i = 0; i < 3; ++i) refill(t);
    }
    for (int step = 0; step < 300; ++step) {
      std::vector<Waiter> out;
      line->first(1, out);
      ASSERT_EQ(out.size(), 1U);
      line->remove(out[0]);
      TenantTable::charge(*out[0].tenant, out[0].tokens, 0);
      refill(out[0].tenant);
      const auto [low, high] = std::minmax_element(
          tenants.begin(), tenants.end(),
          [](const TenantState* x, const TenantState* y) { return x->counter < y->counter; });
      ASSERT_LE((*high)->counter - (*low)->counter, kBound) << seed;
    }
  }
}

}  // namespace
}  // namespace weir::engine
