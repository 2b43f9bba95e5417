#include "ops/plan/disaggregated.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <queue>
#include <vector>

namespace weir::ops {
namespace {

constexpr double kMsPerS = 1000;

// What the decode replicas get, in order of arrival, and whose requests they are.
struct Transferred {
  std::vector<SimRequest> requests;
  std::vector<size_t> of;
  std::vector<double> waited_s;  // for a link
};

double bytes_of(const SimDisaggregated& fleet, int32_t tokens) {
  const int64_t seen =
      fleet.window_tokens > 0 ? std::min<int64_t>(tokens, fleet.window_tokens) : tokens;
  return fleet.kv_bytes_per_token * tokens +
         fleet.window_bytes_per_token * static_cast<double>(seen) + fleet.state_bytes;
}

Transferred transfer(std::span<const SimRequest> requests, const SimOutcome& prefilled,
                     const SimDisaggregated& fleet) {
  std::vector<size_t> order;
  order.reserve(requests.size());
  const auto sent_s = [&](size_t i) {
    return requests[i].arrival_s + prefilled.ttft_ms[i] / kMsPerS;
  };
  for (size_t i = 0; i < requests.size(); ++i) {
    if (std::isnan(prefilled.ttft_ms[i]) || requests[i].output_tokens < 2) continue;
    order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return sent_s(a) < sent_s(b); });
  // When each link is free again, the earliest on top.
  std::priority_queue<double, std::vector<double>, std::greater<>> free_s;
  for (int i = 0; i < fleet.links; ++i) free_s.push(0);
  struct Arrival {
    SimRequest request;
    size_t of;
    double waited_s;
  };
  std::vector<Arrival> arrivals;
  arrivals.reserve(order.size());
  for (const size_t i : order) {
    SimRequest r = requests[i];
    r.first_token_s = sent_s(i);
    const double begin = std::max(r.first_token_s, free_s.top());
    const double end = begin + bytes_of(fleet, r.prompt_tokens) / fleet.link_bytes_per_s;
    free_s.pop();
    free_s.push(end);
    r.arrival_s = end + fleet.link_latency_s;
    arrivals.push_back({r, i, begin - r.first_token_s});
  }
  std::stable_sort(arrivals.begin(), arrivals.end(), [](const Arrival& a, const Arrival& b) {
    return a.request.arrival_s < b.request.arrival_s;
  });
  Transferred out;
  out.requests.reserve(arrivals.size());
  out.of.reserve(arrivals.size());
  out.waited_s.reserve(arrivals.size());
  for (const Arrival& a : arrivals) {
    out.requests.push_back(a.request);
    out.of.push_back(a.of);
    out.waited_s.push_back(a.waited_s);
  }
  return out;
}

}  // namespace

Result<SimOutcome> simulate_disaggregated(std::span<const SimRequest> requests,
                                          const SimDisaggregated& fleet,
                                          const StepTime& prefill_time,
                                          const StepTime& decode_time) {
  if (fleet.links < 1 || !(fleet.link_bytes_per_s > 0) || !(fleet.link_latency_s >= 0)) {
    return make_error(
        ErrorCode::kInvalidValue,
        "between prefill and decode {} links of {} bytes/s and {} s: needs a link, a rate above 0 "
        "and a latency from 0 on",
        fleet.links, fleet.link_bytes_per_s, fleet.link_latency_s);
  }
  std::vector<SimRequest> prompts(requests.begin(), requests.end());
  for (SimRequest& r : prompts) r.output_tokens = 1;
  WEIR_ASSIGN(SimOutcome out, simulate(prompts, fleet.prefill, prefill_time));
  const Transferred moved = transfer(requests, out, fleet);
  WEIR_ASSIGN(const SimOutcome decoded, simulate(moved.requests, fleet.decode, decode_time));
  for (size_t k = 0; k < moved.of.size(); ++k) {
    const size_t i = moved.of[k];
    const SimRequest& r = moved.requests[k];
    out.total_ms[i] =
        static_cast<float>((r.arrival_s - requests[i].arrival_s) * kMsPerS) + decoded.total_ms[k];
    out.queue_ms[i] += decoded.queue_ms[k] + static_cast<float>(moved.waited_s[k] * kMsPerS);
  }
  out.gaps = decoded.gaps;
  out.refused += decoded.refused;
  out.preemptions += decoded.preemptions;
  out.prefilled_tokens += decoded.prefilled_tokens;
  out.output_tokens += decoded.output_tokens;
  out.restarted += decoded.restarted;
  out.busy_s += decoded.busy_s;
  out.replica_s += decoded.replica_s;
  out.in_system_s += decoded.in_system_s;
  out.max_kv_share = decoded.max_kv_share;
  if (!moved.requests.empty()) {
    const double end = moved.requests.front().arrival_s + decoded.span_s;
    out.span_s = std::max(out.span_s, end - requests.front().arrival_s);
  }
  return out;
}

}  // namespace weir::ops
