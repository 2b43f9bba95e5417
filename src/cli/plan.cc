// weir plan: memory, speed and replicas for an intake on an accelerator, with the arithmetic.
#include <fmt/format.h>

#include <charconv>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/host.h"
#include "cli/intake_sources.h"
#include "cli/load.h"
#include "cli/ops_commands.h"
#include "cli/terminal.h"
#include "ops/data/models.h"
#include "ops/intake/conflicts.h"
#include "ops/plan/fit.h"
#include "ops/plan/plan_report.h"
#include "ops/plan/what_if.h"
#include "ops/project/project.h"
#include "ops/sources/days.h"
#include "os/file.h"
#include "text/json.h"

namespace weir::cli {
namespace {

using text::Json;

struct Options {
  std::string folder = ".";
  std::string model;
  std::string accelerator;
  std::vector<int> devices = {1};
  int pipeline = 1;
  int experts = 1;
  double memory_gb = 0;
  std::string kv_type = "f16";
  double weight_bits = 0;
  std::string activations;  // empty: as the weights have it
  int spare = 1;
  int32_t max_running = 256;
  int32_t step_tokens = 2048;
  int32_t draft_tokens = 0;
  double acceptance = 0.7;
  uint64_t seed = 1;
  std::vector<std::string> fit;
  std::string efficiency;
  std::vector<std::string> what_if;
  bool disaggregate = false, autoscale = false, failure = false, sensitivity = false;
  double link_gb_per_s = 25, cold_start_s = 0, trough = 0.3;
  bool search = false;
  std::vector<std::string> prices;
  std::string output, html;
  std::string validate;
  double seconds = 20;
  int threads = 0;
  bool models = false, accelerators = false;
  bool json = false;
};

std::string shown_id(const std::vector<std::string>& ids, const std::string& wanted) {
  return std::string(config::nearest(wanted, ids));
}

Result<ops::ModelShape> find_shape(const std::string& model) {
  WEIR_ASSIGN(const auto known, ops::built_in_models());
  std::vector<std::string> ids;
  for (const ops::KnownModel& m : known) {
    if (m.id == model || m.name == model) return ops::shape_of(m);
    ids.push_back(m.id);
  }
  auto shape = model_shape_of(model);
  if (shape.ok() || shape.error().code != ErrorCode::kNotFound) return shape;
  return make_error(
      ErrorCode::kNotFound,
      "--model {}: no file, and no published model that weir knows; the nearest id is "
      "{} (weir plan --models lists them)",
      model, shown_id(ids, model));
}

Result<const ops::Accelerator*> find_device(const ops::Accelerators& all, const std::string& id) {
  if (const ops::Accelerator* a = all.find(id)) return a;
  if (const ops::Accelerator* a = all.find_reported(id)) return a;
  std::vector<std::string> ids;
  for (const ops::Accelerator& a : all.all) ids.push_back(a.id);
  return make_error(ErrorCode::kUsage,
                    "--accelerator {}: weir knows none of that name; the nearest is {} (weir plan "
                    "--accelerators lists them; {} measures this one)",
                    id, shown_id(ids, id), kThisMachine);
}

Result<int> list(const Options& o) {
  Json rows = Json::array();
  if (o.models) {
    WEIR_ASSIGN(const auto models, ops::built_in_models());
    for (const ops::KnownModel& m : models) {
      Json j = Json::object();
      j.set("id", m.id);
      j.set("name", m.name);
      j.set("parameters_b", m.parameters_b);
      j.set("active_parameters_b", m.active_parameters_b);
      j.set("verified", m.verified);
      rows.push_back(std::move(j));
      if (!o.json)
        fmt::print("{:<34} {:>8g} B {:>7g} active  {}{}\n", m.id, m.parameters_b,
                   m.active_parameters_b, m.released, m.verified ? "" : "  not verified");
    }
  } else {
    WEIR_ASSIGN(const auto all, ops::load_accelerators());
    for (const ops::Accelerator& a : all.all) {
      Json j = Json::object();
      j.set("id", a.id);
      j.set("name", a.name);
      j.set("bandwidth_gb_per_s", a.bandwidth_gb_per_s.value);
      rows.push_back(std::move(j));
      const ops::Figure* bf16 = a.tflops("bf16");
      if (!o.json)
        fmt::print("{:<30} {:>6g} GB {:>7g} GB/s {:>8g} TFLOPS bf16  {}\n", a.id,
                   a.memory_gb ? a.memory_gb->value : 0, a.bandwidth_gb_per_s.value,
                   bf16 == nullptr ? 0 : bf16->value, a.name);
    }
  }
  if (o.json) fmt::print("{}\n", rows.dump());
  return kExitOk;
}

Result<ops::PlanRequest> request_of(const Options& o, const ops::Intake& intake) {
  ops::PlanRequest request;
  request.model_source =
      o.model.empty() ? intake.text("model.source").value_or(intake.text("model.name").value_or(""))
                      : o.model;
  if (request.model_source.empty())
    return make_error(ErrorCode::kUsage, "a plan needs --model, or model.source in the intake");
  WEIR_ASSIGN(request.shape, find_shape(request.model_source));
  if (o.fit.empty()) {
    WEIR_ASSIGN(request.workload, ops::workload_of(intake));
  } else if (const auto context = intake.number("model.context_tokens")) {
    request.workload.context_tokens = static_cast<int64_t>(*context);
  }
  request.slo = ops::slo_of(intake);
  request.memory_gb =
      o.memory_gb > 0 ? o.memory_gb : intake.number("hardware.memory_gb").value_or(0);
  request.kv_type = o.kv_type;
  WEIR_ASSIGN(request.kv_element_bytes, ops::kv_element_bytes(o.kv_type));
  if (o.weight_bits > 0) ops::set_weight_bits(request.shape, o.weight_bits);
  if (!o.activations.empty()) WEIR_TRY(ops::set_activations(request.shape, o.activations));
  request.pipeline = o.pipeline;
  request.expert_parallel = o.experts;
  request.spare_replicas = o.spare;
  request.max_running = o.max_running;
  request.step_tokens = o.step_tokens;
  request.draft_tokens = o.draft_tokens;
  request.draft_acceptance = o.draft_tokens > 0 ? o.acceptance : 0;
  request.seed = o.seed;
  if (!o.efficiency.empty()) {
    WEIR_ASSIGN(const ops::EfficiencyFit fit, ops::read_efficiency_fit(o.efficiency));
    request.fitted = {fit.low, fit.high};
  }
  return request;
}

// How long a replica takes to start: its weights from storage, and the process itself (a
// hypothesis: 30 s).
double cold_start_s(const Options& o, const ops::PlanRequest& request, const ops::Intake& intake) {
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

// The plan, and what else was asked of it.
Result<ops::PlanReport> report_of(const Options& o, const ops::PlanRequest& request,
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
    WEIR_ASSIGN(report.failure, ops::plan_failure(request, low, plan.low.replicas,
                                                  cold_start_s(o, request, intake)));
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

void print_head(const ops::PlanRequest& request) {
  const ops::ModelShape& s = request.shape;
  fmt::print(
      "{}: {:.4g} billion weights of {:.4g} bits, {:.4g} billion active; {:g} requests/s of "
      "{:g} and {:g} tokens at the median\n",
      s.name.empty() ? s.architecture : s.name, s.parameters() / 1e9, s.bits_per_weight,
      s.active_parameters() / 1e9, request.workload.rate_per_s, request.workload.prompt_p50,
      request.workload.output_p50);
  fmt::print("{}\n", request.fitted
                         ? "Ranges come from a fit to measurements and its error."
                         : "Ranges are a hypothesis: the device's rates times what engines "
                           "usually reach, not fitted to measurements.");
}

// --price ID=USD in place of the published ones. Borrowed by the search: `all` outlives it.
Status set_prices(const std::vector<std::string>& prices, ops::Accelerators& all) {
  for (const std::string& price : prices) {
    const size_t equals = price.find('=');
    double usd = 0;
    const char* end = price.data() + price.size();
    if (equals == std::string::npos ||
        std::from_chars(price.data() + equals + 1, end, usd).ptr != end || !(usd > 0) ||
        usd > 1e6) {
      return make_error(ErrorCode::kUsage,
                        "--price {}: wants ACCELERATOR=USD, of a device and hour, above 0", price);
    }
    WEIR_ASSIGN(const ops::Accelerator* const found, find_device(all, price.substr(0, equals)));
    for (ops::Accelerator& a : all.all) {
      if (a.id == found->id)
        a.price_usd_per_hour = ops::AcceleratorPrice{
            usd, usd, ops::day_text(ops::today(SystemClock())), "--price", "given by the user"};
    }
  }
  return {};
}

Result<int> search(const Options& o, const ops::PlanRequest& request,
                   const ops::Accelerators& all) {
  const ops::Accelerator* only = nullptr;
  if (!o.accelerator.empty()) {
    WEIR_ASSIGN(only, find_device(all, o.accelerator));
  }
  ops::SearchSpace space;
  for (const ops::Accelerator& a : all.all) {
    if (only != nullptr && &a != only) continue;
    // A CPU's memory is its owner's: it is planned where the intake or --memory-gb says it.
    if (a.memory_gb || request.memory_gb > 0) space.accelerators.push_back(&a);
  }
  space.weights = {
      {request.shape.bits_per_weight, request.shape.precision, request.shape.activations}};
  for (const auto& [bits, precision] :
       {std::pair(8.0, "fp8"), std::pair(4.5, "int4"), std::pair(4.5, "fp4")}) {
    if (bits < request.shape.bits_per_weight - 1)
      space.weights.push_back({bits, precision, o.activations});
  }
  const ops::EfficiencyRange range = ops::efficiency_range(request);
  space.engines = {{request.fitted ? "fitted" : "any (hypothesis)", ops::middle(range)}};
  const SystemClock clock;
  std::optional<ProgressBar> bar;
  WEIR_ASSIGN(const ops::SearchResult found,
              ops::search_plans(request, space, [&](size_t done, size_t n) {
                if (!bar) bar.emplace("searching", n, clock);
                bar->update(done);
              }));
  bar.reset();
  if (!o.html.empty()) WEIR_TRY(os::write_file_atomic(o.html, ops::plan_html({}, &found)));
  if (o.json) {
    fmt::print("{}\n", ops::search_json(found).dump());
  } else {
    print_head(request);
    fmt::print("{}", ops::search_text(found, 12));
  }
  return found.found.empty() ? kExitNo : kExitOk;
}

Result<int> fit(const Options& o, const ops::PlanRequest& request) {
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
    return kExitOk;
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
  if (!o.output.empty())
    fmt::print("written to {}: weir plan --efficiency {}\n", o.output, o.output);
  return kExitOk;
}

// Every plan that was asked for; the first is written to -o.
Result<int> plans(const Options& o, ops::PlanRequest request, const ops::Intake& intake) {
  std::vector<ops::PlanReport> reports;
  for (const int devices : o.devices) {
    request.devices = devices;
    WEIR_ASSIGN(ops::PlanReport report, report_of(o, request, intake));
    if (devices != o.devices.front()) report.name = fmt::format("devices={}", devices);
    reports.push_back(std::move(report));
  }
  request.devices = o.devices.front();
  for (const std::string& changes : o.what_if) {
    WEIR_ASSIGN(const ops::PlanRequest changed, ops::what_if(request, changes));
    ops::Plan plan;
    WEIR_ASSIGN(ops::PlanReport report, plain_report(changed, plan));
    report.name = changes;
    reports.push_back(std::move(report));
  }
  if (!o.output.empty()) {
    const std::string json = ops::plan_report_json(reports.front()).dump({.indent = 2}) + "\n";
    WEIR_TRY(os::write_file_atomic(o.output, json));
  }
  if (!o.html.empty()) WEIR_TRY(os::write_file_atomic(o.html, ops::plan_html(reports, nullptr)));
  if (o.json) {
    Json all = Json::array();
    for (const ops::PlanReport& r : reports) all.push_back(ops::plan_report_json(r));
    fmt::print("{}\n", all.dump());
  } else {
    print_head(request);
    for (const ops::PlanReport& r : reports) fmt::print("{}", ops::plan_text(r));
    if (!o.what_if.empty()) fmt::print("{}", ops::what_if_text(reports));
  }
  const ops::PlanFile& first = reports.front().plan;
  return first.memory.fits && (first.low || first.high) ? kExitOk : kExitNo;
}

Result<int> validate(const Options& o) {
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
  options.max_running = std::min(o.max_running, 16);
  options.step_tokens = std::min(o.step_tokens, load.step_tokens);
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
  return kExitOk;
}

Result<int> plan(const Options& o) {
  if (o.models || o.accelerators) return list(o);
  if (!o.validate.empty()) return validate(o);
  WEIR_ASSIGN(const ops::Project project, ops::Project::open(o.folder));
  WEIR_ASSIGN(const ops::Intake intake, ops::read_intake(project.intake()));
  for (const ops::IntakeConflict& c : ops::find_conflicts(intake))
    fmt::print(stderr, "weir: both cannot be: {}\n", c.what);
  WEIR_ASSIGN(ops::PlanRequest request, request_of(o, intake));
  WEIR_ASSIGN(auto all, ops::load_accelerators());
  WEIR_TRY(set_prices(o.prices, all));
  if (o.search) return search(o, request, all);
  const std::string id =
      o.accelerator.empty() ? intake.text("hardware.accelerator").value_or("") : o.accelerator;
  if (id.empty())
    return make_error(ErrorCode::kUsage,
                      "a plan needs --accelerator, or hardware.accelerator in the intake");
  if (id == kThisMachine) {
    WEIR_ASSIGN(ops::Accelerator own, this_machine());
    all.all.push_back(std::move(own));
  }
  WEIR_ASSIGN(request.device, find_device(all, id));
  request.devices = o.devices.front();
  return o.fit.empty() ? plans(o, request, intake) : fit(o, request);
}

// What shapes a replica.
void add_replica_options(CLI::App& c, Options& o) {
  c.add_option("--project", o.folder, "the project's folder (weir init)")->capture_default_str();
  c.add_option("--model", o.model,
               "a published model's id, a GGUF file, a folder or config.json (default: the "
               "intake's)");
  c.add_option("--accelerator", o.accelerator,
               "an id of --accelerators, or this-machine: its CPU, measured now (default: the "
               "intake's)");
  c.add_option("--devices", o.devices,
               "that share every layer (tensor parallel); several: a plan of each")
      ->delimiter(',')
      ->check(CLI::Range(1, 1024));
  c.add_option("--pipeline", o.pipeline, "groups of devices, each with a part of the layers")
      ->check(CLI::Range(1, 256));
  c.add_option("--experts", o.experts, "of the devices, over which experts are spread whole")
      ->check(CLI::Range(1, 1024));
  c.add_option("--memory-gb", o.memory_gb, "memory of a device that has none of its own: a CPU's")
      ->check(CLI::Range(0.1, 1e6));
  c.add_option("--weight-bits", o.weight_bits, "bits of a weight (default: as the model is stored)")
      ->check(CLI::Range(1.0, 32.0));
  c.add_option("--activations", o.activations,
               "type that activations are multiplied in (default: fp8 beside 8-bit weights, else "
               "bf16, or as the model says)")
      ->check(CLI::IsMember({"bf16", "fp8", "int8", "fp4"}));
  c.add_option("--kv-type", o.kv_type, "of the KV cache")
      ->check(CLI::IsMember({"f16", "fp8", "q8", "fp4"}))
      ->capture_default_str();
  c.add_option("--max-running", o.max_running, "requests that run at once in a replica")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  c.add_option("--step-tokens", o.step_tokens, "tokens of a step")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  c.add_option("--draft-tokens", o.draft_tokens, "speculation: guesses of each decode")
      ->check(CLI::Range(0, 64));
  c.add_option("--acceptance", o.acceptance, "of a guess whose forerunner was accepted")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
}

// What is asked of the plan besides.
void add_question_options(CLI::App& c, Options& o) {
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
  c.add_option("--validate", o.validate,
               "run this model on weir's engine beside the simulation, and print the errors");
  c.add_option("--seconds", o.seconds, "of --validate, at each of its loads")
      ->check(CLI::Range(1.0, 3600.0))
      ->capture_default_str();
  add_threads_option(&c, o.threads);
}

}  // namespace

void add_plan(CLI::App& root, Selected& selected) {
  auto o = std::make_shared<Options>();  // shared: the parser's callback and the action outlive
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
  c->add_option("--seed", o->seed, "of the requests that are drawn")->capture_default_str();
  c->add_option("-o,--output", o->output, "the plan (or the fit) as a file for other commands");
  c->add_option("--html", o->html, "a page with plots");
  c->add_flag("--models", o->models, "list the published models that weir knows");
  c->add_flag("--accelerators", o->accelerators, "list the accelerators that weir knows");
  c->add_flag("--json", o->json, "one JSON document");
  c->callback([o, &selected] { selected.action = [o] { return plan(*o); }; });
}

}  // namespace weir::cli
