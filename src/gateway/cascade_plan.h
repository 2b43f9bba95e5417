// What a cascade does next, and what its answer's head tells of it: "small:rejected(regex),
// large:accepted". Pure: time and costs are passed in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/units.h"
#include "gateway/config_routing.h"
#include "gateway/resilience/deadline.h"

namespace weir::gateway {

class CascadePlan {
 public:
  // config outlives it. begun_ns: when the request had arrived.
  CascadePlan(const CascadeConfig& config, int64_t begun_ns)
      : config_(config), begun_ns_(begun_ns) {}

  // The step to ask now; nothing: no further one, what there is has to do. The first step is asked
  // whatever the budgets say; a later one only while what was spent and what it will cost by
  // `cost_of` (nanos, by its index) are within max_cost, and before max_latency_ms.
  std::optional<size_t> next(int64_t now_ns, const std::function<int64_t(size_t)>& cost_of);
  // Until when the step that next() gave may take. A later step ends with max_latency_ms.
  Deadline deadline(const Deadline& of_request) const;

  // What became of that step.
  void accepted() { note("accepted", ""); }
  void rejected(std::string_view check) { note("rejected", check); }
  void failed(std::string_view why) { note("failed", why); }
  // Money of it, of its judges too.
  void spend(int64_t nanos) { spent_nanos_ += nanos; }

  int64_t spent_nanos() const { return spent_nanos_; }
  // In the order of the steps, joined by commas.
  const std::string& told() const { return told_; }

 private:
  void note(std::string_view verdict, std::string_view why);
  int64_t last_ns() const { return begun_ns_ + config_.max_latency_ms * kNsPerMs; }

  const CascadeConfig& config_;
  const int64_t begun_ns_;
  size_t asked_ = 0;  // steps
  int64_t spent_nanos_ = 0;
  std::string told_;
};

}  // namespace weir::gateway
