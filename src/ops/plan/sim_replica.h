// One replica of a simulated fleet. Internal to ops/.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <span>
#include <unordered_map>
#include <vector>

#include "ops/plan/simulate.h"

namespace weir::ops {

// Borrowed: requests, what a step takes, and the outcome, to which only this replica's requests are
// written.
class ReplicaSim {
 public:
  struct Lost {
    size_t request = 0;
    int32_t generated = 0;
    double last_token_s = 0;
  };

  ReplicaSim(std::span<const SimRequest> requests, const SimReplica& limits, const StepTime& time,
             SimOutcome& out)
      : requests_(requests), limits_(limits), time_(&time), out_(&out) {
    double accepted = 1;  // that draft i is looked at
    for (int32_t i = 0; i < limits.draft_tokens; ++i) {
      accepted *= limits.draft_acceptance;
      tokens_per_decode_ += accepted;
    }
  }

  // Runs steps until one ends at or after `until_s`, or nothing is left to do.
  void advance(double until_s);
  // Request i arrives at now_s, which is its arrival or later. False: refused, since it would wait
  // too long.
  bool arrive(size_t i, double now_s);
  // What another replica lost after its first token: prompt and answer are computed anew.
  void take_over(const Lost& lost, double now_s);
  // Everything it holds is lost, and its cache; it is as new.
  std::vector<Lost> fail(double now_s);

  size_t waiting() const { return waiting_.size(); }
  bool empty() const { return waiting_.empty() && running_.empty(); }

  // Prompt tokens that are not computed yet, and answer tokens that are not written.
  int64_t waiting_tokens() const { return waiting_tokens_; }
  bool holds(int32_t group) const { return group >= 0 && kept_.contains(group); }

  double busy_s() const { return busy_s_; }
  double in_system_s() const { return in_system_s_; }
  double last_token_s() const { return last_token_s_; }
  const GapHistogram& gaps() const { return gaps_; }

 private:
  struct Waiting {
    size_t request = 0;
    int32_t generated = 0;  // before it was preempted
    double last_token_s = 0;
    bool transferred = false;  // its keys and values are there
  };
  struct Running {
    size_t request = 0;
    int32_t prefill_left = 0;
    int32_t known = 0;  // tokens in the cache
    int32_t generated = 0;
    double last_token_s = 0;
    double credit = 0;  // of tokens that speculation gave beyond whole ones
  };

  void enter(Waiting waiting, double now_s, int64_t tokens);
  void admit();
  int32_t cached(const SimRequest& r);
  void keep(int32_t group);
  bool step(double until_s);
  void plan(engine::StepWork& work);
  void find_short_ones();
  void prefill(size_t i, int64_t& budget, engine::StepWork& work);
  int64_t decodes_in_a_row(double step_ms, double until_s, int64_t decodes) const;
  void decode_many(int64_t steps, double ms);
  void finish_step(double ms);
  double jitter();
  int32_t tokens_of_decode(Running& r) const;
  int32_t emit(Running& r, int32_t tokens, double begin_s);
  void finish(const Running& r);
  void preempt_until_it_fits();
  void count_to(double time_s);

  std::span<const SimRequest> requests_;
  SimReplica limits_;
  const StepTime* time_;
  SimOutcome* out_;
  double now_s_ = 0;
  double busy_s_ = 0, in_system_s_ = 0, counted_to_s_ = 0, last_token_s_ = 0;
  int64_t in_system_ = 0;
  int64_t waiting_tokens_ = 0;
  int64_t kv_used_ = 0;
  double tokens_per_s_ = 0;  // of late: prompt and answer tokens together
  double tokens_per_decode_ = 1;
  uint64_t steps_ = 0;
  std::deque<Waiting> waiting_;
  std::vector<Running> running_;
  std::vector<size_t> short_ones_;  // of running_, those that need not wait for the first prompt
  std::vector<int32_t> chunks_;     // of the step: tokens for each of running_, 0: a decode or none
  GapHistogram gaps_;
  std::list<int32_t> recent_;  // groups whose prefix is kept, newest first
  std::unordered_map<int32_t, std::list<int32_t>::iterator> kept_;
};

}  // namespace weir::ops
