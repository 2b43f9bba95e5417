// When a new request would get its first token: what admission decides by. Pure.
//
// Prompts are served in the order of engine/fairness.h. By the time that a newcomer of tenant i has
// had its prompt computed, the counter of i stands at c = counter_i + tokens of i / weight_i;
// another tenant j has had what lifts its counter to c, or all that it waits for: so many tokens
// are ahead. Steps compute prompts at the rate that the cost model gives beside the present decodes
// within the ITL target. When no sequence can start for want of places or pages, the sequences
// ahead also wait for others to end, one per residence time and place.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>

#include "engine/cost_model.h"
#include "engine/fairness.h"
#include "engine/request.h"
#include "engine/scheduler.h"

namespace weir::engine {

inline constexpr size_t kClasses = 2;
inline size_t class_index(ServiceClass c) { return c == ServiceClass::kBatch ? 1 : 0; }

// What waits of a tenant.
struct TenantLoad {
  double weight = 1.0;
  double counter = 0;
  std::array<int64_t, kClasses> backlog_tokens{};  // prompt tokens to be computed, by class
  int32_t queued_requests = 0;                     // without a first step
  int64_t queued_tokens = 0;

  bool idle() const {
    return queued_requests == 0 && backlog_tokens[0] == 0 && backlog_tokens[1] == 0;
  }
};

// What the engine is doing, as of its last step.
struct EngineLoad {
  StepBudget budget;  // tokens, costs and ITL targets of a step
  StepWork decodes;   // of the last step
  bool interactive_decodes = false;
  bool batch_decodes = false;
  int32_t running = 0;
  bool full = false;        // something that waits finds no place or no pages
  double residence_ms = 0;  // mean time that a sequence holds its place; 0: none has ended yet
  double cached_share = 0;  // of prompt tokens, expected to be found in the prefix cache
};

struct Newcomer {
  std::string tenant;
  double weight = 1.0;
  ServiceClass service_class = ServiceClass::kInteractive;
  int64_t tokens = 0;  // of its prompt
};

struct Prediction {
  double ttft_ms = 0;  // before correction
  int64_t ahead_tokens = 0;
  double wait_ms = 0;  // of it, for others
};

using TenantLoads = std::map<std::string, TenantLoad>;

// The lowest counter of those that wait, `but` left out; 0: nobody does.
double lowest_counter(const TenantLoads& tenants, const TenantLoad* but = nullptr);

// Milliseconds that one prompt token takes beside the load's decodes. late: a prompt is (is_late).
double prefill_token_ms(const EngineLoad& load, int64_t position, bool late);

Prediction predict_first_token(const EngineLoad& load, const TenantLoads& tenants,
                               Fairness fairness, const Newcomer& newcomer);

// By how much predictions are short, learned from those that came true or not. What a full server
// admits lies close to its SLO, and by the average half of it would be late: the SLO is held by
// what all but the worst two of the last kWindow predictions keep.
class Correction {
 public:
  Correction() { recent_.fill(1.0); }
  void learn(double predicted_ms, double actual_ms);

  double mean() const { return mean_; }
  double high() const { return high_; }  // not below the mean

 private:
  static constexpr size_t kWindow = 64;

  double mean_ = 1.0;
  double high_ = 1.0;
  std::array<double, kWindow> recent_{};
  size_t next_ = 0;
};

}  // namespace weir::engine
