// The recent past of an engine: its last steps and the last requests that ended, in rings of fixed
// capacity. What is older is overwritten.
//
// Any thread. One thread writes (the engine's); its lock is held for one copy of a record. A reader
// holds it for kSlice records at a time, so a dump delays a step by microseconds.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/thread_annotations.h"

namespace weir::telemetry {

inline constexpr size_t kTracePhases = 5;  // plan, reserve, forward, sample, deliver
extern const std::array<const char*, kTracePhases> kTracePhaseNames;

// Times are nanoseconds of the engine's clock.
struct StepTrace {
  int64_t start_ns = 0;
  int64_t end_ns = 0;
  std::array<int64_t, kTracePhases> phase_ns{};
  int32_t sequences = 0;
  int32_t prefill_tokens = 0;
  int32_t decode_tokens = 0;
  int32_t preempted = 0;
  int32_t used_pages = 0;  // after the step
  int32_t waiting_requests = 0;
  uint64_t first_part = 0;  // set by the ring
  uint32_t parts = 0;       // set by the ring
};

// What a step did for one sequence.
struct PartTrace {
  uint64_t request = 0;  // the engine's number
  int32_t tokens = 0;
  bool prefill = false;
};

struct RequestTrace {
  uint64_t request = 0;
  std::string request_id;  // the client's; may be empty
  int64_t submitted_ns = 0;
  int64_t started_ns = 0;  // 0: never, here and below
  int64_t first_token_ns = 0;
  int64_t last_token_ns = 0;
  int64_t ended_ns = 0;
  int32_t prompt_tokens = 0;
  int32_t completion_tokens = 0;
  const char* outcome = "";  // a literal
};

struct TraceSnapshot {
  std::vector<StepTrace> steps;  // oldest first; first_part indexes parts
  std::vector<PartTrace> parts;
  std::vector<RequestTrace> requests;  // that ended; oldest first
};

class TraceRing {
 public:
  // 8,192 steps of 5 ms are 40 s; 16 sequences each fill the parts in 20 s. Together at most 3 MB,
  // taken as they fill.
  static constexpr size_t kSteps = 8192;
  static constexpr size_t kParts = 65536;
  static constexpr size_t kRequests = 4096;
  static constexpr size_t kSlice = 256;

  explicit TraceRing(size_t steps = kSteps, size_t parts = kParts, size_t requests = kRequests);

  void add_step(StepTrace step, std::span<const PartTrace> parts) WEIR_EXCLUDES(mutex_);
  void add_request(RequestTrace request) WEIR_EXCLUDES(mutex_);
  // What ended at or after from_ns and is still there; a step whose parts are gone has none.
  // newest() takes the lock, slice by slice; the analysis sees only the references passed to it.
  TraceSnapshot since(int64_t from_ns) const WEIR_NO_THREAD_SAFETY_ANALYSIS;

 private:
  // The last `capacity` of `next` values ever pushed; value i is at i % capacity.
  template <typename T>
  struct Ring {
    size_t capacity = 0;
    uint64_t next = 0;
    std::vector<T> slots;
    void push(T value);
    uint64_t oldest() const { return next - slots.size(); }
    const T& at(uint64_t i) const { return slots[i % capacity]; }
  };
  template <typename T>
  std::vector<T> newest(const Ring<T>& ring, int64_t from_ns) const WEIR_EXCLUDES(mutex_);
  void copy_parts(TraceSnapshot& snapshot) const WEIR_EXCLUDES(mutex_);

  mutable Mutex mutex_;
  Ring<StepTrace> steps_ WEIR_GUARDED_BY(mutex_);
  Ring<PartTrace> parts_ WEIR_GUARDED_BY(mutex_);
  Ring<RequestTrace> requests_ WEIR_GUARDED_BY(mutex_);
};

}  // namespace weir::telemetry
