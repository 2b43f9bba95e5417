#include "ops/plan/fit.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

namespace weir::ops {
namespace {

constexpr size_t kRequests = 300;  // of each simulation: some hundreds of them
constexpr int kRounds = 120;       // of Nelder and Mead's method
constexpr size_t kParameters = 3;
constexpr double kAssumedEnds = 0.25;  // without a held-out error
constexpr double kClosedCv = 0.1;      // arrivals of a closed loop follow each other evenly
// As lognormal lengths that are almost equal: tools report means, not spreads.
constexpr double kLengthSpread = 1.05;

using Point = std::array<double, kParameters>;  // logarithms of compute, memory, step_ms

Efficiency efficiency_at(const Point& p, const Efficiency& others) {
  Efficiency e = others;
  e.compute = std::clamp(std::exp(p[0]), 0.005, 1.0);
  e.memory = std::clamp(std::exp(p[1]), 0.005, 1.0);
  e.step_ms = std::clamp(std::exp(p[2]), 0.01, 500.0);
  return e;
}

class Fitter {
 public:
  Fitter(const PlanRequest& request, const PlanDevice& device, const Efficiency& start)
      : request_(request), device_(device), start_(start) {
    request_.requests = kRequests;
    request_.slo = {};
  }

  Result<LoadPoint> simulate(const Measurement& m, const Efficiency& e) {
    request_.workload = {m.prompt_tokens,
                         m.prompt_tokens * kLengthSpread,
                         m.output_tokens,
                         m.output_tokens * kLengthSpread,
                         m.requests_per_s,
                         m.closed ? kClosedCv : 1,
                         0,
                         request_.workload.context_tokens};
    return ReplicaTrial(request_, device_, e).at(m.requests_per_s);
  }

  // Mean squared logarithm of simulated over measured.
  Result<double> cost(std::span<const Measurement> all, const Point& p) {
    const Efficiency e = efficiency_at(p, start_);
    double sum = 0, n = 0;
    for (const Measurement& m : all) {
      WEIR_ASSIGN(const LoadPoint s, simulate(m, e));
      const auto add = [&](double simulated, double measured, double weight) {
        if (measured <= 0) return;
        const double error = std::log(std::max(simulated, 1e-3) / measured);
        sum += weight * error * error;
        n += weight;
      };
      add(s.ttft_ms_p50, m.ttft_ms_p50, 1);
      add(s.itl_ms_p50, m.itl_ms_p50, 1);
      // Tails also hold what no step explains.
      add(s.ttft_ms_p95, m.ttft_ms_p95, 0.25);
      add(s.itl_ms_p95, m.itl_ms_p95, 0.25);
    }
    // Parameters beyond their bounds cost, so that the simplex comes back.
    for (const double v : {p[0], p[1]}) sum += v > 0 ? v * v : 0;
    return sum / std::max(n, 1.0);
  }

  Result<Efficiency> fit(std::span<const Measurement> all);

