// weir plan: memory, speed and replicas for an intake on an accelerator, with the arithmetic.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/host.h"
#include "cli/intake_sources.h"
#include "cli/load.h"
#include "cli/ops_commands.h"
#include "cli/outputs.h"
#include "cli/plan_options.h"
#include "ops/data/models.h"
#include "ops/intake/conflicts.h"
#include "ops/plan/fit.h"
#include "ops/plan/plan_lists.h"
#include "ops/plan/plan_report.h"
#include "ops/plan/plan_request.h"
#include "ops/plan/what_if.h"
#include "ops/project/own_files.h"
#include "ops/project/project.h"
#include "ops/sources/days.h"
#include "os/file.h"
#include "text/json.h"

namespace weir::cli {
namespace {

using text::Json;

Result<int> list(const PlanOptions& o) {
  if (o.models) {
    WEIR_ASSIGN(const auto models, ops::built_in_models());
    fmt::print("{}", o.json ? ops::models_json(models).dump() + "\n" : ops::models_text(models));
    return kExitOk;
  }
  WEIR_ASSIGN(const auto all, ops::load_accelerators());
  fmt::print("{}",
             o.json ? ops::accelerators_json(all).dump() + "\n" : ops::accelerators_text(all));
  return kExitOk;
}

// Whether --model names nothing else than the intake does.
bool is_own_model(const std::string& model, const ops::Intake& intake) {
  return model.empty() || intake.text("model.source") == model ||
         intake.text("model.name") == model;
}

// The same of the accelerator, whatever name the intake has for it.
bool is_own_accelerator(const ops::Accelerators& all, const ops::Accelerator* device,
                        const ops::Intake& intake) {
  const auto own = intake.text("hardware.accelerator");
  if (!own || device == nullptr) return false;
  const auto found = find_device(all, *own);
  return found.ok() && *found == device;
}

// device: nullptr for a search.
Result<ops::PlanRequest> request_of(const PlanOptions& o, const ops::Intake& intake,
                                    const ops::Accelerators& all, const ops::Accelerator* device) {
  ops::PlanRequest request;
  request.model_source =
      o.model.empty() ? intake.text("model.source").value_or(intake.text("model.name").value_or(""))
                      : o.model;
  if (request.model_source.empty())
    return make_error(ErrorCode::kUsage, "a plan needs --model, or model.source in the intake");
  WEIR_ASSIGN(FoundModel found, find_model(request.model_source));
  request.shape = std::move(found.shape);
  if (o.fit.empty()) {
    WEIR_ASSIGN(request.workload, ops::workload_of(intake));
  }
  WEIR_ASSIGN(request.workload.context_tokens, ops::context_of(intake, request.shape));
  request.slo = ops::slo_of(intake);
  request.memory_gb =
      o.memory_gb > 0 ? o.memory_gb : intake.number("hardware.memory_gb").value_or(0);
  request.own_memory_gb = device == nullptr ? 0 : o.memory_gb;
  request.device = device;
  if (!o.kv_type.empty()) {
    request.kv_type = o.kv_type;
    WEIR_ASSIGN(request.kv_element_bytes, ops::kv_element_bytes(o.kv_type));
  }
  if (o.weight_bits > 0) ops::set_weight_bits(request.shape, o.weight_bits);
  if (!o.activations.empty()) WEIR_TRY(ops::set_activations(request.shape, o.activations));
  if (!o.devices.empty()) request.devices = o.devices.front();
  request.pipeline = std::max(1, o.pipeline);
  request.expert_parallel = o.experts;
  request.spare_replicas = o.spare;
  if (o.max_running > 0) request.max_running = o.max_running;
  if (o.step_tokens > 0) request.step_tokens = o.step_tokens;
  request.draft_tokens = o.draft_tokens;
  request.draft_acceptance = o.draft_tokens > 0 ? o.acceptance : 0;
  request.seed = o.seed;
  const ops::PlanGiven given{.devices = !o.devices.empty() || o.search,
                             .pipeline = o.pipeline > 0,
                             .kv_type = !o.kv_type.empty(),
                             .weights = o.weight_bits > 0,
                             .memory = o.memory_gb > 0,
                             .max_running = o.max_running > 0,
                             .step_tokens = o.step_tokens > 0};
  const ops::PlanSubject subject{.own_model = is_own_model(o.model, intake),
                                 .published_model = found.published,
                                 .own_accelerator = is_own_accelerator(all, device, intake)};
  WEIR_TRY(ops::take_from_intake(intake, given, subject, request));
  return request;
}

// How long a replica takes to start: its weights from storage, and the process itself (a
// hypothesis: 30 s).
double cold_start_s(const PlanOptions& o, const ops::PlanRequest& request,
                    const ops::Intake& intake) {
  if (o.cold_start_s > 0) return o.cold_start_s;
  const double gb = request.shape.parameters() * request.shape.bits_per_weight / 8 / 1e9;
  return 30 + gb / intake.number("hardware.storage_gb_per_s").value_or(1);
}

Result<ops::PlanReport> plain_report(const ops::PlanRequest& request, ops::Plan& plan) {
  ops::PlanReport report;
  report.request = request;
  WEIR_ASSIGN(plan, ops::make_plan(request));
  report.plan = ops::plan_file(request, plan, ops::day_text(ops::today(SystemClock())));
  return report;
}

// One that has a spare replica and misses the SLO all the same wants a remedy.
Result<ops::FailureOutcome> failure_of(const ops::PlanRequest& request,
                                       const ops::ReplicaTrial& trial, int replicas,
                                       double down_s) {
  return request.spare_replicas > 0
             ? ops::plan_failure_with_remedy(request, trial, replicas, down_s)
             : ops::plan_failure(request, trial, replicas, down_s);
}

// The plan, and what else was asked of it.
Result<ops::PlanReport> report_of(const PlanOptions& o, const ops::PlanRequest& request,
                                  const ops::Intake& intake) {
  ops::Plan plan;
  WEIR_ASSIGN(ops::PlanReport report, plain_report(request, plan));
  if (!plan.low.most || !plan.high.most) return report;
  WEIR_ASSIGN(const ops::PlanDevice device, ops::plan_device(request));
  const ops::EfficiencyRange range = ops::efficiency_range(request);
  const ops::ReplicaTrial low(request, device, range.low), high(request, device, range.high);
  if (!o.html.empty()) {
    WEIR_ASSIGN(report.low_curve, ops::load_curve(low, plan.low.alone, plan.low.most));
    WEIR_ASSIGN(report.high_curve, ops::load_curve(high, plan.high.alone, plan.high.most));
  }
  if (o.sensitivity || !o.html.empty()) {
    WEIR_ASSIGN(report.sensitivity, ops::plan_sensitivity(request));
  }
  if (o.failure) {
    WEIR_ASSIGN(report.failure,
                failure_of(request, low, plan.low.replicas, cold_start_s(o, request, intake)));
  }
  report.asked_disaggregation = o.disaggregate;
  if (o.disaggregate) {
    WEIR_ASSIGN(report.disaggregated,
                ops::plan_disaggregated(request, device, range.low, o.link_gb_per_s * 1e9));
    if (report.disaggregated) {
      report.plan.disaggregation = {report.disaggregated->prefill_replicas,
                                    report.disaggregated->decode_replicas};
    }
  }
  report.asked_autoscaling = o.autoscale;
  if (o.autoscale) {
    ops::AutoscaleQuestion question;
    question.trough = o.trough;
    question.cold_start_s = cold_start_s(o, request, intake);
    WEIR_ASSIGN(report.autoscaled,
                ops::plan_autoscaling(request, low, plan.low.replicas, question));
    if (report.autoscaled) {
      const ops::SimAutoscaler& rule = report.autoscaled->rule;
      report.plan.autoscaling = {rule.least, rule.most, rule.queued_per_replica, rule.cold_start_s};
    }
  }
  return report;
}

// The plan that a file is made of, which one it is where there are several.
Status write_plan(const PlanOptions& o, const std::vector<ops::PlanReport>& reports,
                  const ops::PlanReport* best, bool several) {
  ops::PlanReport written = best != nullptr ? *best : reports.front();
  written.name.clear();
  const std::string json = ops::plan_report_json(written).dump({.indent = 2}) + "\n";
  WEIR_TRY(os::write_file_atomic(o.output, json));
  if (!several || o.json) return {};
  fmt::print("\nwritten to {}: the plan of {} devices, {}\n", o.output, written.plan.devices(),
             best != nullptr ? "which needs the fewest in all" : "since none meets the SLO");
  return {};
}

// Every plan that was asked for; the one that needs the fewest devices is written to -o.
Result<int> plans(const PlanOptions& o, ops::PlanRequest request, const ops::Intake& intake) {
  std::vector<ops::PlanReport> reports;
  const std::vector<int> splits = o.devices.empty() ? std::vector<int>{request.devices} : o.devices;
  for (const int devices : splits) {
    request.devices = devices;
    WEIR_TRY(apply_efficiency(o, request));
    WEIR_ASSIGN(ops::PlanReport report, report_of(o, request, intake));
    if (devices != splits.front()) report.name = fmt::format("devices={}", devices);
    reports.push_back(std::move(report));
  }
  request.devices = splits.front();
  for (const std::string& changes : o.what_if) {
    WEIR_ASSIGN(const ops::PlanRequest changed, ops::what_if(request, changes));
    ops::Plan plan;
    WEIR_ASSIGN(ops::PlanReport report, plain_report(changed, plan));
    report.name = changes;
    reports.push_back(std::move(report));
  }
  const ops::PlanReport* const best = ops::best_plan(std::span(reports).first(splits.size()));
  if (!o.html.empty()) WEIR_TRY(os::write_file_atomic(o.html, ops::plan_html(reports, nullptr)));
  if (o.json) {
    Json all = Json::array();
    for (const ops::PlanReport& r : reports) all.push_back(ops::plan_report_json(r));
    fmt::print("{}\n", all.dump());
  } else {
    fmt::print("{}", ops::head_text(reports.front().request));
    for (const ops::PlanReport& r : reports) fmt::print("{}", ops::plan_text(r));
    if (!o.what_if.empty()) fmt::print("{}", ops::what_if_text(reports));
  }
  if (!o.output.empty()) WEIR_TRY(write_plan(o, reports, best, splits.size() > 1));
  return best != nullptr ? kExitOk : kExitNo;
}

// Before what takes long: what is written must have a place, and take no input's.
Status check_written(const PlanOptions& o) {
  std::vector<std::string> inputs = ops::own_files(o.folder);
  inputs.insert(inputs.end(), o.fit.begin(), o.fit.end());
  inputs.insert(inputs.end(), {o.efficiency, o.model});
  std::erase(inputs, "");
  return check_outputs({{"-o", o.output}, {"--html", o.html}}, inputs);
}

Result<int> plan(const PlanOptions& o) {
  if (o.models || o.accelerators) return list(o);
  if (!o.validate.empty()) {
    WEIR_TRY(validate_plan(o));
    return kExitOk;
  }
  WEIR_ASSIGN(const ops::Project project, ops::Project::open(o.folder));
  WEIR_TRY(check_written(o));
  WEIR_ASSIGN(const ops::Intake intake, ops::read_intake(project.intake()));
  for (const ops::IntakeConflict& c : ops::find_conflicts(intake))
    fmt::print(stderr, "weir: both cannot be: {}\n", c.what);
  WEIR_ASSIGN(auto all, ops::load_accelerators());
  WEIR_TRY(set_prices(o.prices, all));
  if (o.search) {
    WEIR_ASSIGN(ops::PlanRequest request, request_of(o, intake, all, nullptr));
    WEIR_TRY(apply_efficiency(o, request));
    WEIR_ASSIGN(const bool found, search_plan(o, request, all));
    return found ? kExitOk : kExitNo;
  }
  const std::string id =
      o.accelerator.empty() ? intake.text("hardware.accelerator").value_or("") : o.accelerator;
  if (id.empty())
    return make_error(ErrorCode::kUsage,
                      "a plan needs --accelerator, or hardware.accelerator in the intake");
  if (id == ops::kThisMachine) {
    WEIR_ASSIGN(ops::Accelerator own, this_machine());
    all.all.push_back(std::move(own));
  }
  WEIR_ASSIGN(const ops::Accelerator* const device, find_device(all, id));
  WEIR_ASSIGN(const ops::PlanRequest request, request_of(o, intake, all, device));
  if (o.fit.empty()) return plans(o, request, intake);
  WEIR_TRY(fit_plan(o, request));
  return kExitOk;
}

// What shapes a replica.
void add_replica_options(CLI::App& c, PlanOptions& o) {
  c.add_option("--project", o.folder, "the project's folder (weir init)")->capture_default_str();
  c.add_option("--model", o.model,
               "a published model's id, a GGUF file, a folder or config.json (default: the "
               "intake's)");
  c.add_option("--accelerator", o.accelerator,
               "an id of --accelerators, or this-machine: its CPU, measured now (default: the "
               "intake's)");
  c.add_option("--devices", o.devices,
               "that share every layer (tensor parallel); several: a plan of each (default: the "
               "intake's, else 1)")
      ->delimiter(',')
      ->check(CLI::Range(1, 1024));
  c.add_option(
       "--pipeline", o.pipeline,
       "groups of devices, each with a part of the layers (default: the intake's beside its "
       "devices, else 1)")
      ->check(CLI::Range(1, 256));
  c.add_option("--experts", o.experts, "of the devices, over which experts are spread whole")
      ->check(CLI::Range(1, 1024));
  c.add_option(
       "--memory-gb", o.memory_gb,
       "memory of a device in place of the published or measured one; a CPU has none of its "
       "own")
      ->check(CLI::Range(0.1, 1e6));
  c.add_option("--weight-bits", o.weight_bits, "bits of a weight (default: as the model is stored)")
      ->check(CLI::Range(1.0, 32.0));
  c.add_option("--activations", o.activations,
               "type that activations are multiplied in (default: fp8 beside 8-bit weights, else "
               "bf16, or as the model says)")
      ->check(CLI::IsMember({"bf16", "fp8", "int8", "fp4"}));
  c.add_option("--kv-type", o.kv_type, "of the KV cache (default: the intake's, else f16)")
      ->check(CLI::IsMember({"f16", "fp8", "q8", "fp4"}));
  c.add_option("--max-running", o.max_running,
               "requests that run at once in a replica (default: the intake's, else 256)")
      ->check(CLI::Range(1, 1'000'000));
  c.add_option("--step-tokens", o.step_tokens,
               "tokens of a step (default: the intake's, else 2048)")
      ->check(CLI::Range(1, 1'000'000));
  c.add_option("--draft-tokens", o.draft_tokens, "speculation: guesses of each decode")
      ->check(CLI::Range(0, 64));
  c.add_option("--acceptance", o.acceptance, "of a guess whose forerunner was accepted")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
}

// What is asked of the plan besides.
void add_question_options(CLI::App& c, PlanOptions& o) {
  c.add_option("--spare", o.spare, "replicas beyond what the load needs")
      ->check(CLI::Range(0, 10'000))
      ->capture_default_str();
  c.add_flag("--failure", o.failure, "the fleet while one replica is down");
  c.add_flag("--disaggregate", o.disaggregate, "prefill and decode on replicas of their own");
  c.add_option("--link-gb-per-s", o.link_gb_per_s, "between replicas, for a KV transfer")
      ->check(CLI::Range(0.001, 1e5))
      ->capture_default_str();
  c.add_flag("--autoscale", o.autoscale, "a rule that follows the day's load");
  c.add_option("--cold-start", o.cold_start_s,
               "seconds from a decision to the first request (default: 30 and reading the weights)")
      ->check(CLI::Range(0.1, 1e6));
  c.add_option("--trough", o.trough, "the day's lowest load as a share of requests_per_s")
      ->check(CLI::Range(0.01, 1.0))
      ->capture_default_str();
  c.add_flag("--sensitivity", o.sensitivity, "which input moves the answer");
  c.add_option("--what-if", o.what_if,
               "KEY=VALUE[,KEY=VALUE] beside the plan; may be given several times")
      ->take_all();
  c.add_flag("--search", o.search, "every accelerator, number of devices and width of weights");
  c.add_option("--price", o.prices, "ACCELERATOR=USD of a device and hour; several times")
      ->take_all();
  c.add_option("--fit", o.fit,
               "results of weir bench load, vllm bench, guidellm or aiperf of this replica")
      ->check(CLI::ExistingFile);
  c.add_option("--efficiency", o.efficiency, "a fit that -o wrote, in place of the hypothesis")
      ->check(CLI::ExistingFile);
  c.add_flag(
      "--force-efficiency", o.force_efficiency,
      "also for another model, accelerator or number of devices than the fit's: a hypothesis");
  c.add_option("--validate", o.validate,
               "run this model on weir's engine beside the simulation, and print the errors");
  c.add_option("--seconds", o.seconds, "of --validate, at each of its loads")
      ->check(CLI::Range(1.0, 3600.0))
      ->capture_default_str();
  add_threads_option(&c, o.threads);
}

}  // namespace

void add_plan(CLI::App& root, Selected& selected) {
  auto o = std::make_shared<PlanOptions>();  // shared: the parser's callback and the action outlive
                                             // this call
  CLI::App* c = add_command(
      root, "plan", "Memory, speed and replicas for the intake's load",
      "  weir plan --project serving --accelerator nvidia-h100-sxm --devices 1,2,4\n"
      "  weir plan --project serving --model qwen3-32b --accelerator amd-mi300x --weight-bits 8\n"
      "  weir plan --failure --autoscale --disaggregate --html plan.html -o plan.json\n"
      "  weir plan --what-if weight-bits=8 --what-if devices=2,kv-type=fp8\n"
      "  weir plan --search\n"
      "  weir plan --fit bench.json -o fit.json && weir plan --efficiency fit.json\n"
      "  weir plan --validate smollm2-135m-instruct\n");
  add_replica_options(*c, *o);
  add_question_options(*c, *o);
  c->add_option("--seed", o->seed, "of the requests that are drawn")
      ->capture_default_str()
      ->check([](const std::string& value) { return seed_problem(value); });
  c->add_option("-o,--output", o->output, "the plan (or the fit) as a file for other commands");
  c->add_option("--html", o->html, "a page with plots");
  c->add_flag("--models", o->models, "list the published models that weir knows");
  c->add_flag("--accelerators", o->accelerators, "list the accelerators that weir knows");
  c->add_flag("--json", o->json, "one JSON document");
  c->callback([o, &selected] { selected.action = [o] { return plan(*o); }; });
}

}  // namespace weir::cli
