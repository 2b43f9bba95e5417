#include "gateway/resilience/shed.h"

#include <algorithm>
#include <cmath>

#include "base/units.h"

namespace weir::gateway {

namespace {

constexpr double kPaceNs = 10e9;

size_t bounded(size_t priority) { return std::min(priority, kPriorities - 1); }

}  // namespace

std::string_view shed_reason_name(ShedReason reason) {
  constexpr std::array<std::string_view, 5> kNames = {"none", "queue_full", "too_long", "displaced",
                                                      "waited"};
  return kNames[static_cast<size_t>(reason)];
}

LoadShedder::LoadShedder(const ShedConfig& config) : config_(config) {
  config_.max_in_flight = std::max(config_.max_in_flight, 1);
  config_.max_queued = std::max(config_.max_queued, 0);
}

// Rounded up, of the places and of the queue alike: a part of the smallest bound is all of it, or a
// priority could never use it.
int32_t LoadShedder::part_of(size_t priority, int32_t bound) const {
  return static_cast<int32_t>(std::ceil(std::clamp(config_.part[priority], 0.0, 1.0) * bound));
}

// At least one, or it would wait for ever where nobody else asks.
int32_t LoadShedder::places(size_t priority) const {
  return std::max(1, part_of(priority, config_.max_in_flight));
}

// Waiting requests that go before a new one of this priority.
int32_t LoadShedder::ahead(size_t priority) const {
  size_t n = 0;
  for (size_t p = 0; p <= priority; ++p) n += queues_[p].size();
  return static_cast<int32_t>(n);
}

double LoadShedder::rate_per_s(int64_t now_ns) const {
  if (ended_ <= 0) return 0;
  const auto age = static_cast<double>(now_ns - ended_at_ns_);
  // The weights of a time that has just begun do not add up to 1; less than a second says little.
  const double seen = std::max(static_cast<double>(now_ns - first_ended_ns_), 1e9);
  const double weight = 1.0 - std::exp(-seen / kPaceNs);
  return ended_ * std::exp(-age / kPaceNs) / (weight * kPaceNs * 1e-9);
}

int64_t LoadShedder::retry_after_ms(size_t priority, int64_t now_ns) const {
  const size_t p = bounded(priority);
  const int32_t over = std::max(0, in_flight_ - places(p)) + ahead(p) + 1;
  const double rate = rate_per_s(now_ns);
  const double ms = rate > 0 ? static_cast<double>(over) / rate * 1000.0 : 0.0;
  return std::clamp(static_cast<int64_t>(std::min(ms, 1e12)), config_.min_retry_after_ms,
                    std::max(config_.min_retry_after_ms, config_.max_retry_after_ms));
}

// When to come again is reckoned by the priority of the one that goes.
bool LoadShedder::displace(size_t priority, int64_t now_ns, ShedDecision& out) {
  for (size_t p = kPriorities - 1; p > priority; --p) {
    if (queues_[p].empty()) continue;
    out.displaced = queues_[p].back().request;
    out.reason = ShedReason::kDisplaced;
    queues_[p].pop_back();
    --queued_;
    out.retry_after_ms = retry_after_ms(p, now_ns);
    return true;
  }
  return false;
}

ShedDecision LoadShedder::offer(uint64_t request, size_t priority, int64_t wait_ms,
                                int64_t now_ns) {
  const size_t p = bounded(priority);
  if (in_flight_ < places(p) && ahead(p) == 0) {
    ++in_flight_;
    return {};
  }
  const auto refuse = [&](ShedReason reason) {
    return ShedDecision{.verdict = ShedVerdict::kShed,
                        .reason = reason,
                        .retry_after_ms = retry_after_ms(p, now_ns),
                        .displaced = {}};
  };
  const int64_t patience =
      wait_ms > 0 ? std::min(wait_ms, config_.max_wait_ms) : config_.max_wait_ms;
  // Better told now than after the wait; the pace must be known for that.
  const double rate = rate_per_s(now_ns);
  if (rate > 0 && static_cast<double>(ahead(p) + 1) / rate * 1000.0 > static_cast<double>(patience))
    return refuse(ShedReason::kTooLong);

  ShedDecision out{.verdict = ShedVerdict::kQueue};
  if (ahead(p) >= part_of(p, config_.max_queued)) return refuse(ShedReason::kQueueFull);
  if (queued_ >= config_.max_queued && !displace(p, now_ns, out))
    return refuse(ShedReason::kQueueFull);
  queues_[p].push_back({request, now_ns + patience * kNsPerMs});
  ++queued_;
  return out;
}

void LoadShedder::finish(int64_t now_ns) {
  if (in_flight_ > 0) --in_flight_;
  if (first_ended_ns_ == 0) first_ended_ns_ = now_ns;
  ended_ = ended_ * std::exp(-static_cast<double>(now_ns - ended_at_ns_) / kPaceNs) + 1.0;
  ended_at_ns_ = now_ns;
}

std::optional<uint64_t> LoadShedder::next(int64_t now_ns) {
  for (size_t p = 0; p < kPriorities; ++p) {
    // Those whose time is over are expire()'s.
    const auto at = std::find_if(queues_[p].begin(), queues_[p].end(),
                                 [now_ns](const Waiting& w) { return now_ns < w.until_ns; });
    if (at == queues_[p].end()) continue;
    // A less important one may use fewer places: none of them goes before it either.
    if (in_flight_ >= places(p)) return std::nullopt;
    const uint64_t request = at->request;
    queues_[p].erase(at);
    --queued_;
    ++in_flight_;
    return request;
  }
  return std::nullopt;
}

bool LoadShedder::withdraw(uint64_t request) {
  for (auto& queue : queues_) {
    const auto at = std::find_if(queue.begin(), queue.end(),
                                 [request](const Waiting& w) { return w.request == request; });
    if (at == queue.end()) continue;
    queue.erase(at);
    --queued_;
    return true;
  }
  return false;
}

std::vector<ShedRefusal> LoadShedder::expire(int64_t now_ns) {
  std::vector<ShedRefusal> out;
  for (size_t p = 0; p < kPriorities; ++p) {
    auto& queue = queues_[p];
    const size_t before = out.size();
    for (auto at = queue.begin(); at != queue.end();) {
      if (now_ns < at->until_ns) {
        ++at;
        continue;
      }
      out.push_back({at->request, ShedReason::kWaited, 0});
      at = queue.erase(at);
      --queued_;
    }
    for (size_t i = before; i < out.size(); ++i) out[i].retry_after_ms = retry_after_ms(p, now_ns);
  }
  return out;
}

}  // namespace weir::gateway
