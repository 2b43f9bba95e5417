#include "ops/plan/simulate.h"

#include <algorithm>
#include <cmath>

#include "ops/plan/sim_replica.h"

namespace weir::ops {
namespace {

constexpr double kGapStep = 0.01;  // of a class
constexpr double kSmallestMs = 1e-3;
constexpr size_t kClasses = 2600;  // up to a day

// Whose turn it is.
class Router {
 public:
  Router(SimRouting routing, std::vector<ReplicaSim>& replicas)
      : routing_(routing), replicas_(replicas) {}

  size_t choose(const SimRequest& r) {
    if (replicas_.size() == 1) return 0;
    if (routing_ == SimRouting::kRoundRobin) return next_++ % replicas_.size();
    size_t best = 0;
    double least = std::numeric_limits<double>::infinity();
    for (size_t i = 0; i < replicas_.size(); ++i) {
      double tokens = static_cast<double>(replicas_[i].waiting_tokens());
      // A cached prefix counts as work that is done.
      if (routing_ == SimRouting::kPrefixAware && replicas_[i].holds(r.group))
        tokens -= static_cast<double>(r.prefix_tokens);
      if (tokens < least) {
        least = tokens;
        best = i;
      }
    }
    return best;
  }

 private:
  SimRouting routing_;
  std::vector<ReplicaSim>& replicas_;
  size_t next_ = 0;
};

Status check(std::span<const SimRequest> requests, const SimFleet& fleet) {
  if (fleet.replicas < 1 || fleet.replica.max_running < 1 || fleet.replica.step_tokens < 1) {
    return make_error(ErrorCode::kInvalidValue,
                      "a fleet needs a replica, a running request and a token a step");
  }
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
  std::vector<ReplicaSim> replicas;
  replicas.reserve(static_cast<size_t>(fleet.replicas));
  for (int32_t i = 0; i < fleet.replicas; ++i)
    replicas.emplace_back(requests, fleet.replica, time, out);
  Router router(fleet.routing, replicas);
  for (size_t i = 0; i < requests.size(); ++i) {
    for (ReplicaSim& r : replicas) r.advance(requests[i].arrival_s);
    if (!replicas[router.choose(requests[i])].arrive(i)) ++out.refused;
  }
  double end = requests.front().arrival_s;
  for (ReplicaSim& r : replicas) {
    r.advance(std::numeric_limits<double>::infinity());
    end = std::max(end, r.last_token_s());
    out.busy_s += r.busy_s();
    out.in_system_s += r.in_system_s();
    out.gaps.merge(r.gaps());
  }
  out.span_s = end - requests.front().arrival_s;
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
