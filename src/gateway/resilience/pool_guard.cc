#include "gateway/resilience/pool_guard.h"

#include <algorithm>
#include <limits>

#include "base/rng.h"
#include "base/units.h"

namespace weir::gateway {

namespace {
// Long enough that 1,000 endpoints cost nothing, short against every time-out.
constexpr int64_t kPanicNs = 10 * kNsPerMs;
constexpr int64_t kLongestReadyMs = 60'000;
}  // namespace

PoolGuard::PoolGuard(const PoolGuardConfig& config, uint64_t seed)
    : config_(config), seed_(seed), outliers_(config.outlier), budget_(config.budget) {}

size_t PoolGuard::add(int64_t now_ns) {
  const size_t endpoint = outliers_.add();
  if (endpoint >= slots_.size()) slots_.resize(endpoint + 1);
  const uint64_t serial = ++serials_;
  slots_[endpoint] = {
      std::make_unique<EndpointGuard>(config_.endpoint, random_u64(seed_, 0, serial), now_ns),
      serial};
  panic_until_ns_ = 0;
  return endpoint;
}

void PoolGuard::remove(size_t endpoint) {
  if (!has(endpoint)) return;
  slots_[endpoint] = {};
  outliers_.remove(endpoint);
  panic_until_ns_ = 0;
}

size_t PoolGuard::size() const {
  return static_cast<size_t>(std::count_if(slots_.begin(), slots_.end(),
                                           [](const Slot& s) { return s.guard != nullptr; }));
}

bool PoolGuard::well(const EndpointGuard& guard, int64_t now_ns) const {
  return guard.health().healthy() && !guard.ejected(now_ns);
}

bool PoolGuard::panic(int64_t now_ns) {
  if (now_ns < panic_until_ns_) return panic_;
  size_t all = 0;
  size_t fit = 0;
  for (const Slot& slot : slots_) {
    if (!slot.guard || slot.guard->draining()) continue;
    ++all;
    fit += well(*slot.guard, now_ns) ? 1 : 0;
  }
  panic_ = pool_panics(fit, all, config_.panic_threshold);
  panic_until_ns_ = now_ns + kPanicNs;
  return panic_;
}

SendVerdict PoolGuard::verdict(size_t endpoint, int64_t now_ns) {
  if (!has(endpoint)) return SendVerdict::kDraining;
  return slots_[endpoint].guard->verdict(now_ns, panic(now_ns));
}

std::optional<PoolPermit> PoolGuard::start(size_t endpoint, int64_t now_ns) {
  if (!has(endpoint)) return std::nullopt;
  const auto permit = slots_[endpoint].guard->on_start(now_ns, panic(now_ns));
  if (!permit) return std::nullopt;
  return PoolPermit{endpoint, slots_[endpoint].serial, *permit};
}

EndpointGuard* PoolGuard::guard_of(const PoolPermit& permit) {
  if (!has(permit.endpoint) || slots_[permit.endpoint].serial != permit.serial) return nullptr;
  return slots_[permit.endpoint].guard.get();
}

void PoolGuard::first_byte(PoolPermit& permit, int64_t now_ns) {
  EndpointGuard* guard = guard_of(permit);
  if (guard == nullptr || !permit.permit.open || permit.permit.first_byte) return;
  guard->on_first_byte(permit.permit, now_ns);
  (void)outliers_.record(permit.endpoint, true, now_ns);
}

EndpointSign PoolGuard::finish(PoolPermit& permit, const AttemptOutcome& outcome, int64_t now_ns) {
  EndpointGuard* guard = guard_of(permit);
  if (guard == nullptr) return EndpointSign::kNone;
  const EndpointSign sign = guard->on_outcome(permit.permit, outcome, now_ns);
  if (sign == EndpointSign::kGood || sign == EndpointSign::kBad) {
    if (!permit.permit.first_byte) {
      const auto ejection = outliers_.record(permit.endpoint, sign == EndpointSign::kGood, now_ns);
      if (ejection) guard->eject(ejection->until_ns);
    } else if (sign == EndpointSign::kBad) {
      outliers_.revoke(permit.endpoint);
    }
  }
  for (const Ejection& ejection : outliers_.sweep(now_ns))
    slots_[ejection.endpoint].guard->eject(ejection.until_ns);
  return sign;
}

double PoolGuard::utilization(int64_t now_ns) {
  const bool ignore = panic(now_ns);
  double used = 0;
  double places = 0;
  for (const Slot& slot : slots_) {
    if (!slot.guard || slot.guard->draining() || (!ignore && !well(*slot.guard, now_ns))) continue;
    used += slot.guard->in_flight();
    places += slot.guard->limit();
  }
  return places > 0 ? std::min(1.0, used / places) : 1.0;
}

int64_t PoolGuard::ready_in_ms(int64_t now_ns) {
  const bool ignore = panic(now_ns);
  int64_t first = std::numeric_limits<int64_t>::max();
  for (const Slot& slot : slots_)
    if (slot.guard) first = std::min(first, slot.guard->ready_at_ns(now_ns, ignore));
  if (first == std::numeric_limits<int64_t>::max()) return kLongestReadyMs;
  return std::min((first - now_ns + kNsPerMs - 1) / kNsPerMs, kLongestReadyMs);
}

}  // namespace weir::gateway
