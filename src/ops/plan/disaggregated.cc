#include "ops/plan/disaggregated.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace weir::ops {
namespace {

constexpr double kMsPerS = 1000;

// What the decode replicas get, in order of arrival, and whose requests they are.
struct Transferred {
  std::vector<SimRequest> requests;
  std::vector<size_t> of;
};

Transferred transfer(std::span<const SimRequest> requests, const SimOutcome& prefilled,
                     const SimDisaggregated& fleet) {
  std::vector<SimRequest> all;
  std::vector<size_t> of;
  for (size_t i = 0; i < requests.size(); ++i) {
    if (std::isnan(prefilled.ttft_ms[i]) || requests[i].output_tokens < 2) continue;
    SimRequest r = requests[i];
    const double bytes = fleet.kv_bytes_per_token * r.prompt_tokens;
    r.first_token_s = r.arrival_s + prefilled.ttft_ms[i] / kMsPerS;
    r.arrival_s = r.first_token_s + fleet.link_latency_s + bytes / fleet.link_bytes_per_s;
    all.push_back(r);
    of.push_back(i);
  }
  std::vector<size_t> order(all.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return all[a].arrival_s < all[b].arrival_s; });
  Transferred out;
  out.requests.reserve(all.size());
  out.of.reserve(all.size());
  for (const size_t i : order) {
    out.requests.push_back(all[i]);
    out.of.push_back(of[i]);
  }
  return out;
}

}  // namespace

Result<SimOutcome> simulate_disaggregated(std::span<const SimRequest> requests,
                                          const SimDisaggregated& fleet,
                                          const StepTime& prefill_time,
                                          const StepTime& decode_time) {
  if (!(fleet.link_bytes_per_s > 0) || !(fleet.link_latency_s >= 0)) {
    return make_error(
        ErrorCode::kInvalidValue,
        "between prefill and decode a link of {} bytes/s and {} s: needs a rate above "
        "0 and a latency from 0 on",
        fleet.link_bytes_per_s, fleet.link_latency_s);
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
    out.queue_ms[i] += decoded.queue_ms[k];
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
