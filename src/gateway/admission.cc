#include "gateway/admission.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace weir::gateway {

Admission::Answer Admission::enter(std::shared_ptr<Waiter> who, size_t priority, int64_t wait_ms) {
  const int64_t now_ns = clock_.now_ns();
  const uint64_t number = ++numbers_;
  const ShedDecision d = shedder_.offer(number, priority, wait_ms, now_ns);
  if (d.displaced.has_value()) tell(*d.displaced, d.reason, d.retry_after_ms);
  switch (d.verdict) {
    case ShedVerdict::kAdmit:
      return {};
    case ShedVerdict::kShed:
      return {Entry::kShed, 0, d.retry_after_ms, d.reason};
    case ShedVerdict::kQueue:
      break;
  }
  waiting_.emplace(number, std::move(who));
  const int64_t patience_ms =
      wait_ms > 0 ? std::min(wait_ms, config_.max_wait_ms) : config_.max_wait_ms;
  client_.post_at(std::chrono::steady_clock::now() + std::chrono::milliseconds(patience_ms + 1),
                  [this, number, here = std::weak_ptr<const bool>(here_)] {
                    if (!here.expired() && waiting_.contains(number)) expire();
                  });
  return {Entry::kWaits, number, 0, ShedReason::kNone};
}

// Those who are let in or shed hear of it from the client's loop: an end that lets the next one in,
// which ends at once, and so on, would else be as deep as the queue is long.
void Admission::leave() {
  const int64_t now_ns = clock_.now_ns();
  shedder_.finish(now_ns);
  while (const auto number = shedder_.next(now_ns)) {
    const auto found = waiting_.find(*number);
    client_.post([who = std::move(found->second)] { who->admitted(); });
    waiting_.erase(found);
  }
}

void Admission::withdraw(uint64_t number) {
  shedder_.withdraw(number);
  waiting_.erase(number);
}

void Admission::release(std::vector<std::shared_ptr<Waiter>>& out) {
  for (auto& [number, who] : waiting_) {
    shedder_.withdraw(number);
    out.push_back(std::move(who));
  }
  waiting_.clear();
}

void Admission::expire() {
  for (const ShedRefusal& r : shedder_.expire(clock_.now_ns()))
    tell(r.request, r.reason, r.retry_after_ms);
}

void Admission::tell(uint64_t number, ShedReason reason, int64_t retry_after_ms) {
  const auto found = waiting_.find(number);
  client_.post([who = std::move(found->second), reason, retry_after_ms] {
    who->shed(reason, retry_after_ms);
  });
  waiting_.erase(found);
}

}  // namespace weir::gateway
