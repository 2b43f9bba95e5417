// Admission to the gateway, or to a pool: so many requests at once, so many waiting, and by
// priority who is refused when both are short. Pure: time is passed in; requests are the caller's
// numbers.
//
// A request of priority p may use only part[p] of the places and of the queue, both rounded up, so
// that less important ones are refused before more important ones have to wait. Among the waiting,
// the more important goes first, then the older. A full queue gives up its newest request of the
// least importance for a more important one. A refusal says when to come again: the time the queue
// ahead takes at the pace at which requests have ended lately.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string_view>
#include <vector>

namespace weir::gateway {

inline constexpr size_t kPriorities = 4;  // 0: the most important

struct ShedConfig {
  int32_t max_in_flight = 4096;
  int32_t max_queued = 1024;                                     // 0: nobody waits
  std::array<double, kPriorities> part = {1.0, 0.95, 0.8, 0.6};  // falling; 0 .. 1
  int64_t max_wait_ms = 10'000;                                  // in the queue
  int64_t min_retry_after_ms = 1'000;
  int64_t max_retry_after_ms = 60'000;
};

enum class ShedVerdict { kAdmit, kQueue, kShed };
enum class ShedReason {
  kNone,
  kQueueFull,  // all of it, or the part of this priority
  kTooLong,    // it would wait longer than it has time
  kDisplaced,  // a more important one took its place in the queue
  kWaited,     // max_wait_ms or its own time is over
};
std::string_view shed_reason_name(ShedReason reason);  // "queue_full"

struct ShedDecision {
  ShedVerdict verdict = ShedVerdict::kAdmit;
  ShedReason reason = ShedReason::kNone;
  int64_t retry_after_ms = 0;              // of kShed, and for the displaced one
  std::optional<uint64_t> displaced = {};  // this waiting request is refused in its stead
};

struct ShedRefusal {
  uint64_t request = 0;
  ShedReason reason = ShedReason::kWaited;
  int64_t retry_after_ms = 0;
};

// One thread. Memory: about 40 bytes per waiting request.
class LoadShedder {
 public:
  explicit LoadShedder(const ShedConfig& config = {});

  // A request arrives. priority: what is above the last counts as the last. wait_ms: how long it
  // could wait before it is of no use (its deadline less the time it takes); 0: max_wait_ms.
  // kAdmit: it has a place until finish(). kQueue: it waits until next() names it, expire() refuses
  // it, or the caller withdraws it. kShed: refused.
  ShedDecision offer(uint64_t request, size_t priority, int64_t wait_ms, int64_t now_ns);

  // A request that had a place has ended.
  void finish(int64_t now_ns);
  // The next waiting request that has a place now; call it after finish() until it gives none.
  std::optional<uint64_t> next(int64_t now_ns);
  // A waiting request goes (its client left). False: it is not waiting.
  bool withdraw(uint64_t request);
  // Those whose time in the queue is over.
  std::vector<ShedRefusal> expire(int64_t now_ns);

  int32_t in_flight() const { return in_flight_; }
  int32_t queued() const { return queued_; }
  // Requests that ended per second lately; 0: not known.
  double rate_per_s(int64_t now_ns) const;
  // When a request of this priority would have a place, by the pace of now.
  int64_t retry_after_ms(size_t priority, int64_t now_ns) const;

 private:
  struct Waiting {
    uint64_t request = 0;
    int64_t until_ns = 0;
  };
  int32_t part_of(size_t priority, int32_t bound) const;
  int32_t places(size_t priority) const;
  int32_t ahead(size_t priority) const;
  // False: nobody that waits is less important.
  bool displace(size_t priority, int64_t now_ns, ShedDecision& out);

  ShedConfig config_;
  int32_t in_flight_ = 0;
  int32_t queued_ = 0;
  std::array<std::deque<Waiting>, kPriorities> queues_;
  // Requests that ended, weighted by e^(-age / 10 s): that over 10 s is the pace.
  double ended_ = 0;
  int64_t ended_at_ns_ = 0;
  int64_t first_ended_ns_ = 0;
};

}  // namespace weir::gateway
