// What a step did and how long its phases took, and when each request passed which point: for
// traces and metrics.
//
// Threads: a StepRecorder belongs to the thread that steps.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/request.h"

namespace weir::engine {

// In the order of a step. A failed step that is run again one by one adds to the same phases.
enum class Phase { kPlan, kReserve, kForward, kSample, kDeliver };
inline constexpr size_t kPhases = 5;

struct StepRecord {
  struct Part {
    RequestId request = 0;
    int32_t choice = 0;
    int32_t tokens = 0;
    bool prefill = false;
  };
  int64_t start_ns = 0;  // engine clock
  int64_t end_ns = 0;
  std::array<int64_t, kPhases> phase_ns{};
  std::vector<Part> parts;  // one for each sequence of the batch
  int32_t prefill_tokens = 0;
  int32_t decode_tokens = 0;
  int32_t preempted = 0;
};

// A request that is over.
struct RequestRecord {
  RequestId id = 0;
  std::string request_id;    // of the client, as engine::Request has it
  int64_t submitted_ns = 0;  // engine clock
  int64_t started_ns = 0;    // first step; 0: ended in the queue
  int64_t first_token_ns = 0;
  int64_t last_token_ns = 0;
  int64_t ended_ns = 0;
  Usage usage;
  FinishReason outcome = FinishReason::kStop;  // of the choice that ended last
};

class StepRecorder {
 public:
  explicit StepRecorder(const Clock& clock) : clock_(clock) {}

  void begin() {
    record_.parts.clear();  // keeps its memory
    ended_.clear();
    record_.phase_ns = {};
    record_.prefill_tokens = record_.decode_tokens = record_.preempted = 0;
    record_.start_ns = record_.end_ns = mark_ns_ = clock_.now_ns();
  }
  // The time since begin() or the mark before belongs to this phase.
  void mark(Phase phase) {
    record_.end_ns = clock_.now_ns();
    record_.phase_ns[static_cast<size_t>(phase)] += record_.end_ns - mark_ns_;
    mark_ns_ = record_.end_ns;
  }
  void preempted(size_t sequences) { record_.preempted += static_cast<int32_t>(sequences); }
  void part(const StepRecord::Part& part) {
    record_.parts.push_back(part);
    (part.prefill ? record_.prefill_tokens : record_.decode_tokens) += part.tokens;
  }
  void ended(RequestRecord record) {
    record.ended_ns = clock_.now_ns();
    ended_.push_back(std::move(record));
  }

  // Of the step that has ended last.
  const StepRecord& record() const { return record_; }
  const std::vector<RequestRecord>& ended_requests() const { return ended_; }

 private:
  const Clock& clock_;
  int64_t mark_ns_ = 0;
  StepRecord record_;
  std::vector<RequestRecord> ended_;
};

}  // namespace weir::engine
