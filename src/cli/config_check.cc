#include "cli/config_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "cli/command.h"
#include "cli/serve_options.h"
#include "config/yaml.h"
#include "ops/deploy/other_form.h"
#include "ops/lint/lint.h"
#include "os/file.h"
#include "plot/text.h"
#include "text/json.h"

namespace weir::cli {
namespace {

constexpr uint64_t kMaxFileBytes = 1 << 20;

// Of a config.json, a folder with one, else of an id.
Result<ops::ModelShape> shape_of(const std::string& model) {
  std::filesystem::path path(model);
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) path /= "config.json";
  if (!std::filesystem::exists(path, error)) return ops::catalog_shape(model);
  return ops::read_model_shape_file(path.string());
}

Result<ops::LintHardware> hardware_of(const CheckOptions& o) {
  ops::LintHardware out;
  if (!o.model.empty()) {
    WEIR_ASSIGN(out.model, shape_of(o.model));
  }
  if (!o.accelerator.empty()) {
    auto device = ops::lint_device(o.accelerator);
    if (!device.ok()) return device.error().with_context("--accelerator");
    out.device = *device;
  }
  out.count = o.count;
  out.weight_bits = o.weight_bits;
  return out;
}

text::Json finding_json(const ops::Finding& f) {
  text::Json j = text::Json::object();
  j.set("rule", f.rule);
  j.set("severity", ops::severity_name(f.severity));
  j.set("line", int64_t{f.line});
  j.set("reason", f.reason);
  j.set("fix", f.fix);
  if (!f.source.empty()) j.set("source", f.source);
  return j;
}

void print_json(const CheckOptions& o, const ops::LintReport& report) {
  text::Json calls = text::Json::array();
  for (const ops::CheckedCall& c : report.calls) {
    text::Json j = text::Json::object();
    j.set("engine", c.engine);
    j.set("version", c.version);
    if (!c.asked_version.empty()) j.set("asked_version", c.asked_version);
    j.set("workload", c.workload);
    j.set("line", int64_t{c.line});
    j.set("findings", findings_json(c.findings));
    calls.push_back(std::move(j));
  }
  text::Json j = text::Json::object();
  j.set("file", o.file);
  j.set("form", ops::form_name(report.deployment.form));
  j.set("engines", std::move(calls));
  for (const auto severity :
       {ops::Severity::kError, ops::Severity::kWarning, ops::Severity::kHint}) {
    j.set(fmt::format("{}s", ops::severity_name(severity)),
          static_cast<int64_t>(report.count(severity)));
  }
  fmt::print("{}\n", j.dump());
}

void print_report(const CheckOptions& o, const ops::LintReport& report) {
  for (const ops::CheckedCall& c : report.calls) {
    fmt::print(
        "{}:{}: {} {}, {}{}\n", plot::printable(o.file), c.line, c.engine,
        plot::printable(c.version), plot::printable(c.workload),
        c.asked_version.empty()
            ? ""
            : fmt::format(" (there is no snapshot of {}; this is the nearest)", c.asked_version));
    print_findings(o.file, c.findings);
  }
  fmt::print("{}: {} errors, {} warnings, {} hints\n", o.file, report.count(ops::Severity::kError),
             report.count(ops::Severity::kWarning), report.count(ops::Severity::kHint));
}

int print_other(const CheckOptions& o, const std::string& form) {
  if (o.json) {
    text::Json j = text::Json::object();
    j.set("file", o.file);
    j.set("form", form);
    j.set("engines", text::Json::array());
    for (const char* count : {"errors", "warnings", "hints"}) j.set(count, int64_t{0});
    fmt::print("{}\n", j.dump());
  } else {
    fmt::print("{}: {}, for which weir has no rules\n", o.file, form);
  }
  return kExitOk;
}

}  // namespace

text::Json findings_json(const std::vector<ops::Finding>& findings) {
  text::Json list = text::Json::array();
  for (const ops::Finding& f : findings) list.push_back(finding_json(f));
  return list;
}

void print_findings(const std::string& file, const std::vector<ops::Finding>& findings) {
  for (const ops::Finding& f : findings) {
    fmt::print("{}:{}: {}: {} [{}]\n    fix: {}\n", plot::printable(file), f.line,
               ops::severity_name(f.severity), plot::printable(f.reason), f.rule,
               plot::printable(f.fix));
    if (!f.source.empty()) fmt::print("    source: {}\n", f.source);
  }
}

void add_check_options(CLI::App* command, CheckOptions& o) {
  command->add_option("--engine-version", o.version,
                      "of the engine; without it what the image's tag says, else the newest known");
  command->add_option("--model", o.model,
                      "a config.json, a folder with one, or an id of the models that weir knows");
  command->add_option("--accelerator", o.accelerator,
                      "what it runs on, such as nvidia-h100-sxm (data/accelerators.yaml)");
  command->add_option("--count", o.count, "how many of them a machine has")
      ->check(CLI::Range(1, 4096));
  command
      ->add_option("--weight-bits", o.weight_bits,
                   "bits of a weight; without it as the model or its quantization says")
      ->check(CLI::Range(1.0, 32.0));
}

Result<int> check_engine_file(const CheckOptions& o) {
  WEIR_ASSIGN(const std::string text, read_input(o.file, kMaxFileBytes));
  ops::LintOptions lint;
  lint.engine = o.engine;
  lint.version = o.version;
  WEIR_ASSIGN(lint.hardware, hardware_of(o));
  const auto found = ops::lint_text(text, o.file, lint);
  if (!found.ok()) {
    const std::string other = o.engine.empty() ? ops::other_form(text, o.file) : "";
    return other.empty() ? Result<int>(found.error()) : Result<int>(print_other(o, other));
  }
  const ops::LintReport& report = *found;
  if (o.json) {
    print_json(o, report);
  } else {
    print_report(o, report);
  }
  const bool clean =
      report.count(ops::Severity::kError) + report.count(ops::Severity::kWarning) == 0;
  return clean ? kExitOk : kExitNo;
}

bool is_weir_file(const std::string& file) {
  const auto text = os::read_file(file, kMaxFileBytes);
  if (!text.ok()) return true;
  // An empty weir.yaml is right, an empty script starts nothing.
  if (text->find_first_not_of(" \t\r\n") == std::string::npos)
    return file.ends_with(".yaml") || file.ends_with(".yml");
  const auto root = config::parse_yaml(*text, file);
  if (!root.ok() || root->kind != config::Node::Kind::kMap) return false;
  const ServeGiven given;
  const auto keys = given.table.keys();
  const auto own =
      std::count_if(root->members.begin(), root->members.end(), [&](const config::Member& m) {
        return std::any_of(keys.begin(), keys.end(), [&](const config::Key& k) {
          return k.path == m.key || k.path.starts_with(m.key + ".");
        });
      });
  return static_cast<size_t>(own) * 2 > root->members.size();
}

bool is_gateway_file(const std::string& file) {
  const auto root = config::read_yaml(file);
  const config::Node* upstreams = root.ok() ? root->find("upstreams") : nullptr;
  return upstreams != nullptr && upstreams->kind == config::Node::Kind::kMap;
}

bool is_plain_map(const std::string& file) {
  const auto root = config::read_yaml(file);
  return root.ok() && root->kind == config::Node::Kind::kMap &&
         root->find("apiVersion") == nullptr && root->find("services") == nullptr;
}

}  // namespace weir::cli
