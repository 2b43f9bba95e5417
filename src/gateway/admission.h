// Who may ask the fleet now when a model has as many requests as it takes: the important ones,
// while the others are told at once when to come again. One for each model with a shed section;
// decides by LoadShedder, and keeps those who wait. On the proxy's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "gateway/resilience/shed.h"
#include "http/client.h"

namespace weir::gateway {

class Admission {
 public:
  // Who wants in. Told later, never within enter(): admitted or shed, once.
  class Waiter {
   public:
    virtual ~Waiter() = default;
    virtual void admitted() = 0;
    virtual void shed(ShedReason reason, int64_t retry_after_ms) = 0;
  };
  enum class Entry { kIn, kWaits, kShed };
  struct Answer {
    Entry entry = Entry::kIn;
    uint64_t number = 0;         // of one that waits
    int64_t retry_after_ms = 0;  // of one that was shed
    ShedReason reason = ShedReason::kNone;
  };

  // Both outlive it. It goes on the client's thread, or after the client.
  Admission(const ShedConfig& config, http::Client& client, const Clock& clock)
      : shedder_(config), config_(config), client_(client), clock_(clock) {}
  Admission(const Admission&) = delete;
  Admission& operator=(const Admission&) = delete;

  // wait_ms: what is left of its time, 0: no bound. who is kept while it waits.
  Answer enter(std::shared_ptr<Waiter> who, size_t priority, int64_t wait_ms);
  // One that was let in, at once or later, has ended.
  void leave();
  // One that waits goes; it is told nothing.
  void withdraw(uint64_t number);
  // All that wait go, behind `out`; they are told nothing.
  void release(std::vector<std::shared_ptr<Waiter>>& out);

  int32_t in_flight() const { return shedder_.in_flight(); }
  int32_t queued() const { return shedder_.queued(); }

 private:
  void expire();
  void tell(uint64_t number, ShedReason reason, int64_t retry_after_ms);

  LoadShedder shedder_;
  const ShedConfig config_;
  http::Client& client_;
  const Clock& clock_;
  uint64_t numbers_ = 0;
  std::unordered_map<uint64_t, std::shared_ptr<Waiter>> waiting_;  // shared: with the connection
  // Shared with nobody: timers, which the client keeps longer, see by it whether this is still
  // there.
  const std::shared_ptr<const bool> here_ = std::make_shared<const bool>(true);
};

}  // namespace weir::gateway
