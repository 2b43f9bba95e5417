// Circuit breaker of one endpoint: when too many calls of the last seconds failed or were slow,
// none is let through for a while, then a few probes decide. Pure: time is passed in. Failures in a
// row count as well: a rate notices an endpoint that dies after many good calls only when as many
// have failed.
//
//   closed ── failures in a row, failure or slow rate ───► open ── after its time ──► half open
//     ▲                                                    ▲                            │
//     └── probe_successes probes succeeded ────────────────┼────────────────────────────┤
//                                                          └── a probe failed ──────────┘
// How long it is open grows with each opening and is forgotten after a long time closed. Results of
// calls that began before the last change of state are not counted: they tell of another time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace weir::gateway {

struct BreakerConfig {
  int64_t window_ms = 10'000;  // 100 .. 600,000; in slots of a tenth
  int64_t min_calls = 10;      // settled in the window before rates mean something; >= 1
  int32_t in_a_row = 5;        // failures that open it, whatever the rates; 0: none do
  double failure_rate = 0.5;   // of the calls; above 1: failures never open it
  int64_t slow_ms = 60'000;    // a first byte after this is slow; 0: none is
  double slow_rate = 0.9;      // of the calls; above 1: slow calls never open it
  int64_t open_ms = 1'000;     // the first time
  double open_growth = 2.0;    // from one opening to the next; 1 .. 10
  int64_t open_max_ms = 30'000;
  double open_jitter = 0.2;     // open for up to this part longer; 0 .. 1
  int32_t probes = 2;           // at once while half open; >= 1
  int32_t probe_successes = 3;  // close it again; >= 1
  friend bool operator==(const BreakerConfig&, const BreakerConfig&) = default;
};

enum class BreakerState { kClosed, kOpen, kHalfOpen };
std::string_view breaker_state_name(BreakerState state);  // "half_open"

enum class CallResult { kSuccess, kFailure, kSlow };

// What acquire gives and exactly one of settle and cancel takes. A value: it may be dropped with
// the breaker, but a probe's place is free again only after one of the two.
struct BreakerPermit {
  uint32_t epoch = 0;
  bool probe = false;
};

struct BreakerView {
  BreakerState state = BreakerState::kClosed;
  int64_t calls = 0;  // in the window, as the next two
  int64_t failures = 0;
  int64_t slow = 0;
  int32_t probes = 0;         // in flight
  uint64_t opened = 0;        // times, since the start
  int64_t open_until_ns = 0;  // of the last opening
};

// One thread.
class Breaker {
 public:
  // seed: of the jitter; another one for each endpoint and gateway.
  Breaker(const BreakerConfig& config, uint64_t seed);

  BreakerState state(int64_t now_ns) const;
  // acquire would give a permit.
  bool permits(int64_t now_ns) const;
  std::optional<BreakerPermit> acquire(int64_t now_ns);
  void settle(const BreakerPermit& permit, CallResult result, int64_t now_ns);
  // The call said nothing: not counted, and a probe's place is free again.
  void cancel(const BreakerPermit& permit);
  // A call settled as a success (at its first byte) has failed after all. So many in a row open it
  // as well; only complete() ends their row, for first bytes come from one that cuts every stream.
  void revoke(const BreakerPermit& permit, int64_t now_ns);
  // A call settled as a success has come to its end. Not of one that could not have been revoked:
  // a whole answer says nothing of streams.
  void complete() { revoked_in_a_row_ = 0; }

  int64_t open_until_ns() const { return open_until_ns_; }  // of the last opening, 0 before
  int64_t closed_at_ns() const { return closed_at_ns_; }    // of the last closing, 0 before
  BreakerView view(int64_t now_ns);

 private:
  static constexpr int64_t kSlots = 10;
  struct Slot {
    int64_t calls = 0;
    int64_t failures = 0;
    int64_t slow = 0;
  };
  Slot& at(int64_t slot) { return slots_[static_cast<size_t>(slot % kSlots)]; }
  void advance(int64_t now_ns);
  void count(CallResult result, int64_t now_ns);
  void judge(int64_t now_ns);
  void open(int64_t now_ns);
  void close(int64_t now_ns);

  BreakerConfig config_;
  uint64_t seed_;
  bool tripped_ = false;  // open or half open: by open_until_ns_
  uint32_t epoch_ = 0;    // of the state; openings and closings count
  int32_t probes_ = 0;
  int32_t probe_successes_ = 0;
  int32_t growth_steps_ = 0;
  int64_t open_until_ns_ = 0;
  int64_t closed_at_ns_ = 0;
  uint64_t opened_ = 0;
  int32_t in_a_row_ = 0;  // failures
  int32_t revoked_in_a_row_ = 0;
  int64_t newest_ = -1;
  Slot sum_;
  std::array<Slot, kSlots> slots_{};
};

}  // namespace weir::gateway
