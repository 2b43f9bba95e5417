#include "gateway/cascade_plan.h"

namespace weir::gateway {

std::optional<size_t> CascadePlan::next(int64_t now_ns,
                                        const std::function<int64_t(size_t)>& cost_of) {
  if (asked_ == config_.steps.size()) return std::nullopt;
  const size_t step = asked_++;
  if (step == 0) return step;
  std::string_view over;
  if (config_.max_latency_ms > 0 && now_ns >= last_ns()) over = "max_latency";
  if (config_.max_cost_nanos.has_value() && spent_nanos_ + cost_of(step) > *config_.max_cost_nanos)
    over = "max_cost";
  if (over.empty()) return step;
  note("skipped", over);
  asked_ = config_.steps.size();
  return std::nullopt;
}

Deadline CascadePlan::deadline(const Deadline& of_request) const {
  if (config_.max_latency_ms == 0 || asked_ < 2) return of_request;
  if (of_request.at_ns != 0 && of_request.at_ns <= last_ns()) return of_request;
  return {.at_ns = last_ns()};
}

void CascadePlan::note(std::string_view verdict, std::string_view why) {
  if (!told_.empty()) told_ += ',';
  told_ += config_.steps[asked_ - 1].model;
  told_ += ':';
  told_ += verdict;
  if (!why.empty()) told_ += '(' + std::string(why) + ')';
}

}  // namespace weir::gateway
