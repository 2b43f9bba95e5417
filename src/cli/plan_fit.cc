// weir plan --fit, --efficiency and --validate: what measurements say.
#include "ops/plan/fit.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cli/load.h"
#include "cli/plan_options.h"
#include "ops/plan/plan_report.h"
#include "ops/project/project.h"
#include "ops/sources/days.h"
#include "os/cpu.h"
#include "os/file.h"

namespace weir::cli {

Status apply_efficiency(const PlanOptions& o, ops::PlanRequest& request) {
  if (o.efficiency.empty()) return {};
  WEIR_ASSIGN(const ops::EfficiencyFit fit, ops::read_efficiency_fit(o.efficiency));
  const Status applied = ops::apply_fit(fit, o.force_efficiency, request);
  if (applied.ok()) return {};
  return applied.error().with_context("--efficiency " + o.efficiency);
}

Status fit_plan(const PlanOptions& o, const ops::PlanRequest& request) {
  std::vector<ops::Measurement> measurements;
  for (const std::string& file : o.fit) {
    WEIR_ASSIGN(const auto read, ops::read_measurements(file));
    measurements.insert(measurements.end(), read.begin(), read.end());
  }
  WEIR_ASSIGN(ops::EfficiencyFit fit, ops::fit_efficiency(request, measurements));
  fit.created = ops::day_text(ops::today(SystemClock()));
  const std::string json = ops::efficiency_fit_json(fit).dump({.indent = 2}) + "\n";
  if (!o.output.empty()) WEIR_TRY(os::write_file_atomic(o.output, json));
  if (o.json) {
    fmt::print("{}", json);
    return {};
  }
  const ops::Efficiency& e = fit.efficiency;
  fmt::print(
      "{} loads: {:.1f} % of arithmetic, {:.1f} % of bandwidth, {:.3g} ms a step\n"
      "  {:>10} {:>8} {:>8} {:>22} {:>22} {:>9}\n",
      fit.points.size(), 100 * e.compute, 100 * e.memory, e.step_ms, "requests/s", "prompt",
      "answer", "TTFT p50, fitted/seen", "ITL p50, fitted/seen", "held out");
  for (const ops::FittedPoint& p : fit.points) {
    fmt::print("  {:>10.3g} {:>8.4g} {:>8.4g} {:>22} {:>22} {:>9}\n", p.measured.requests_per_s,
               p.measured.prompt_tokens, p.measured.output_tokens,
               fmt::format("{:.4g} / {:.4g} ms", p.ttft_ms_p50, p.measured.ttft_ms_p50),
               fmt::format("{:.3g} / {:.3g} ms", p.itl_ms_p50, p.measured.itl_ms_p50),
               p.held_out_error < 0 ? "-" : fmt::format("{:.0f} %", 100 * p.held_out_error));
  }
  fmt::print("ends for plans: +- {:.0f} %, {}\n", 100 * fit.ends_by,
             fit.ends_held_out ? "the median error at loads that were left out"
                               : "assumed: fewer than three loads leave none out");
  if (!o.output.empty())
    fmt::print("written to {}: weir plan --efficiency {}\n", o.output, o.output);
  return {};
}

Status validate_plan(const PlanOptions& o) {
  LoadRequest load;
  load.model = o.validate;
  load.threads = o.threads;
  load.kv_tokens = 16'384;
  ops::ValidateOptions options;
  options.workload = {128, 512, 32, 96, 1, 1, 0, 2048};  // without a project
  if (const auto project = ops::Project::open(o.folder); project.ok()) {
    WEIR_ASSIGN(const ops::Intake intake, ops::read_intake(project->intake()));
    if (const auto own = ops::workload_of(intake); own.ok()) options.workload = *own;
  }
  options.seconds = o.seconds;
  options.seed = o.seed;
  options.kv_tokens = load.kv_tokens;
  const auto cores = static_cast<int>(os::allowed_cpus().size());
  options.idle_cores = std::max(0, cores - (o.threads > 0 ? o.threads : os::usable_cores()));
  options.max_running = o.max_running > 0 ? std::min(o.max_running, 16) : 16;
  options.step_tokens =
      o.step_tokens > 0 ? std::min(o.step_tokens, load.step_tokens) : load.step_tokens;
  WEIR_ASSIGN(const std::unique_ptr<engine::LoadedModel> model, load_model(load));
  const SystemClock clock;
  WEIR_ASSIGN(const ops::Validation v,
              ops::validate_plan(*model, clock, options, [](const std::string& what) {
                fmt::print(stderr, "weir: {}\n", what);
              }));
  if (o.json) {
    fmt::print("{}\n", ops::validation_json(v).dump());
  } else {
    fmt::print("{}", ops::validation_text(v));
  }
  return {};
}

}  // namespace weir::cli
