#include "ops/plan/search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "ops/plan/layout.h"

namespace weir::ops {
namespace {

constexpr double kWattsPerKw = 1000;
constexpr int kMostMore = 3;       // replicas than the highest load of one asks for
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
  // Loads are found by simulation: the share of a replica may miss what a slightly higher one met.
  int working = static_cast<int>(std::ceil(request.workload.rate_per_s / most->rate_per_s));
  for (const int enough = working + kMostMore; working <= enough; ++working) {
    WEIR_ASSIGN(f.load, trial.at(request.workload.rate_per_s / working));
    if (f.load.meets_slo) break;
  }
  if (!f.load.meets_slo) {
    ++counts.too_slow;
    return std::optional<SearchFound>();
  }
  f.replicas = working + request.spare_replicas;
  f.usd_per_million_output_tokens = usd_per_million(request, f.load, f.replicas, PriceEnd::kLowest);
  if (request.device->power_w)
    f.kw = request.device->power_w->value * f.devices * f.replicas / kWattsPerKw;
  return std::optional(std::move(f));
}

using Amount = double SearchFound::*;  // cost or power; 0: not known

bool beats(const SearchFound& a, const SearchFound& b, Amount amount) {
  const double x[] = {a.*amount, a.load.ttft_ms_p95, a.load.itl_ms_p95};
  const double y[] = {b.*amount, b.load.ttft_ms_p95, b.load.itl_ms_p95};
  bool better = false;
  for (size_t i = 0; i < std::size(x); ++i) {
    if (x[i] > y[i]) return false;
    better = better || x[i] < y[i];
  }
  return better;
}

void mark_front(std::vector<SearchFound>& found, Amount amount, bool SearchFound::*mark) {
  for (SearchFound& f : found) {
    f.*mark = f.*amount > 0 && std::none_of(found.begin(), found.end(), [&](const SearchFound& o) {
                return o.*amount > 0 && beats(o, f, amount);
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
      if (!check_layout(request).ok()) continue;
      for (const SearchWeights& weights : space.weights) {
        request.shape.bits_per_weight = weights.bits;
        request.shape.precision = weights.precision;
        request.shape.activations = weights.activations;
        // There it would be the same as integers of as many bits.
        if (weights.precision == "fp4" && accelerator->tflops("fp4") == nullptr) continue;
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
          found->compute_type = device->compute_type;
          out.found.push_back(std::move(*found));
        }
      }
    }
  }
  mark_front(out.found, &SearchFound::usd_per_million_output_tokens, &SearchFound::on_front);
  mark_front(out.found, &SearchFound::kw, &SearchFound::on_power_front);
  const auto or_last = [](double v) { return v > 0 ? v : std::numeric_limits<double>::infinity(); };
  const auto rank = [&](const SearchFound& f) {
    return std::pair(or_last(f.usd_per_million_output_tokens), or_last(f.kw));
  };
  std::stable_sort(out.found.begin(), out.found.end(),
                   [&](const SearchFound& a, const SearchFound& b) { return rank(a) < rank(b); });
  return out;
}

}  // namespace weir::ops
