// A discrete-event simulation of a fleet: requests arrive, are routed, wait, are prefilled in
// chunks beside the decodes of others, and end. What a step takes is asked of a StepTime; stretches
// in which only decodes run are passed in one go. Replicas may fail, and come and go with the load.
// Deterministic: the same requests and fleet give the same outcome.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "ops/plan/step_time.h"

namespace weir::ops {

struct SimRequest {
  double arrival_s = 0;       // ascending
  int32_t prompt_tokens = 0;  // at least 1
  int32_t output_tokens = 0;  // at least 1
  int32_t group = -1;         // whose prompts begin alike; -1: none
  int32_t prefix_tokens = 0;  // of the prompt, shared within the group
  // From 0 on: another replica computed the prompt and gave the first token then; keys and values
  // are here at `arrival_s` (ops/plan/disaggregated.h).
  double first_token_s = -1;
};

enum class SimRouting : uint8_t { kRoundRobin, kLeastLoaded, kPrefixAware };

struct SimReplica {
  int64_t kv_tokens = 1 << 20;
  int32_t max_running = 256;
  int32_t step_tokens = 2048;  // of a step: decodes first, then prompts in chunks
  // Prompts with no more than 1/short_part of what the first in line still has to compute share
  // half of the step before it, the shortest first, as weir does (engine/scheduler.h); 0: in order.
  int32_t short_part = 0;
  bool prefix_cache = true;  // a group's prefix is computed once while the replica keeps it
  int32_t prefixes = 1024;   // of groups that a replica keeps, the least recently used goes
  // A request that would wait longer is refused at its arrival; by the tokens ahead of it at the
  // rate of late.
  double max_wait_s = std::numeric_limits<double>::infinity();
  // Speculation: every decode computes so many drafts more, each of which is accepted, if the one
  // before it was, with that probability. The expected number of tokens comes out of each step;
  // they share its time.
  int32_t draft_tokens = 0;
  double draft_acceptance = 0;
};

// A replica loses what it holds; its requests begin anew elsewhere (those that have answers go on
// with prompt and answer as their prompt).
struct SimFailure {
  double at_s = 0, down_s = 0;
  int32_t replica = 0;
};

// As Kubernetes' horizontal autoscaler on an average of waiting requests per replica: every so
// often it wants ceil(replicas · waiting / wanted), and goes down only to the most that it wanted
// in the last calm_s.
struct SimAutoscaler {
  int32_t least = 1, most = 1;
  double queued_per_replica = 4;
  double every_s = 15;
  double cold_start_s = 60;  // from the decision to the first request
  double calm_s = 300;
};

struct SimFleet {
  int32_t replicas = 1;
  SimRouting routing = SimRouting::kLeastLoaded;
  SimReplica replica;
  std::vector<SimFailure> failures;         // in order of time
  std::optional<SimAutoscaler> autoscaler;  // `replicas` are there at first
};

// Replicas that are paid for (starting, serving or emptying) from then on.
struct SimScale {
  double at_s = 0;
  int32_t replicas = 0;
};

// Gaps between tokens, in classes 1 % apart, so that a million requests need no more memory.
class GapHistogram {
 public:
  void add(double ms, double count);
  // The same, its share of the steps' spread (StepTime::spread) each.
  void add_spread(double ms, double count, std::span<const double> spread);
  // Of share q of the gaps; 0 when there are none.
  double quantile(double q) const;
  double count() const { return all_; }
  double mean_ms() const { return all_ > 0 ? sum_ / all_ : 0; }
  void merge(const GapHistogram& other);

 private:
  std::vector<double> counts_;
  double all_ = 0, sum_ = 0;
};

struct SimOutcome {
  // By request, in their order; NaN for refused ones.
  std::vector<float> ttft_ms, total_ms, queue_ms;
  GapHistogram gaps;
  int64_t refused = 0;
  int64_t preemptions = 0;
  int64_t prefilled_tokens = 0;  // computed, so less what caches held
  int64_t cached_tokens = 0;
  int64_t output_tokens = 0;
  double span_s = 0;        // from the first arrival to the last token
  double busy_s = 0;        // of all replicas together
  double in_system_s = 0;   // integral over time of the requests in the system
  double max_kv_share = 0;  // the fullest any replica's cache was
  int64_t restarted = 0;    // by failures
  double replica_s = 0;     // paid for, from the first arrival to the last token
  std::vector<SimScale> scale;
};

// Errors: kInvalidValue for requests out of order, without tokens, or larger than a replica's
// cache, and for a fleet whose failures and bounds do not fit together.
Result<SimOutcome> simulate(std::span<const SimRequest> requests, const SimFleet& fleet,
                            const StepTime& time);

// Of the values that are numbers; 0 without any. q in [0, 1].
double sim_quantile(std::span<const float> values, double q);

}  // namespace weir::ops