 private:
  PlanRequest request_;
  const PlanDevice& device_;
  Efficiency start_;
};

struct Vertex {
  Point at{};
  double cost = 0;
};

Point toward(const Point& a, const Point& b, double t) {  // a + t (b - a)
  Point out;
  for (size_t i = 0; i < kParameters; ++i) out[i] = a[i] + t * (b[i] - a[i]);
  return out;
}

// Nelder and Mead, "A simplex method for function minimization" (1965).
Result<Efficiency> Fitter::fit(std::span<const Measurement> all) {
  std::array<Vertex, kParameters + 1> simplex;
  const Point start = {std::log(start_.compute), std::log(start_.memory), std::log(start_.step_ms)};
  for (size_t i = 0; i < simplex.size(); ++i) {
    simplex[i].at = start;
    if (i > 0) simplex[i].at[i - 1] -= 0.7;
    WEIR_ASSIGN(simplex[i].cost, cost(all, simplex[i].at));
  }
  const auto by_cost = [](const Vertex& a, const Vertex& b) { return a.cost < b.cost; };
  for (int round = 0; round < kRounds; ++round) {
    std::sort(simplex.begin(), simplex.end(), by_cost);
    Vertex& worst = simplex.back();
    if (worst.cost - simplex.front().cost < 1e-7) break;
    Point center{};
    for (size_t i = 0; i < kParameters; ++i) {
      for (size_t k = 0; k < kParameters; ++k) center[i] += simplex[k].at[i] / kParameters;
    }
    Vertex next{toward(center, worst.at, -1), 0};
    WEIR_ASSIGN(next.cost, cost(all, next.at));
    if (next.cost < simplex.front().cost) {
      Vertex further{toward(center, worst.at, -2), 0};
      WEIR_ASSIGN(further.cost, cost(all, further.at));
      worst = further.cost < next.cost ? further : next;
    } else if (next.cost < simplex[kParameters - 1].cost) {
      worst = next;
    } else {
      Vertex inside{toward(center, worst.at, 0.5), 0};
      WEIR_ASSIGN(inside.cost, cost(all, inside.at));
      if (inside.cost < worst.cost) {
        worst = inside;
        continue;
      }
      for (size_t k = 1; k < simplex.size(); ++k) {
        simplex[k].at = toward(simplex[0].at, simplex[k].at, 0.5);
        WEIR_ASSIGN(simplex[k].cost, cost(all, simplex[k].at));
      }
    }
  }
  std::sort(simplex.begin(), simplex.end(), by_cost);
  return efficiency_at(simplex.front().at, start_);
}

double median(std::vector<double> v) {
  if (v.empty()) return 0;
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

double error_of(const LoadPoint& s, const Measurement& m) {
  return (std::fabs(s.ttft_ms_p50 / m.ttft_ms_p50 - 1) +
          std::fabs(s.itl_ms_p50 / m.itl_ms_p50 - 1)) /
         2;
}

std::string model_name(const PlanRequest& request) {
  return request.shape.name.empty() ? request.model_source : request.shape.name;
}

}  // namespace

Status apply_fit(const EfficiencyFit& fit, bool force, PlanRequest& request) {
  const std::string model = model_name(request);
  const bool anywhere = request.device == nullptr;
  const std::string accelerator = anywhere ? "every accelerator" : request.device->id;
  const bool same =
      fit.model == model &&
      (anywhere || (fit.accelerator == accelerator && fit.devices == request.devices));
  if (!same && !force) {
    return make_error(ErrorCode::kUsage,
                      "the fit is of {} on {} x {}, and the plan of {} on {} x {}; weir plan --fit "
                      "FILES makes one of it, or --force-efficiency takes this one as a hypothesis",
                      fit.model, fit.devices, fit.accelerator, model, request.devices, accelerator);
  }
  request.fitted = {fit.low, fit.high};
  request.fitted_devices = same && !anywhere ? fit.devices : -1;
  request.assumed_ends = fit.ends_held_out ? 0 : fit.ends_by;
  return {};
}

Result<EfficiencyFit> fit_efficiency(const PlanRequest& request,
                                     std::span<const Measurement> measurements) {
  if (measurements.empty())
    return make_error(ErrorCode::kUsage, "a fit needs the results of at least one measured load");
  WEIR_ASSIGN(const PlanDevice device, plan_device(request));
  Fitter fitter(request, device, middle(efficiency_range(request)));
  EfficiencyFit fit;
  fit.model = model_name(request);
  fit.accelerator = request.device->id;
  fit.devices = request.devices;
  WEIR_ASSIGN(fit.efficiency, fitter.fit(measurements));
  std::vector<double> errors, held_out;
  for (size_t i = 0; i < measurements.size(); ++i) {
    FittedPoint point{measurements[i]};
    WEIR_ASSIGN(const LoadPoint s, fitter.simulate(measurements[i], fit.efficiency));
    point.ttft_ms_p50 = s.ttft_ms_p50;
    point.itl_ms_p50 = s.itl_ms_p50;
    errors.push_back(error_of(s, measurements[i]));
    if (measurements.size() >= 3) {
      std::vector<Measurement> others(measurements.begin(), measurements.end());
      others.erase(others.begin() + static_cast<std::ptrdiff_t>(i));
      WEIR_ASSIGN(const Efficiency e, fitter.fit(others));
      WEIR_ASSIGN(const LoadPoint unseen, fitter.simulate(measurements[i], e));
      point.held_out_error = error_of(unseen, measurements[i]);
      held_out.push_back(point.held_out_error);
    }
    fit.points.push_back(std::move(point));
  }
  fit.median_error = median(errors);
  fit.engine = request.engine;
  fit.ends_held_out = !held_out.empty();
  fit.ends_by = held_out.empty() ? kAssumedEnds : std::max(median(held_out), 0.02);
  const double by = 1 + fit.ends_by;
  const auto moved = [&fit](double factor) {
    Efficiency e = fit.efficiency;
    e.compute = std::min(1.0, e.compute * factor);
    e.memory = std::min(1.0, e.memory * factor);
    e.step_ms /= factor;
    return e;
  };
  fit.low = moved(1 / by);
  fit.high = moved(by);
  return fit;
}

}  // namespace weir::ops
