// weir plan: memory, speed and replicas for an intake on an accelerator, with the arithmetic.
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/intake_sources.h"
#include "cli/ops_commands.h"
#include "ops/data/models.h"
#include "ops/plan/plan.h"
#include "ops/project/project.h"
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
  double memory_gb = 0;
  std::string kv_type = "f16";
  double weight_bits = 0;
  int spare = 1;
  int32_t max_running = 256;
  int32_t step_tokens = 2048;
  uint64_t seed = 1;
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
                    "--accelerators lists them)",
                    id, shown_id(ids, id));
}

Json point_json(const ops::LoadPoint& p) {
  Json j = Json::object();
  j.set("rate_per_s", p.rate_per_s);
  j.set("ttft_ms_p50", p.ttft_ms_p50);
  j.set("ttft_ms_p95", p.ttft_ms_p95);
  j.set("itl_ms_p50", p.itl_ms_p50);
  j.set("itl_ms_p95", p.itl_ms_p95);
  j.set("total_ms_p99", p.total_ms_p99);
  j.set("output_tok_s", p.output_tok_s);
  j.set("busy_share", p.busy_share);
  j.set("kv_share", p.kv_share);
  j.set("meets_slo", p.meets_slo);
  return j;
}

Json end_json(const ops::PlanEnd& e) {
  Json j = Json::object();
  Json share = Json::object();
  share.set("compute", e.efficiency.compute);
  share.set("memory", e.efficiency.memory);
  share.set("link", e.efficiency.link);
  share.set("step_ms", e.efficiency.step_ms);
  j.set("efficiency", std::move(share));
  j.set("alone", point_json(e.alone));
  j.set("most", e.most ? point_json(*e.most) : Json());
  j.set("replicas", e.replicas);
  if (e.usd_per_million_output_tokens > 0)
    j.set("usd_per_million_output_tokens", e.usd_per_million_output_tokens);
  return j;
}

Json plan_json(const ops::PlanRequest& request, const ops::Plan& plan) {
  const ops::PlanMemory& m = plan.memory;
  Json memory = Json::object();
  memory.set("device_gb", m.device_gb);
  memory.set("weights_gb", m.weights_gb);
  memory.set("activations_gb", m.activations_gb);
  memory.set("kv_gb", m.kv_gb);
  memory.set("kv_bytes_per_token", m.kv_bytes_per_token);
  memory.set("kv_tokens", m.kv_tokens);
  memory.set("fits", m.fits);
  Json j = Json::object();
  j.set("accelerator", request.device->id);
  j.set("devices", request.devices);
  j.set("compute_type", plan.compute_type);
  j.set("rates_verified", plan.rates_verified);
  j.set("class", "hypothesis");
  j.set("memory", std::move(memory));
  if (m.fits) {
    j.set("low", end_json(plan.low));
    j.set("high", end_json(plan.high));
  }
  return j;
}

void print_memory(const ops::PlanRequest& request, const ops::PlanMemory& m) {
  fmt::print(
      "  memory of a device: {:.1f} GB, of which {:.1f} for the engine: weights {:.1f}, "
      "activations {:.1f}, KV cache {:.1f}\n",
      m.device_gb, m.usable_gb, m.weights_gb, m.activations_gb, std::max(0.0, m.kv_gb));
  if (m.fits) {
    fmt::print("  KV cache: {:.0f} bytes a token, {} tokens in {} device{}\n", m.kv_bytes_per_token,
               m.kv_tokens, request.devices, request.devices == 1 ? "" : "s");
  } else {
    fmt::print("  does not fit: more devices, fewer bits, or a larger device\n");
  }
}

void print_row(const char* name, double low, double high, const char* unit) {
  fmt::print("  {:<34} {:>12.4g} to {:<12.4g} {}\n", name, low, high, unit);
}

void print_plan(const ops::PlanRequest& request, const ops::Plan& plan) {
  const ops::Accelerator& a = *request.device;
  fmt::print(
      "\n{} × {} ({}; rates {})\n", request.devices, a.name, plan.compute_type,
      plan.rates_verified ? "read at their sources" : "in part not read again: see the file");
  print_memory(request, plan.memory);
  if (!plan.memory.fits) return;
  const ops::PlanEnd &low = plan.low, &high = plan.high;
  print_row("first token alone, median", high.alone.ttft_ms_p50, low.alone.ttft_ms_p50, "ms");
  print_row("next token alone, median", high.alone.itl_ms_p50, low.alone.itl_ms_p50, "ms");
  if (!low.most && !high.most) {
    fmt::print("  the SLO is missed even by requests alone\n");
    return;
  }
  const ops::LoadPoint none;
  const ops::LoadPoint& l = low.most ? *low.most : none;
  const ops::LoadPoint& h = high.most ? *high.most : none;
  print_row("most load of a replica in the SLO", l.rate_per_s, h.rate_per_s, "requests/s");
  print_row("generated there", l.output_tok_s, h.output_tok_s, "tokens/s");
  print_row("first token there, p95", h.ttft_ms_p95, l.ttft_ms_p95, "ms");
  print_row("next token there, p95", h.itl_ms_p95, l.itl_ms_p95, "ms");
  fmt::print("  replicas for {:g} requests/s, {} of them spare: {} to {}\n",
             request.workload.rate_per_s, request.spare_replicas, high.replicas,
             low.replicas == 0 ? "cannot" : fmt::format("{}", low.replicas));
  if (high.usd_per_million_output_tokens > 0) {
    const auto& price = *a.price_usd_per_hour;
    fmt::print(
        "  {:.2f} to {:.2f} USD a million generated tokens (a device {} to {} USD an hour, {})\n",
        high.usd_per_million_output_tokens, low.usd_per_million_output_tokens, price.low_usd,
        price.high_usd, price.date);
  }
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
  const std::string model =
      o.model.empty() ? intake.text("model.source").value_or(intake.text("model.name").value_or(""))
                      : o.model;
  if (model.empty())
    return make_error(ErrorCode::kUsage, "a plan needs --model, or model.source in the intake");
  WEIR_ASSIGN(request.shape, find_shape(model));
  WEIR_ASSIGN(request.workload, ops::workload_of(intake));
  request.slo = ops::slo_of(intake);
  request.memory_gb =
      o.memory_gb > 0 ? o.memory_gb : intake.number("hardware.memory_gb").value_or(0);
  request.kv_element_bytes = o.kv_type == "f16"                        ? 2
                             : o.kv_type == "fp8" || o.kv_type == "q8" ? 1
                                                                       : 0.5;
  if (o.weight_bits > 0) {
    request.shape.bits_per_weight = o.weight_bits;
    request.shape.precision = o.weight_bits > 9 ? "bf16" : o.weight_bits > 7 ? "fp8" : "int4";
  }
  request.spare_replicas = o.spare;
  request.max_running = o.max_running;
  request.step_tokens = o.step_tokens;
  request.seed = o.seed;
  return request;
}

