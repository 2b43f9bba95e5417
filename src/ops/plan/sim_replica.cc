#include "ops/plan/sim_replica.h"

#include <algorithm>
#include <cmath>

#include "base/rng.h"

namespace weir::ops {
namespace {

constexpr double kMsPerS = 1000;
constexpr double kRateForgets = 0.05;  // weight of the newest step in the rate of late
constexpr uint64_t kJitterSeed = 0x5713;

}  // namespace

void ReplicaSim::count_to(double time_s) {
  in_system_s_ += static_cast<double>(in_system_) * (time_s - counted_to_s_);
  counted_to_s_ = time_s;
}

bool ReplicaSim::arrive(size_t i, double now_s) {
  const SimRequest& r = requests_[i];
  if (std::isfinite(limits_.max_wait_s) && tokens_per_s_ > 0 &&
      static_cast<double>(waiting_tokens_) / tokens_per_s_ > limits_.max_wait_s) {
    return false;
  }
  if (r.first_token_s >= 0) {
    enter({i, 1, r.first_token_s, true}, now_s, r.output_tokens - 1);
  } else {
    enter({i, 0, 0, false}, now_s, int64_t{r.prompt_tokens} + r.output_tokens);
  }
  return true;
}

void ReplicaSim::take_over(const Lost& lost, double now_s) {
  const SimRequest& r = requests_[lost.request];
  enter({lost.request, lost.generated, lost.last_token_s, false}, now_s,
        r.output_tokens - lost.generated);
}

void ReplicaSim::enter(Waiting waiting, double now_s, int64_t tokens) {
  now_s_ = std::max(now_s_, now_s);
  // The step under way may end later than that, and its requests are counted to its end.
  if (now_s > counted_to_s_) count_to(now_s);
  in_system_s_ += counted_to_s_ - now_s;
  ++in_system_;
  waiting_tokens_ += tokens;
  waiting_.push_back(waiting);
}

std::vector<ReplicaSim::Lost> ReplicaSim::fail(double now_s) {
  std::vector<Lost> lost;
  lost.reserve(running_.size() + waiting_.size());
  const auto add = [&](size_t request, int32_t generated, double last_token_s) {
    lost.push_back({request, generated, std::min(last_token_s, now_s)});
  };
  for (const Running& r : running_) add(r.request, r.generated, r.last_token_s);
  for (const Waiting& w : waiting_) add(w.request, w.generated, w.last_token_s);
  count_to(std::max(counted_to_s_, now_s));
  // Where the step under way would have ended later, its time is not spent.
  in_system_s_ -= static_cast<double>(in_system_) * (counted_to_s_ - now_s);
  in_system_ = waiting_tokens_ = kv_used_ = 0;
  waiting_.clear();
  running_.clear();
  recent_.clear();
  kept_.clear();
  return lost;
}

void ReplicaSim::advance(double until_s) {
  while (now_s_ < until_s && step(until_s)) {
  }
}

int32_t ReplicaSim::cached(const SimRequest& r) {
  if (!limits_.prefix_cache || !holds(r.group)) return 0;
  // The last token is computed anew, or there would be no logits.
  return std::min(r.prefix_tokens, r.prompt_tokens - 1);
}

void ReplicaSim::keep(int32_t group) {
  if (group < 0 || !limits_.prefix_cache) return;
  if (const auto it = kept_.find(group); it != kept_.end()) recent_.erase(it->second);
  recent_.push_front(group);
  kept_[group] = recent_.begin();
  if (kept_.size() <= static_cast<size_t>(std::max(limits_.prefixes, 1))) return;
  kept_.erase(recent_.back());
  recent_.pop_back();
}

void ReplicaSim::admit() {
  while (!waiting_.empty() && running_.size() < static_cast<size_t>(limits_.max_running)) {
    const Waiting& w = waiting_.front();
    const SimRequest& r = requests_[w.request];
    // The token that a transferred one came with is not in the cache yet: the next step puts it in.
    const int32_t all = r.prompt_tokens + (w.transferred ? 0 : w.generated);
    // A token for each that runs besides, or the next step would put the newest out again.
    const auto next = static_cast<int64_t>(running_.size()) + 1;
    if (!running_.empty() && kv_used_ + all + next > limits_.kv_tokens) return;
    const int32_t held = w.transferred ? all : cached(r);
    const Running run{w.request, all - held, held, w.generated, w.last_token_s};
    if (w.generated == 0 || w.transferred) {
      out_->queue_ms[w.request] = static_cast<float>(kMsPerS * std::max(0.0, now_s_ - r.arrival_s));
    }
    if (w.generated == 0) {
      out_->cached_tokens += held;
      waiting_tokens_ -= held;
    }
    kv_used_ += all;
    running_.push_back(run);
    waiting_.pop_front();
  }
}

void ReplicaSim::plan(engine::StepWork& work) {
  chunks_.assign(running_.size(), 0);
  int64_t budget = limits_.step_tokens;
  for (const Running& r : running_) {
    if (r.prefill_left > 0) continue;
    work.add_decode(r.known, 1 + limits_.draft_tokens);
    budget -= 1 + limits_.draft_tokens;
  }
  if (limits_.short_part > 0) {
    find_short_ones();
    int64_t half = short_ones_.empty() ? 0 : budget / 2;
    budget -= half;
    for (const size_t i : short_ones_) prefill(i, half, work);
    budget += half;
  }
  for (size_t i = 0; i < running_.size() && budget > 0; ++i) {
    if (chunks_[i] == 0) prefill(i, budget, work);
  }
}

// Those that stand behind the first prompt though much shorter, the shortest first.
void ReplicaSim::find_short_ones() {
  short_ones_.clear();
  const auto first = std::find_if(running_.begin(), running_.end(),
                                  [](const Running& r) { return r.prefill_left > 0; });
  if (first == running_.end()) return;
  for (auto r = first + 1; r != running_.end(); ++r) {
    if (r->prefill_left > 0 && int64_t{r->prefill_left} * limits_.short_part <= first->prefill_left)
      short_ones_.push_back(static_cast<size_t>(r - running_.begin()));
  }
  std::stable_sort(short_ones_.begin(), short_ones_.end(), [this](size_t a, size_t b) {
    return running_[a].prefill_left < running_[b].prefill_left;
  });
}

// What is left of its prompt, or of the step.
void ReplicaSim::prefill(size_t i, int64_t& budget, engine::StepWork& work) {
  if (running_[i].prefill_left == 0 || budget <= 0) return;
  chunks_[i] = static_cast<int32_t>(std::min<int64_t>(running_[i].prefill_left, budget));
  budget -= chunks_[i];
  work.add_prefill(running_[i].known, chunks_[i]);
}

// False: nothing to do.
bool ReplicaSim::step(double until_s) {
  admit();
  if (running_.empty()) return false;
  engine::StepWork work;
  plan(work);
  const double expected_ms = time_->ms(work);
  out_->max_kv_share = std::max(
      out_->max_kv_share, static_cast<double>(kv_used_) / static_cast<double>(limits_.kv_tokens));
  const bool prefills = std::any_of(running_.begin(), running_.end(),
                                    [](const Running& r) { return r.prefill_left > 0; });
  const int64_t steps = prefills || limits_.draft_tokens > 0
                            ? 1
                            : decodes_in_a_row(expected_ms, until_s, work.decode_tokens);
  if (steps <= 1) {
    finish_step(expected_ms * jitter());
    return true;
  }
  engine::StepWork last = work;
  last.decode_kv_tokens += (steps - 1) * work.decode_tokens;
  decode_many(steps, (expected_ms + time_->ms(last)) / 2);
  return true;
}

// Of the spread, one after the other in an order that repeats itself only after all of them.
double ReplicaSim::jitter() {
  const std::span<const double> spread = time_->spread();
  if (spread.empty()) return 1;
  return spread[static_cast<size_t>(random_u64(kJitterSeed, 0, steps_++) % spread.size())];
}

// As long as nothing joins, ends or fills the cache.
int64_t ReplicaSim::decodes_in_a_row(double step_ms, double until_s, int64_t decodes) const {
  int64_t steps = (limits_.kv_tokens - kv_used_) / decodes;
  for (const Running& r : running_)
    steps = std::min<int64_t>(steps, requests_[r.request].output_tokens - r.generated);
  const double left = (until_s - now_s_) * kMsPerS / step_ms;
  if (left < static_cast<double>(steps)) steps = static_cast<int64_t>(std::ceil(left));
  return steps;
}

void ReplicaSim::decode_many(int64_t steps, double ms) {
  const double begin = now_s_;
  const double taken = static_cast<double>(steps) * ms / kMsPerS;
  now_s_ = begin + taken;
  busy_s_ += taken;
  int64_t even = 0;  // gaps of one step each
  for (Running& r : running_) {
    even += steps - 1;
    if (r.last_token_s == begin) {
      ++even;
    } else {
      gaps_.add(kMsPerS * (begin - r.last_token_s) + ms, 1);
    }
    r.known += static_cast<int32_t>(steps);
    r.generated += static_cast<int32_t>(steps);
    r.last_token_s = now_s_;
  }
  gaps_.add_spread(ms, static_cast<double>(even), time_->spread());
  const int64_t tokens = steps * static_cast<int64_t>(running_.size());
  kv_used_ += tokens;
  waiting_tokens_ -= tokens;
  out_->output_tokens += tokens;
  tokens_per_s_ += kRateForgets * (static_cast<double>(tokens) / taken - tokens_per_s_);
  last_token_s_ = now_s_;
  for (const Running& r : running_) {
    if (r.generated == requests_[r.request].output_tokens) finish(r);
  }
  std::erase_if(running_, [&](const Running& r) {
    return r.generated == requests_[r.request].output_tokens;
  });
  preempt_until_it_fits();
}

void ReplicaSim::finish_step(double ms) {
  const double taken = ms / kMsPerS;
  const double begin = now_s_;
  now_s_ += taken;
  busy_s_ += taken;
  int64_t tokens = 0;
  int64_t even = 0;  // gaps of this step alone
  for (size_t i = 0; i < running_.size(); ++i) {
    Running& r = running_[i];
    if (r.prefill_left > 0) {
      if (chunks_[i] == 0) continue;
      r.prefill_left -= chunks_[i];
      r.known += chunks_[i];
      tokens += chunks_[i];
      out_->prefilled_tokens += chunks_[i];
      if (r.generated == 0) waiting_tokens_ -= chunks_[i];
      if (r.prefill_left > 0) continue;
      keep(requests_[r.request].group);
      // What a preempted one had generated is known; its prefill gives the token after that.
      even += emit(r, 1, begin);
      ++tokens;
    } else {
      const int32_t given = tokens_of_decode(r);
      r.known += given;
      kv_used_ += given;
      even += emit(r, given, begin);
      tokens += given;
    }
    if (r.generated == requests_[r.request].output_tokens) finish(r);
  }
  if (even > 0) gaps_.add(ms, static_cast<double>(even));
  std::erase_if(running_, [&](const Running& r) {
    return r.prefill_left == 0 && r.generated == requests_[r.request].output_tokens;
  });
  if (taken > 0)
    tokens_per_s_ += kRateForgets * (static_cast<double>(tokens) / taken - tokens_per_s_);
  preempt_until_it_fits();
}

int32_t ReplicaSim::tokens_of_decode(Running& r) const {
  if (limits_.draft_tokens == 0) return 1;
  r.credit += tokens_per_decode_;
  const auto whole = static_cast<int32_t>(r.credit);
  r.credit -= whole;
  return std::min(whole, requests_[r.request].output_tokens - r.generated);
}

// Tokens of one step, which share the time since the one before. Returns how many gaps are just the
// step, which began then: the caller counts them all at once.
int32_t ReplicaSim::emit(Running& r, int32_t tokens, double begin_s) {
  int32_t even = 0;
  out_->output_tokens += tokens;
  waiting_tokens_ -= tokens;
  if (r.generated == 0) {
    out_->ttft_ms[r.request] =
        static_cast<float>(kMsPerS * (now_s_ - requests_[r.request].arrival_s));
  } else if (tokens == 1 && r.last_token_s == begin_s) {
    even = 1;
  } else {
    gaps_.add(kMsPerS * (now_s_ - r.last_token_s) / tokens, tokens);
  }
  r.generated += tokens;
  r.last_token_s = now_s_;
  last_token_s_ = now_s_;
  return even;
}

void ReplicaSim::finish(const Running& r) {
  const SimRequest& request = requests_[r.request];
  out_->total_ms[r.request] = static_cast<float>(kMsPerS * (now_s_ - request.arrival_s));
  // What it reserved at its admission, and a token for each decode after.
  kv_used_ -= r.known;
  count_to(std::max(counted_to_s_, now_s_));
  --in_system_;
}

// The newest goes back to the head of the queue, and is computed anew.
void ReplicaSim::preempt_until_it_fits() {
  while (running_.size() > 1 &&
         kv_used_ + static_cast<int64_t>(running_.size()) > limits_.kv_tokens) {
    const Running r = running_.back();
    running_.pop_back();
    kv_used_ -= r.known + r.prefill_left;
    if (r.generated == 0) waiting_tokens_ += r.known;  // admission takes the cached part off again
    waiting_.push_front({r.request, r.generated, r.last_token_s, false});
    ++out_->preemptions;
  }
}

}  // namespace weir::ops
