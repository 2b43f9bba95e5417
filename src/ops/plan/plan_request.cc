#include "ops/plan/plan_request.h"

#include <fmt/format.h>

#include <cmath>
#include <string>
#include <string_view>
#include <utility>

#include "ops/intake/infer.h"
#include "ops/plan/what_if.h"

namespace weir::ops {
namespace {

// Of a cache in the intake's words.
constexpr std::pair<std::string_view, const char*> kKvTypes[] = {{"bf16", "f16"}, {"f16", "f16"},
                                                                 {"fp8", "fp8"},  {"int8", "q8"},
                                                                 {"int4", "fp4"}, {"fp4", "fp4"}};

constexpr double kSame = 0.01;  // of memory: marketed and measured figures differ by as little

class Taker {
 public:
  Taker(const Intake& intake, PlanRequest& request) : intake_(intake), request_(request) {}

  void note(std::string_view what, std::string_view path) {
    request_.from_intake.push_back(fmt::format("{} ({})", what, path));
  }

  void split(const PlanGiven& given) {
    if (given.devices) return;
    if (const auto n = intake_.number("stack.tensor_parallel")) {
      request_.devices = static_cast<int>(*n);
      note(fmt::format("{} device{}", request_.devices, request_.devices == 1 ? "" : "s"),
           "stack.tensor_parallel");
    }
    if (given.pipeline) return;
    if (const auto n = intake_.number("stack.pipeline_parallel")) {
      request_.pipeline = static_cast<int>(*n);
      note(fmt::format("{} groups of layers", request_.pipeline), "stack.pipeline_parallel");
    }
  }

  void limits(const PlanGiven& given) {
    const auto take = [this](bool is_given, const char* path, const char* what, int32_t& out) {
      const auto n = intake_.number(path);
      if (is_given || !n) return;
      out = static_cast<int32_t>(*n);
      note(fmt::format("{} {}", out, what), path);
    };
    take(given.max_running, "stack.max_running", "requests at once", request_.max_running);
    take(given.step_tokens, "stack.max_batched_tokens", "tokens a step", request_.step_tokens);
    if (intake_.flag("stack.prefix_cache") == false) {
      request_.prefix_cache = false;
      note("no prefix cache", "stack.prefix_cache");
    }
    const auto share = intake_.number("stack.memory_utilization");
    if (share && *share > 0) {
      request_.memory_share = *share;
      note(fmt::format("{:g} of the memory", *share), "stack.memory_utilization");
    }
  }

  Status cache(const PlanGiven& given) {
    const auto type = intake_.text("stack.kv_dtype");
    if (given.kv_type || !type) return {};
    for (const auto& [name, planned] : kKvTypes) {
      if (*type != name) continue;
      request_.kv_type = planned;
      WEIR_ASSIGN(request_.kv_element_bytes, kv_element_bytes(planned));
      note(fmt::format("KV cache in {}", planned), "stack.kv_dtype");
    }
    return {};
  }

  void precision(const PlanGiven& given, const PlanSubject& subject) {
    const IntakeValue* name = intake_.find("model.precision");
    const IntakeValue* width = intake_.find("model.bits_per_weight");
    const auto says = [](const IntakeValue* v) {
      return v != nullptr && v->origin != Origin::kInferred;
    };
    if (given.weights || !subject.own_model || !subject.published_model) return;
    if (!says(name) && !says(width)) return;
    const std::string precision =
        says(name) ? intake_.text("model.precision").value_or("") : std::string();
    double bits = says(width) ? intake_.number("model.bits_per_weight").value_or(0) : 0;
    if (bits == 0) bits = precision_bits(precision);
    const ModelShape& shape = request_.shape;
    const bool same = (precision.empty() || precision == shape.precision) &&
                      std::fabs(bits - shape.bits_per_weight) < kSame;
    if (bits <= 0 || same) return;
    set_weight_bits(request_.shape, bits);
    if (!precision.empty()) request_.shape.precision = precision;
    note(fmt::format("weights of {:g} bits", bits),
         says(width) ? "model.bits_per_weight" : "model.precision");
  }

  void memory(const PlanGiven& given) {
    const Accelerator& a = *request_.device;
    if (given.memory || !a.memory_gb) return;
    const bool edge = a.kind == AcceleratorKind::kEdge;
    for (const char* path : {"hardware.memory_gb", "hardware.ram_gb"}) {
      // What shares its memory with the CPU has the machine's.
      if (std::string_view(path) == "hardware.ram_gb" && !edge) return;
      const IntakeValue* v = intake_.find(path);
      if (v == nullptr || v->origin == Origin::kInferred) continue;
      const double gb = intake_.number(path).value_or(0);
      if (gb <= 0 || std::fabs(gb / a.memory_gb->value - 1) < kSame) return;
      request_.own_memory_gb = gb;
      note(fmt::format("{:g} GB of memory", gb), path);
      return;
    }
  }

  void machines() {
    const auto each = intake_.number("hardware.accelerators_per_node");
    const auto nodes = intake_.number("hardware.nodes");
    // A machine that serves on its CPU is one device.
    if (each && nodes) request_.machine_devices = static_cast<int>(std::max(1.0, *each) * *nodes);
  }

 private:
  const Intake& intake_;
  PlanRequest& request_;
};

}  // namespace

Status take_from_intake(const Intake& intake, const PlanGiven& given, const PlanSubject& subject,
                        PlanRequest& request) {
  Taker taker(intake, request);
  taker.split(given);
  taker.limits(given);
  WEIR_TRY(taker.cache(given));
  taker.precision(given, subject);
  if (subject.own_accelerator) {
    taker.memory(given);
    taker.machines();
  }
  request.engine = intake.text("stack.engine").value_or("");
  return {};
}

}  // namespace weir::ops
