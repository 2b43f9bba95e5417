#include "ops/plan/validate.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "ops/plan/engine_load.h"

namespace weir::ops {
namespace {

constexpr double kFitShare = 0.6;    // of what the engine carries, at which steps are fitted
constexpr double kFitSeconds = 0.5;  // of what a load takes
constexpr size_t kFlood = 400;       // requests at once, to see what it carries
constexpr size_t kSpeedRequests = 20'000;
constexpr uint64_t kFitSeed = 7919;  // the fit sees other requests than the loads
constexpr size_t kLeastRequests = 8;

LoadFigures figures(const std::vector<float>& ttft_ms, const GapHistogram& gaps, int64_t tokens,
                    double span_s) {
  return {sim_quantile(ttft_ms, 0.5), sim_quantile(ttft_ms, 0.95), gaps.quantile(0.5),
          gaps.quantile(0.95), span_s > 0 ? static_cast<double>(tokens) / span_s : 0};
}

class Validator {
 public:
  Validator(engine::LoadedModel& model, const Clock& clock, const ValidateOptions& o)
      : model_(model), clock_(clock), o_(o) {
    fleet_.replica.kv_tokens = o.kv_tokens;
    fleet_.replica.max_running = o.max_running;
    fleet_.replica.step_tokens = o.step_tokens;
    fleet_.replica.prefix_cache = false;
  }

  std::vector<SimRequest> requests(double rate, double seconds, uint64_t seed) const {
    Workload w = o_.workload;
    w.rate_per_s = rate;
    w.shared_share = 0;
    w.context_tokens = std::min(w.context_tokens, o_.kv_tokens);
    const double count = std::max(rate * seconds, static_cast<double>(kLeastRequests));
    return draw_requests(w, static_cast<size_t>(count), seed);
  }

  // Requests a second that come out when more than enough go in.
  Result<double> most(const StepTime& time) const {
    Workload w = o_.workload;
    w.rate_per_s = 1e6;
    w.shared_share = 0;
    w.context_tokens = std::min(w.context_tokens, o_.kv_tokens);
    WEIR_ASSIGN(const SimOutcome flood, simulate(draw_requests(w, kFlood, o_.seed), fleet_, time));
    return static_cast<double>(kFlood) / flood.span_s;
  }

  Result<EngineLoadResult> run(const std::vector<SimRequest>& requests) {
    return run_engine_load(model_, clock_, requests, {o_.max_running, o_.step_tokens, o_.seed});
  }

  Result<ValidatedLoad> load(double rate, const StepTime& time, uint64_t seed) {
    ValidatedLoad load;
    load.rate_per_s = rate;
    const auto all = requests(rate, o_.seconds, seed);
    load.requests = all.size();
    WEIR_ASSIGN(const SimOutcome sim, simulate(all, fleet_, time));
    load.predicted = figures(sim.ttft_ms, sim.gaps, sim.output_tokens, sim.span_s);
    WEIR_ASSIGN(const EngineLoadResult real, run(all));
    load.measured = figures(real.ttft_ms, real.gaps, real.output_tokens, real.span_s);
    return load;
  }

  Result<double> simulated_per_minute(double rate, const StepTime& time) const {
    Workload w = o_.workload;
    w.rate_per_s = rate;
    w.context_tokens = std::min(w.context_tokens, o_.kv_tokens);
    const auto all = draw_requests(w, kSpeedRequests, o_.seed);
    const auto begin = std::chrono::steady_clock::now();
    WEIR_ASSIGN([[maybe_unused]] const SimOutcome out, simulate(all, fleet_, time));
    const std::chrono::duration<double, std::ratio<60>> minutes =
        std::chrono::steady_clock::now() - begin;
    return static_cast<double>(kSpeedRequests) / minutes.count();
  }

 private:
  engine::LoadedModel& model_;
  const Clock& clock_;
  const ValidateOptions& o_;
  SimFleet fleet_;
};

}  // namespace

std::vector<double> prediction_errors(const ValidatedLoad& load) {
  std::vector<double> out;
  const LoadFigures &p = load.predicted, &m = load.measured;
  const auto add = [&](double predicted, double measured) {
    if (measured > 0) out.push_back(std::fabs(predicted / measured - 1));
  };
  add(p.ttft_ms_p50, m.ttft_ms_p50);
  add(p.ttft_ms_p95, m.ttft_ms_p95);
  add(p.itl_ms_p50, m.itl_ms_p50);
  add(p.itl_ms_p95, m.itl_ms_p95);
  add(p.output_tok_s, m.output_tok_s);
  return out;
}

Result<Validation> validate_plan(engine::LoadedModel& model, const Clock& clock,
                                 const ValidateOptions& options,
                                 const std::function<void(const std::string&)>& progress) {
  Validator v(model, clock, options);
  Validation out;
  // A few requests tell roughly what it carries; a load at kFitShare of that the rest. It is run
  // again, with other requests, before each load that is predicted: what a shared machine can do
  // drifts by the minute.
  progress("a few requests alone");
  WEIR_ASSIGN(const EngineLoadResult alone,
              v.run(v.requests(kLeastRequests / options.seconds, options.seconds, kFitSeed)));
  const StepFit rough = fit_steps(alone.steps);
  WEIR_ASSIGN(double carried, v.most(rough.time()));
  std::vector<float> errors;
  for (size_t i = 0; i < options.shares.size(); ++i) {
    progress(fmt::format("steps are fitted at {:.3g} requests/s", kFitShare * carried));
    WEIR_ASSIGN(
        const EngineLoadResult fitted,
        v.run(v.requests(kFitShare * carried, options.seconds * kFitSeconds, kFitSeed + 1 + i)));
    std::vector<engine::StepSample> steps = alone.steps;
    steps.insert(steps.end(), fitted.steps.begin(), fitted.steps.end());
    out.fit = fit_steps(steps);
    out.fitted_steps += fitted.steps.size();
    const MeasuredStepTime time = out.fit.time();
    WEIR_ASSIGN(carried, v.most(time));
    out.most_per_s = carried;
    const double rate = options.shares[i] * carried;
    progress(fmt::format("{:.3g} requests/s", rate));
    WEIR_ASSIGN(const ValidatedLoad load, v.load(rate, time, options.seed + i));
    for (const double e : prediction_errors(load)) errors.push_back(static_cast<float>(e));
    out.loads.push_back(load);
  }
  out.median_error = sim_quantile(errors, 0.5);
  out.p95_error = sim_quantile(errors, 0.95);
  WEIR_ASSIGN(out.simulated_per_minute,
              v.simulated_per_minute(0.7 * out.most_per_s, out.fit.time()));
  return out;
}

}  // namespace weir::ops
