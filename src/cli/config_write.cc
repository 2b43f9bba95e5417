#include "cli/config_write.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "ops/config_write/write.h"
#include "ops/intake/intake.h"
#include "ops/plan/plan_file.h"
#include "ops/project/project.h"
#include "os/file.h"
#include "text/json.h"

namespace weir::cli {
namespace {

using text::Json;

struct Options {
  ops::WriteRequest request;
  std::string plan, project, out;
  bool json = false;
};

// Folder and plan as the project has them; its engine where none is named.
Status take_project(Options& o) {
  if (o.project.empty()) {
    if (o.plan.empty()) o.plan = "plan.json";
    if (o.out.empty()) o.out = "envs";
    return {};
  }
  WEIR_ASSIGN(const ops::Project project, ops::Project::open(o.project));
  if (o.plan.empty()) o.plan = project.path("plan.json");
  if (o.out.empty()) o.out = project.path("envs");
  if (!o.request.engine.empty()) return {};
  WEIR_ASSIGN(const ops::Intake intake, ops::read_intake(project.intake()));
  const std::string engine = intake.text("stack.engine").value_or("");
  if (ops::engine_profile(engine).ok()) o.request.engine = engine;
  return {};
}

Status put(const std::string& folder, const ops::WrittenFile& file) {
  const std::filesystem::path path = std::filesystem::path(folder) / file.path;
  std::error_code error;
  std::filesystem::create_directories(path.parent_path(), error);
  if (error)
    return make_error(ErrorCode::kIo, "cannot make {}: {}", path.parent_path().string(),
                      error.message());
  WEIR_TRY(os::write_file_atomic(path.string(), file.text));
  if (!file.text.starts_with("#!")) return {};
  std::filesystem::permissions(path,
                               std::filesystem::perms::owner_exec |
                                   std::filesystem::perms::group_exec |
                                   std::filesystem::perms::others_exec,
                               std::filesystem::perm_options::add, error);
  return error ? Status(make_error(ErrorCode::kIo, "cannot make {} executable: {}", path.string(),
                                   error.message()))
               : Status();
}

Json texts(const std::vector<std::string>& list) {
  Json out = Json::array();
  for (const std::string& s : list) out.push_back(s);
  return out;
}

Json as_json(const ops::WrittenConfig& w) {
  Json files = Json::array(), differences = Json::array();
  for (const ops::WrittenFile& f : w.files) files.push_back(f.path);
  for (const ops::EnvironmentDifference& d : w.differences) {
    Json j = Json::object();
    j.set("file", d.file);
    j.set("key", d.key);
    j.set("base", d.base);
    j.set("value", d.value);
    j.set("reason", d.reason);
    differences.push_back(std::move(j));
  }
  Json j = Json::object();
  j.set("target", w.target);
  j.set("environment", w.environment);
  j.set("engine", w.engine);
  if (!w.version.empty()) j.set("version", w.version);
  j.set("files", std::move(files));
  j.set("differences", std::move(differences));
  j.set("left_out", texts(w.left_out));
  j.set("notes", texts(w.notes));
  return j;
}

// A long value is shown by its beginning.
std::string shown(const std::string& value) {
  if (value.empty()) return "(not there)";
  return value.size() > 60 ? value.substr(0, 57) + "..." : value;
}

void print_differences(const ops::WrittenConfig& w) {
  if (w.differences.empty()) fmt::print("{}: as the base\n", w.environment);
  for (const ops::EnvironmentDifference& d : w.differences) {
    fmt::print("{}: {}{}{}: {} -> {}\n", w.environment, d.file, d.key.empty() ? "" : " ", d.key,
               shown(d.base), shown(d.value));
    if (!d.reason.empty()) fmt::print("    {}\n", d.reason);
  }
}

Result<int> write(Options o) {
  WEIR_TRY(take_project(o));
  WEIR_ASSIGN(const ops::PlanFile plan, ops::read_plan_file(o.plan));
  WEIR_ASSIGN(const ops::WrittenConfig w, ops::write_config(plan, o.request));
  for (const ops::WrittenFile& f : w.files) WEIR_TRY(put(o.out, f));
  if (o.json) {
    fmt::print("{}\n", as_json(w).dump());
    return kExitOk;
  }
  for (const ops::WrittenFile& f : w.files) fmt::print("{}/{}\n", o.out, f.path);
  print_differences(w);
  for (const std::string& l : w.left_out) fmt::print("left out: {}\n", l);
  for (const std::string& n : w.notes) fmt::print("note: {}\n", n);
  return kExitOk;
}

Result<int> compare(Options o) {
  WEIR_TRY(take_project(o));
  WEIR_ASSIGN(const ops::PlanFile plan, ops::read_plan_file(o.plan));
  WEIR_ASSIGN(const auto all, ops::write_environments(plan, o.request));
  Json list = Json::array();
  for (const ops::WrittenConfig& w : all) {
    if (o.json) {
      list.push_back(as_json(w));
    } else {
      print_differences(w);
    }
  }
  if (o.json) fmt::print("{}\n", list.dump());
  return kExitOk;
}

void add_options(CLI::App* c, Options& o) {
  ops::WriteRequest& r = o.request;
  c->add_option("--plan", o.plan,
                "what weir plan -o wrote (default: plan.json of the project, or here)");
  c->add_option("--project", o.project, "the project's folder (weir init); files go to its envs/");
  c->add_option("--engine", r.engine,
                "that serves: vllm, sglang, trtllm, llamacpp, weir (default: the intake's, or "
                "vllm)");
  c->add_option("--engine-version", r.engine_version, "default: the newest that weir has read");
  c->add_option("--model-source", r.model_source,
                "in place of the plan's: a quantized checkpoint, a GGUF file or repository");
  c->add_flag("--optimistic", r.optimistic,
              "prod also where only the plan's optimistic end meets the SLO");
  c->add_option("--image", r.image, "of the engine, with a version or digest");
  c->add_option("--proxy-image", r.proxy_image,
                "llm-d's routing sidecar, which prefill and decode apart need");
  c->add_option("--devices-per-node", r.devices_per_node, "accelerators of a machine")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  c->add_option("--regions", r.regions, "of prod: each carries a share, the others a lost one's")
      ->delimiter(',');
  c->add_option("--backend", r.backends, "HOST:PORT of a replica, for proxies and Prometheus")
      ->delimiter(',');
  c->add_flag("--json", o.json, "one JSON document");
}

}  // namespace

void add_config_writers(CLI::App& config, Selected& selected) {
  for (const std::string& target : ops::config_targets()) {
    auto o = std::make_shared<Options>();  // shared: the parser's callback and the action outlive
                                           // this call
    o->request.target = target;
    CLI::App* c = add_command(config, target,
                              fmt::format("Writes {} from a plan, for one environment", target),
                              fmt::format("  weir config {0} --plan plan.json --env prod\n"
                                          "  weir config {0} --project serving --env dev --json\n",
                                          target));
    if (target == "trtllm") c->alias("tensorrt-llm");
    if (target == "llamacpp") c->alias("llama.cpp");
    c->add_option("--env", o->request.environment, "dev, stage or prod")->required();
    c->add_option("--out", o->out,
                  "folder of the environments (default: the project's envs/, or "
                  "envs)");
    add_options(c, *o);
    c->callback([o, &selected] { selected.action = [o] { return write(*o); }; });
  }
  auto o = std::make_shared<Options>();  // as above
  CLI::App* c = add_command(config, "diff-envs", "What dev, stage and prod have beside their base",
                            "  weir config diff-envs kubernetes --plan plan.json\n");
  c->add_option("TARGET", o->request.target, "what weir config writes")->required();
  add_options(c, *o);
  c->callback([o, &selected] { selected.action = [o] { return compare(*o); }; });
}

}  // namespace weir::cli
