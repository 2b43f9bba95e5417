// Sends a workload to a server and records what came of each request.
//
// Threads: run() blocks its caller; everything else happens on the client's I/O thread. One run at
// a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "bench/load/arrivals.h"
#include "bench/load/measurement.h"
#include "bench/load/request_body.h"
#include "bench/load/target.h"
#include "bench/load/workload.h"
#include "http/client.h"

namespace weir::bench {

// When requests are sent, and when the run ends.
struct Schedule {
  enum class Kind { kOpen, kTrace, kClosed };
  Kind kind = Kind::kOpen;
  Arrivals arrivals;        // kOpen
  double time_scale = 1;    // kTrace: times of the rows are multiplied by it
  int32_t concurrency = 1;  // kClosed: users; each sends its next request when it has its answer
  // The run ends after so many requests or when so many seconds have passed, whichever is first;
  // 0: no such bound, but one of the two is set, or the kind is kTrace and its rows are the bound.
  uint64_t requests = 0;
  double duration_s = 0;
  // Not recorded: requests that are sent and answered before the clock starts; and seconds at the
  // start of the run, whose requests are dropped and from whose end times count.
  uint64_t warmup_requests = 0;
  double warmup_s = 0;

  std::string label() const;  // "rate 4", "concurrency 16"
};

// Whether the schedule has an end and leaves something to record. dataset: null for none. Error:
// kUsage with the flags that are missing or at odds.
Status check_schedule(const Schedule& schedule, const ops::Dataset* dataset);

struct RunProgress {
  uint64_t sent = 0;  // of this run, warm-up requests not included
  uint64_t ended = 0;
  uint64_t failed = 0;
  uint64_t output_tokens = 0;
  double elapsed_s = 0;
  bool warming_up = false;
};

class LoadRunner {
 public:
  // Called every 100 ms on the thread of run(); false ends the run: what is in flight is cancelled
  // and left out.
  using OnProgress = std::function<bool(const RunProgress& progress)>;

  // All outlive the runner.
  LoadRunner(http::Client& client, const Target& target, const RequestShape& shape,
             const Workload& workload, const PromptWords& words)
      : client_(client), target_(target), shape_(shape), workload_(workload), words_(words) {}

  // The run, with label, settings of the schedule, and the requests in order of intended_s. Error:
  // that of check_schedule.
  Result<LoadRun> run(const Schedule& schedule, const OnProgress& on_progress);

 private:
  static void finish(const Schedule& schedule, LoadRun& run);

  http::Client& client_;
  const Target& target_;
  const RequestShape& shape_;
  const Workload& workload_;
  const PromptWords& words_;
  uint64_t next_index_ = 0;  // of conversations; goes on from run to run, so that no prompt returns
};

// What the records of a run may take in memory: 4 bytes an output token, some 200 a request.
inline constexpr uint64_t kMaxRecordBytes = uint64_t{2} << 30;

}  // namespace weir::bench
