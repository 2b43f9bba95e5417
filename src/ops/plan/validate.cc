#include "ops/plan/validate.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>

#include "engine/scheduler.h"
#include "ops/plan/engine_load.h"
#include "os/cpu.h"
#include "os/cpu_time.h"

namespace weir::ops {
namespace {

constexpr double kPartSeconds = 10;  // machines change within a minute: fits stand close together
constexpr double kFitShare = 0.6;    // of what the engine carries, at which steps are fitted
constexpr double kFitSeconds = 0.5;  // of what a part takes
constexpr size_t kFlood = 400;       // requests at once, to see what it carries
constexpr size_t kSpeedRequests = 20'000;
constexpr uint64_t kFitSeed = 7919;  // the fit sees other requests than the loads
constexpr size_t kLeastRequests = 8;
constexpr double kNsPerS = 1e9;

// What clients saw, of all parts of a load together.
struct Latencies {
  std::vector<float> ttft_ms;
  GapHistogram gaps;
  int64_t tokens = 0;
  double span_s = 0;

  // Outcome: EngineLoadResult or SimOutcome.
  template <typename Outcome>
  void add(const Outcome& o) {
    ttft_ms.insert(ttft_ms.end(), o.ttft_ms.begin(), o.ttft_ms.end());
    gaps.merge(o.gaps);
    tokens += o.output_tokens;
    span_s += o.span_s;
  }
  LoadFigures figures() const {
    return {sim_quantile(ttft_ms, 0.5), sim_quantile(ttft_ms, 0.95), gaps.quantile(0.5),
            gaps.quantile(0.95), span_s > 0 ? static_cast<double>(tokens) / span_s : 0};
  }
};

// Steps of one load, and what the engine carries by them.
struct Seen {
  std::vector<engine::StepSample> steps;
  double carried = 0;       // requests/s
  double others_cores = 0;  // meanwhile
};

class Validator {
 public:
  Validator(engine::LoadedModel& model, const Clock& clock, const ValidateOptions& o)
      : model_(model), clock_(clock), o_(o) {
    fleet_.replica.kv_tokens = o.kv_tokens;
    fleet_.replica.max_running = o.max_running;
    fleet_.replica.step_tokens = o.step_tokens;
    fleet_.replica.short_part = engine::kShortPart;
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

  // others: raised to the cores of the engine that others had meanwhile; left where the kernel does
  // not tell.
  Result<EngineLoadResult> run(const std::vector<SimRequest>& requests, double& others) {
    const auto before = os::cpu_time(cpus_);
    const int64_t begin_ns = clock_.now_ns();
    auto out = run_engine_load(model_, clock_, requests, {o_.max_running, o_.step_tokens, o_.seed});
    const auto after = os::cpu_time(cpus_);
    if (before.ok() && after.ok()) {
      const double seconds = static_cast<double>(clock_.now_ns() - begin_ns) / kNsPerS;
      others = std::max(others, os::others_cores(*before, *after, seconds) - o_.idle_cores);
    }
    return out;
  }

  Result<SimOutcome> predict(const std::vector<SimRequest>& all, const StepTime& time) const {
    return simulate(all, fleet_, time);
  }

  // Of a load: all equally long.
  uint64_t parts() const {
    return std::max<uint64_t>(1, static_cast<uint64_t>(std::lround(o_.seconds / kPartSeconds)));
  }
  double part_seconds() const { return o_.seconds / static_cast<double>(parts()); }

  // Steps at kFitShare of what the engine is thought to carry.
  Result<Seen> see(double carried) {
    const double rate = kFitShare * carried;
    Seen out;
    WEIR_ASSIGN(
        EngineLoadResult real,
        run(requests(rate, part_seconds() * kFitSeconds, kFitSeed + ++seen_), out.others_cores));
    out.steps = std::move(real.steps);
    WEIR_ASSIGN(out.carried, most(fit_steps(out.steps).time()));
    return out;
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
  const std::vector<int> cpus_ = os::allowed_cpus();
  uint64_t seen_ = 0;  // loads that steps were fitted to
};

// One part of a load, the quietest attempt at it.
struct Part {
  EngineLoadResult measured;
  SimOutcome predicted;
  StepFit fit;
  size_t fitted_steps = 0;
  double others_cores = 0, drift = 0;
  int attempts = 1;

  double disturbance() const { return ValidatedLoad::disturbance(others_cores, drift); }
};

using Progress = std::function<void(const std::string&)>;

// before: what was seen last; afterwards what was seen behind the part.
Result<Part> run_part(Validator& v, const std::vector<SimRequest>& requests, int attempts,
                      Seen& before, const Progress& progress) {
  std::optional<Part> best;
  for (int attempt = 1; attempt <= std::max(1, attempts); ++attempt) {
    Part part;
    WEIR_ASSIGN(part.measured, v.run(requests, part.others_cores));
    WEIR_ASSIGN(Seen after, v.see(before.carried));
    part.others_cores = std::max({part.others_cores, before.others_cores, after.others_cores});
    part.drift = std::fabs(after.carried / before.carried - 1);
    const double disturbance = part.disturbance();
    if (disturbance >= 1) {
      progress(fmt::format(
          "disturbed: others had {:.2f} of the engine's cores, what it carries changed by {:.0f} "
          "%{}",
          part.others_cores, 100 * part.drift, attempt < attempts ? "; once more" : ""));
    }
    if (!best || disturbance < best->disturbance()) {
      std::vector<engine::StepSample> steps = before.steps;
      steps.insert(steps.end(), after.steps.begin(), after.steps.end());
      part.fit = fit_steps(steps);
      part.fitted_steps = steps.size();
      WEIR_ASSIGN(part.predicted, v.predict(requests, part.fit.time()));
      best = std::move(part);
    }
    best->attempts = attempt;
    before = std::move(after);
    if (disturbance < 1) break;
  }
  return std::move(*best);
}

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
                                 const ValidateOptions& options, const Progress& progress) {
  Validator v(model, clock, options);
  Validation out;
  // A few requests tell roughly what it carries, a load at kFitShare of that says it better.
  progress("a few requests alone");
  double others = 0;
  WEIR_ASSIGN(
      const EngineLoadResult alone,
      v.run(v.requests(kLeastRequests / options.seconds, options.seconds, kFitSeed), others));
  WEIR_ASSIGN(const double rough, v.most(fit_steps(alone.steps).time()));
  WEIR_ASSIGN(Seen before, v.see(rough));
  std::vector<float> errors;
  for (size_t i = 0; i < options.shares.size(); ++i) {
    ValidatedLoad load;
    load.rate_per_s = options.shares[i] * before.carried;
    Latencies measured, predicted;
    for (uint64_t part = 0; part < v.parts(); ++part) {
      progress(fmt::format("{:.3g} requests/s for {:.3g} s, part {} of {}", load.rate_per_s,
                           v.part_seconds(), part + 1, v.parts()));
      const auto requests =
          v.requests(load.rate_per_s, v.part_seconds(), options.seed + i * v.parts() + part);
      WEIR_ASSIGN(Part p, run_part(v, requests, options.attempts, before, progress));
      load.requests += requests.size();
      load.others_cores = std::max(load.others_cores, p.others_cores);
      load.drift = std::max(load.drift, p.drift);
      load.attempts = std::max(load.attempts, p.attempts);
      measured.add(p.measured);
      predicted.add(p.predicted);
      out.fit = std::move(p.fit);
      out.fitted_steps = p.fitted_steps;
    }
    load.measured = measured.figures();
    load.predicted = predicted.figures();
    for (const double e : prediction_errors(load)) errors.push_back(static_cast<float>(e));
    out.loads.push_back(load);
  }
  WEIR_ASSIGN(out.most_per_s, v.most(out.fit.time()));
  out.median_error = sim_quantile(errors, 0.5);
  out.p95_error = sim_quantile(errors, 0.95);
  WEIR_ASSIGN(out.simulated_per_minute,
              v.simulated_per_minute(0.7 * out.most_per_s, out.fit.time()));
  return out;
}

}  // namespace weir::ops
