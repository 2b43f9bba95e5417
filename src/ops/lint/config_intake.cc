#include "ops/lint/config_intake.h"

#include <fmt/format.h>

#include "ops/engines/engine_facts.h"

namespace weir::ops {
namespace {

class Filler {
 public:
  Filler(const LintReport& report, const CheckedCall& call)
      : file_(report.deployment.file), call_(call) {}

  Intake run() {
    put_at("stack.engine", call_.engine, call_.line);
    put("stack.config", file_, Origin::kMeasured, file_);
    version();
    for (const FactKind& kind : engine_facts().facts) {
      if (!kind.intake.empty()) fact(kind.intake, kind.name);
    }
    batching();
    replicas();
    admission();
    model();
    if (call_.facts.is("router.prefix_aware", "true"))
      put("stack.routing", "prefix_aware", Origin::kMeasured, file_ + ": an InferencePool");
    return std::move(out_);
  }

 private:
  // A value that the field does not take is left out: it is another word for "not set" ("auto") or
  // one that intake has no name for.
  void put(std::string_view path, std::string_view value, Origin origin, std::string evidence) {
    (void)out_.set_text(path, value, origin, std::move(evidence)).ok();
  }

  void put_at(std::string_view path, std::string_view value, int line) {
    put(path, value, Origin::kMeasured, fmt::format("{}:{}", file_, line));
  }

  void fact(std::string_view path, std::string_view name) {
    const Fact* f = call_.facts.find(name);
    if (f == nullptr) return;
    if (f->given) {
      put_at(path, f->text, f->line);
    } else {
      put(path, f->text, Origin::kInferred,
          fmt::format("default of {} {}", call_.engine, call_.version));
    }
  }

  void version() {
    const Fact* version = call_.facts.find("image_version");
    if (version != nullptr) put_at("stack.engine_version", version->text, version->line);
  }

  void batching() {
    const bool off = call_.facts.is("continuous_batching", "false");
    put("stack.batching", off ? "static" : "continuous", Origin::kInferred,
        fmt::format("what {} does", call_.engine));
  }

  void replicas() {
    const Fact* n = call_.facts.find("workload.replicas");
    if (n != nullptr && n->given) {
      put_at("stack.replicas", n->text, n->line);
    } else if (n != nullptr) {
      put("stack.replicas", n->text, Origin::kInferred,
          fmt::format("{}:{}: none are given", file_, n->line));
    }
    const Fact* scaler = call_.facts.find("workload.autoscaler");
    if (scaler != nullptr) put_at("stack.autoscaling", scaler->text, scaler->line);
  }

  void admission() {
    const Fact* queue = call_.facts.find("max_queued");
    if (queue != nullptr && queue->given) {
      put_at("stack.admission_limit", "true", queue->line);
    } else if (queue != nullptr) {
      put("stack.admission_limit", "true", Origin::kInferred,
          fmt::format("default of {} {}", call_.engine, call_.version));
    } else {
      put("stack.admission_limit", "false", Origin::kInferred,
          fmt::format("{}:{}: no limit is given", file_, call_.line));
    }
  }

  void model() {
    const Fact* name = call_.facts.find("model");
    if (name != nullptr && name->given && name->text.find('$') == std::string::npos)
      put_at("model.name", name->text, name->line);
    const Fact* context = call_.facts.find("max_model_len");
    if (context != nullptr && context->given && call_.engine != "llama.cpp")
      put_at("model.context_tokens", context->text, context->line);
  }

  const std::string& file_;
  const CheckedCall& call_;
  Intake out_;
};

}  // namespace

Result<Intake> intake_of_config(const LintReport& report) {
  if (report.calls.empty())
    return make_error(ErrorCode::kUnsupported, "{}: starts no engine", report.deployment.file);
  return Filler(report, report.calls.front()).run();
}

}  // namespace weir::ops
