#include "ops/plan/search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

namespace weir::ops {
namespace {

constexpr size_t kRequests = 400;  // of each simulation: thousands of them

// nullopt: it does not meet the SLO.
Result<std::optional<SearchFound>> try_one(const PlanRequest& request, const PlanDevice& device,
                                           const SearchEngine& engine, SearchResult& counts) {
  const ReplicaTrial trial(request, device, engine.efficiency);
  WEIR_ASSIGN(const LoadPoint alone, trial.alone());
  WEIR_ASSIGN(const std::optional<LoadPoint> most, trial.most(alone));
  if (!most) {
    ++counts.too_slow;
    return std::optional<SearchFound>();
  }
  SearchFound f;
  f.accelerator = request.device;
  f.engine = engine.name;
  f.devices = request.devices;
  const int working = static_cast<int>(std::ceil(request.workload.rate_per_s / most->rate_per_s));
  f.replicas = working + request.spare_replicas;
  WEIR_ASSIGN(f.load, trial.at(request.workload.rate_per_s / working));
  f.usd_per_million_output_tokens = usd_per_million(request, f.load, f.replicas);
  return std::optional(std::move(f));
}

bool beats(const SearchFound& a, const SearchFound& b) {
  const double x[] = {a.usd_per_million_output_tokens, a.load.ttft_ms_p95, a.load.itl_ms_p95};
  const double y[] = {b.usd_per_million_output_tokens, b.load.ttft_ms_p95, b.load.itl_ms_p95};
  bool better = false;
  for (size_t i = 0; i < std::size(x); ++i) {
    if (x[i] > y[i]) return false;
    better = better || x[i] < y[i];
  }
  return better;
}

void mark_front(std::vector<SearchFound>& found) {
  for (SearchFound& f : found) {
    f.on_front = f.usd_per_million_output_tokens > 0 &&
                 std::none_of(found.begin(), found.end(), [&f](const SearchFound& other) {
                   return other.usd_per_million_output_tokens > 0 && beats(other, f);
                 });
  }
}

}  // namespace

Result<SearchResult> search_plans(const PlanRequest& asked, const SearchSpace& space,
                                  const std::function<void(size_t, size_t)>& progress) {
  SearchResult out;
  const size_t all = space.accelerators.size() * space.devices.size() * space.weights.size() *
                     space.engines.size();
  PlanRequest request = asked;
  request.requests = kRequests;
  for (const Accelerator* accelerator : space.accelerators) {
    request.device = accelerator;
    for (const int devices : space.devices) {
      request.devices = devices;
      for (const SearchWeights& weights : space.weights) {
        request.shape.bits_per_weight = weights.bits;
        request.shape.precision = weights.precision;
        const auto device = plan_device(request);
        const bool fits = device.ok() && plan_memory(request, device->memory_gb).fits;
        for (const SearchEngine& engine : space.engines) {
          progress(++out.tried, all);
          if (!fits) {
            ++out.too_small;
            continue;
          }
          WEIR_ASSIGN(auto found, try_one(request, *device, engine, out));
          if (!found) continue;
          found->weights = weights;
          out.found.push_back(std::move(*found));
        }
      }
    }
  }
  mark_front(out.found);
  const auto cost = [](const SearchFound& f) {
    return f.usd_per_million_output_tokens > 0 ? f.usd_per_million_output_tokens
                                               : std::numeric_limits<double>::infinity();
  };
  std::stable_sort(out.found.begin(), out.found.end(),
                   [&](const SearchFound& a, const SearchFound& b) { return cost(a) < cost(b); });
  return out;
}

}  // namespace weir::ops
