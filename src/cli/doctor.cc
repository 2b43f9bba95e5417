// weir doctor: what of a machine slows serving down, why, and what undoes it. Changes nothing.
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string>

#include "cli/host.h"
#include "cli/intake_sources.h"
#include "cli/ops_commands.h"
#include "ops/doctor/read_machine.h"
#include "ops/doctor/report.h"
#include "ops/doctor/rule.h"
#include "ops/sources/sources.h"

namespace weir::cli {
namespace {

struct Options {
  std::string root;
  std::string capture;
  std::string model;
  int64_t context_tokens = 0;
  bool bench = false;
  bool all = false;
  bool script = false;
  bool json = false;
};

// What the model needs, from what weir intake knows to read of it.
Result<ops::DoctorNeed> need_of(const Options& o) {
  ops::DoctorNeed need;
  if (o.model.empty()) return need;
  WEIR_ASSIGN(const ops::Intake known, read_model_source(o.model));
  need.model = known.text("model.name").value_or(o.model);
  need.weight_bytes = known.number("model.parameters_b").value_or(0) * 1e9 *
                      known.number("model.bits_per_weight").value_or(16) / 8;
  const double longest = known.number("model.context_tokens").value_or(0);
  const double tokens = o.context_tokens > 0 ? static_cast<double>(o.context_tokens) : longest;
  need.kv_bytes = known.number("model.kv_bytes_per_token").value_or(0) * tokens;
  const std::string file = largest_file(o.model);
  std::error_code error;
  const auto real = std::filesystem::canonical(file, error);
  if (!file.empty()) need.path = error ? file : real.string();
  return need;
}

Status capture(const Options& o, ops::RecordingFiles& files, const ops::Machine& machine) {
  if (o.bench) files.add("measured.json", ops::measured_json(machine.measured));
  WEIR_ASSIGN(const size_t count, files.write(o.capture));
  fmt::print(
      stderr,
      "weir: {} files in {}; the outputs of tools name devices and this host: look them over "
      "before you pass them on\n",
      count, o.capture);
  return {};
}

Result<int> doctor(const Options& o) {
  const bool snapshot = !o.root.empty() && o.root != "/";
  if (o.bench && snapshot) {
    return make_error(ErrorCode::kUsage,
                      "--bench measures this machine, --root reads a snapshot of another");
  }
  WEIR_ASSIGN(ops::DoctorNeed need, need_of(o));
  WEIR_ASSIGN(const auto host, open_host(o.root));
  ops::RecordingFiles files(*host);
  ops::Machine machine = ops::read_machine(files);
  if (o.bench) {
    WEIR_ASSIGN(machine.measured, measure_host(need.path));
  }
  if (snapshot) need.path.clear();  // the model lies on this machine
  if (!o.capture.empty()) WEIR_TRY(capture(o, files, machine));
  WEIR_ASSIGN(const ops::Sources sources, ops::built_in_sources());
  const ops::Diagnosis diagnosis = ops::diagnose(machine, need);
  if (o.script) {
    fmt::print("{}", ops::doctor_script(diagnosis));
  } else if (o.json) {
    fmt::print("{}\n", ops::doctor_json(machine, diagnosis, sources).dump());
  } else {
    fmt::print("{}", ops::doctor_text(machine, diagnosis, sources, o.all));
  }
  return diagnosis.to_fix() ? kExitNo : kExitOk;
}

}  // namespace

void add_doctor(CLI::App& root, Selected& selected) {
  auto o = std::make_shared<Options>();  // shared: the parser's callback and the action outlive
                                         // this call
  CLI::App* c = add_command(
      root, "doctor", "What of this machine slows serving down, why, and how to change it and back",
      "  weir doctor                              changes nothing; exit 1 when something is to "
      "fix\n"
      "  weir doctor --model smollm2-135m-instruct --bench\n"
      "  weir doctor --script > fix.sh            what it would take, with the way back\n"
      "  weir doctor --capture snapshot           keep what was read; --root snapshot reads it "
      "again\n");
  c->add_option("--root", o->root, "read a snapshot, or the root of a mounted machine, instead");
  c->add_option("--capture", o->capture, "write what was read as a snapshot into a new folder");
  c->add_option("--model", o->model, "what is to be served: a GGUF file, a folder, a config.json");
  c->add_option("--ctx", o->context_tokens, "tokens of a request; by default the model's longest")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 26));
  c->add_flag("--bench", o->bench, "measure memory, arithmetic, and the disk of --model as well");
  c->add_flag("--all", o->all, "list what is fine, too");
  c->add_flag("--script", o->script, "the fixes as a shell script with their undo; runs nothing");
  c->add_flag("--json", o->json, "one JSON document")->excludes("--script");
  c->callback([o, &selected] { selected.action = [o] { return doctor(*o); }; });
}

}  // namespace weir::cli