Result<int> plan(const Options& o) {
  if (o.models || o.accelerators) return list(o);
  WEIR_ASSIGN(const ops::Project project, ops::Project::open(o.folder));
  WEIR_ASSIGN(const ops::Intake intake, ops::read_intake(project.intake()));
  WEIR_ASSIGN(ops::PlanRequest request, request_of(o, intake));
  WEIR_ASSIGN(const auto all, ops::load_accelerators());
  const std::string id =
      o.accelerator.empty() ? intake.text("hardware.accelerator").value_or("") : o.accelerator;
  if (id.empty())
    return make_error(ErrorCode::kUsage,
                      "a plan needs --accelerator, or hardware.accelerator in the intake");
  WEIR_ASSIGN(request.device, find_device(all, id));
  Json plans = Json::array();
  const ops::ModelShape& s = request.shape;
  if (!o.json) {
    fmt::print(
        "{}: {:.4g} billion weights of {:.4g} bits, {:.4g} billion active; {:g} requests/s of "
        "{:g} and {:g} tokens at the median\n",
        s.name.empty() ? s.architecture : s.name, s.parameters() / 1e9, s.bits_per_weight,
        s.active_parameters() / 1e9, request.workload.rate_per_s, request.workload.prompt_p50,
        request.workload.output_p50);
    fmt::print(
        "Ranges are a hypothesis: published rates times what engines usually reach, not fitted "
        "to measurements.\n");
  }
  for (const int devices : o.devices) {
    request.devices = devices;
    WEIR_ASSIGN(const ops::Plan made, ops::make_plan(request));
    if (o.json) {
      plans.push_back(plan_json(request, made));
    } else {
      print_plan(request, made);
    }
  }
  if (o.json) fmt::print("{}\n", plans.dump());
  return kExitOk;
}

}  // namespace

void add_plan(CLI::App& root, Selected& selected) {
  auto o = std::make_shared<Options>();  // shared: the parser's callback and the action outlive
                                         // this call
  CLI::App* c =
      add_command(root, "plan", "Memory, speed and replicas for the intake's load",
                  "  weir plan --project serving --accelerator nvidia-h100-sxm --devices 1,2,4\n"
                  "  weir plan --model qwen3-32b --accelerator amd-mi300x --weight-bits 8\n"
                  "  weir plan --accelerators\n");
  c->add_option("--project", o->folder, "the project's folder (weir init)")->capture_default_str();
  c->add_option(
      "--model", o->model,
      "a published model's id, a GGUF file, a folder or config.json (default: the intake's)");
  c->add_option("--accelerator", o->accelerator, "an id of --accelerators (default: the intake's)");
  c->add_option("--devices", o->devices,
                "that share every layer (tensor parallel); several: a plan of each")
      ->delimiter(',')
      ->check(CLI::Range(1, 1024));
  c->add_option("--memory-gb", o->memory_gb, "memory of a device that has none of its own: a CPU's")
      ->check(CLI::Range(0.1, 1e6));
  c->add_option("--weight-bits", o->weight_bits,
                "bits of a weight (default: as the model is stored)")
      ->check(CLI::Range(1.0, 32.0));
  c->add_option("--kv-type", o->kv_type, "of the KV cache")
      ->check(CLI::IsMember({"f16", "fp8", "q8", "fp4"}))
      ->capture_default_str();
  c->add_option("--spare", o->spare, "replicas beyond what the load needs")
      ->check(CLI::Range(0, 10'000))
      ->capture_default_str();
  c->add_option("--max-running", o->max_running, "requests that run at once in a replica")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  c->add_option("--step-tokens", o->step_tokens, "tokens of a step")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  c->add_option("--seed", o->seed, "of the requests that are drawn")->capture_default_str();
  c->add_flag("--models", o->models, "list the published models that weir knows");
  c->add_flag("--accelerators", o->accelerators, "list the accelerators that weir knows");
  c->add_flag("--json", o->json, "one JSON document");
  c->callback([o, &selected] { selected.action = [o] { return plan(*o); }; });
}

}  // namespace weir::cli
