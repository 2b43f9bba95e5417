#include "ops/plan/simulate.h"

#include <algorithm>
#include <cmath>

#include "ops/plan/sim_fleet.h"

namespace weir::ops {
namespace {

constexpr double kGapStep = 0.01;  // of a class
constexpr double kSmallestMs = 1e-3;
constexpr size_t kClasses = 2600;  // up to a day

// Failures and autoscaling.
Status check_changes(const SimFleet& fleet) {
  const int32_t most = fleet.autoscaler ? fleet.autoscaler->most : fleet.replicas;
  double before = 0;
  for (const SimFailure& f : fleet.failures) {
    if (f.replica < 0 || f.replica >= most || !(f.down_s >= 0) || !(f.at_s >= before)) {
      return make_error(ErrorCode::kInvalidValue,
                        "a failure at {} s of replica {} for {} s: failures come in order of time, "
                        "of replicas 0 to {}, and take no less than 0 s",
                        f.at_s, f.replica, f.down_s, most - 1);
    }
    before = f.at_s;
  }
  if (!fleet.autoscaler) return {};
  const SimAutoscaler& a = *fleet.autoscaler;
  if (a.least < 1 || a.most < a.least || fleet.replicas < a.least || fleet.replicas > a.most ||
      !(a.queued_per_replica > 0) || !(a.every_s > 0) || !(a.cold_start_s >= 0)) {
    return make_error(ErrorCode::kInvalidValue,
                      "autoscaling between {} and {} replicas, from {}, by {} waiting each, every "
                      "{} s: needs 1 <= least <= replicas <= most, and the others above 0",
                      a.least, a.most, fleet.replicas, a.queued_per_replica, a.every_s);
  }
  return {};
}

Status check(std::span<const SimRequest> requests, const SimFleet& fleet) {
  if (fleet.replicas < 1 || fleet.replica.max_running < 1 || fleet.replica.step_tokens < 1) {
    return make_error(ErrorCode::kInvalidValue,
                      "a fleet needs a replica, a running request and a token a step");
  }
  if (fleet.replica.draft_tokens < 0 || !(fleet.replica.draft_acceptance >= 0) ||
      fleet.replica.draft_acceptance > 1) {
    return make_error(ErrorCode::kInvalidValue,
                      "speculation needs drafts from 0 on and an acceptance from 0 to 1");
  }
  WEIR_TRY(check_changes(fleet));
  for (size_t i = 0; i < requests.size(); ++i) {
    const SimRequest& r = requests[i];
    if (r.prompt_tokens < 1 || r.output_tokens < 1 || r.prefix_tokens < 0 ||
        r.prefix_tokens > r.prompt_tokens) {
      return make_error(ErrorCode::kInvalidValue,
                        "request {}: a prompt of {} tokens ({} shared) and an answer of {}; each "
                        "must have one at least, and share no more than it has",
                        i, r.prompt_tokens, r.prefix_tokens, r.output_tokens);
    }
    if (i > 0 && r.arrival_s < requests[i - 1].arrival_s) {
      return make_error(ErrorCode::kInvalidValue, "request {} arrives before the one before it", i);
    }
    if (int64_t{r.prompt_tokens} + r.output_tokens > fleet.replica.kv_tokens) {
      return make_error(ErrorCode::kInvalidValue,
                        "request {} has {} tokens, and a replica's KV cache holds {}; give it more "
                        "memory or shorten the context",
                        i, int64_t{r.prompt_tokens} + r.output_tokens, fleet.replica.kv_tokens);
    }
  }
  return {};
}

}  // namespace

void GapHistogram::add(double ms, double count) {
  if (counts_.empty()) counts_.resize(kClasses);
  const double at = std::log(std::max(ms, kSmallestMs) / kSmallestMs) / std::log1p(kGapStep);
  counts_[std::min(kClasses - 1, static_cast<size_t>(at))] += count;
  all_ += count;
  sum_ += ms * count;
}

void GapHistogram::add_spread(double ms, double count, std::span<const double> spread) {
  if (count <= 0) return;
  if (spread.empty()) return add(ms, count);
  const double share = count / static_cast<double>(spread.size());
  for (const double ratio : spread) add(ms * ratio, share);
}

double GapHistogram::quantile(double q) const {
  double below = 0;
  for (size_t i = 0; i < counts_.size(); ++i) {
    below += counts_[i];
    if (below >= q * all_ && counts_[i] > 0)
      return kSmallestMs * std::pow(1 + kGapStep, static_cast<double>(i) + 0.5);
  }
  return 0;
}

void GapHistogram::merge(const GapHistogram& other) {
  if (counts_.empty()) counts_.resize(kClasses);
  for (size_t i = 0; i < other.counts_.size(); ++i) counts_[i] += other.counts_[i];
  all_ += other.all_;
  sum_ += other.sum_;
}

Result<SimOutcome> simulate(std::span<const SimRequest> requests, const SimFleet& fleet,
                            const StepTime& time) {
  WEIR_TRY(check(requests, fleet));
  SimOutcome out;
  const float none = std::numeric_limits<float>::quiet_NaN();
  for (auto* values : {&out.ttft_ms, &out.total_ms, &out.queue_ms})
    values->assign(requests.size(), none);
  if (requests.empty()) return out;
  FleetSim(requests, fleet, time, out).run();
  return out;
}

double sim_quantile(std::span<const float> values, double q) {
  std::vector<float> numbers;
  numbers.reserve(values.size());
  for (const float v : values) {
    if (!std::isnan(v)) numbers.push_back(v);
  }
  if (numbers.empty()) return 0;
  const auto at = std::lround(q * static_cast<double>(numbers.size() - 1));
  std::nth_element(numbers.begin(), numbers.begin() + at, numbers.end());
  return numbers[static_cast<size_t>(at)];
}

}  // namespace weir::ops
