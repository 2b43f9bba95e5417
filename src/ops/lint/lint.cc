#include "ops/lint/lint.h"

#include <algorithm>

#include "ops/deploy/recognise.h"
#include "ops/engines/catalog.h"
#include "ops/lint/flag_rules.h"

namespace weir::ops {
namespace {

// Whether the file itself says over how many devices the weights are: a router has none, and of a
// file of keys the command beside it, or the values below it, may say so.
bool says_devices(const FactSet& facts) {
  const Fact* tensor = facts.find("tensor_parallel");
  return facts.is("engine", "llama.cpp") ||
         (tensor != nullptr && (tensor->given || !facts.is("form", "keys")));
}

// A chart's pods: its own label, and those of the values.
std::map<std::string, std::string> chart_labels(const EngineCall& call) {
  constexpr std::string_view kBelow = "modelArtifacts.labels.";
  std::map<std::string, std::string> out{{"llm-d.ai/inference-serving", "true"}};
  for (const KeyValue& k : call.keys) {
    if (k.path.starts_with(kBelow)) out[k.path.substr(kBelow.size())] = k.value;
  }
  return out;
}

Result<CheckedCall> check_call(const Deployment& deployment, const WorkloadSpec& workload,
                               const ContainerSpec& container, const LintOptions& options) {
  const EngineCall& call = *container.call;
  const std::string image_version = version_of_tag(tag_of_image(container.image));
  const std::string asked = options.version.empty() ? image_version : options.version;
  WEIR_ASSIGN(const EngineSnapshot snapshot, engine_snapshot(call.engine, asked));
  const Settings settings =
      call.keys.empty() ? read_arguments(call.arguments, snapshot) : read_keys(call.keys, snapshot);
  const CallView view{&deployment, &workload, &container, &snapshot, &settings, asked};
  CheckedCall out;
  out.engine = call.engine;
  out.version = snapshot.version();
  if (!asked.empty() && compare_versions(asked, snapshot.version()) != 0) out.asked_version = asked;
  out.workload = workload.name.empty() ? workload.kind : workload.kind + "/" + workload.name;
  out.name_space = workload.name_space;
  out.labels = call.engine == "llm-d" ? chart_labels(call) : workload.labels;
  out.line = call.line;
  out.facts = facts_of(view);
  LintHardware hardware = options.hardware;
  if (!says_devices(out.facts)) hardware.device.reset();
  add_hardware(hardware, out.facts);
  const LintRules& rules = LintRules::built_in();
  out.findings = check_flags(view, rules);
  for (Finding& f : rules.evaluate(out.facts, call.line)) out.findings.push_back(std::move(f));
  std::stable_sort(out.findings.begin(), out.findings.end(),
                   [](const Finding& a, const Finding& b) { return a.line < b.line; });
  return out;
}

}  // namespace

size_t LintReport::count(Severity severity) const {
  size_t n = 0;
  for (const CheckedCall& c : calls) {
    n += static_cast<size_t>(
        std::count_if(c.findings.begin(), c.findings.end(),
                      [&](const Finding& f) { return f.severity == severity; }));
  }
  return n;
}

Result<LintReport> lint_text(std::string_view text, std::string_view name,
                             const LintOptions& options) {
  LintReport report;
  std::string engine;
  if (!options.engine.empty()) {
    WEIR_ASSIGN(const EngineSnapshot asked, engine_snapshot(options.engine));
    engine = asked.engine();
  }
  WEIR_ASSIGN(report.deployment, read_deployment(text, name, engine));
  for (const WorkloadSpec& w : report.deployment.workloads) {
    for (const ContainerSpec& c : w.containers) {
      if (!c.call) continue;
      WEIR_ASSIGN(CheckedCall call, check_call(report.deployment, w, c, options));
      report.calls.push_back(std::move(call));
    }
  }
  return report;
}

}  // namespace weir::ops
