#include "ops/lint/hardware.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "config/key.h"
#include "ops/data/accelerators.h"
#include "ops/data/models.h"
#include "ops/engines/engine_facts.h"

namespace weir::ops {
namespace {

constexpr double kGb = 1e9;
constexpr double kReserveBytes = 2 * kGb;  // activations and graphs: a hypothesis

constexpr double kUnquantizedBits = 16;

// Of all weights together.
struct Weights {
  double bytes = 0;
  std::string words;  // "70.6 billion at 4.16 bits, awq"
};

// nullopt: the quantization's name does not say.
std::optional<Weights> weights_of(const ModelShape& m, double asked_bits, const FactSet& facts) {
  const Fact* name = facts.find("quantization");
  const double all = m.parameters();
  double bits = asked_bits > 0 ? asked_bits : m.bits_per_weight;
  double rest = 0;  // parameters that keep 16 bits
  std::string why = asked_bits > 0 ? ", as given" : "";
  if (asked_bits <= 0 && m.bits_per_weight >= kUnquantizedBits && name != nullptr) {
    const QuantizationName* q =
        engine_facts().find_quantization(facts.find("engine")->text, name->text);
    if (q == nullptr || q->bits <= 0) return std::nullopt;
    bits = q->bits;
    why = ", " + name->text;
    if (q->experts_only) {
      rest = all - m.expert_parameters();
      why += " for experts";
    }
  }
  Weights w;
  w.bytes = ((all - rest) * bits + rest * kUnquantizedBits) / 8;
  w.words = fmt::format("{:.1f} billion at {:.3g} bits{}", all / kGb, 8 * w.bytes / all, why);
  return w;
}

double kv_element_bytes(const FactSet& facts) {
  const Fact* f = facts.find("kv_dtype");
  if (f == nullptr) return 2;
  if (f->text == "fp8" || f->text == "int8") return 1;
  if (f->text == "fp4" || f->text == "int4") return 0.5625;  // with scales of blocks of 16 to 32
  return f->text == "f32" ? 4 : 2;
}

// The longest request; the model's context where it is not said.
double wanted_tokens(const ModelShape& m, const FactSet& facts) {
  const double wanted = facts.number("max_model_len").value_or(0);
  if (wanted > 0) return wanted;
  return m.context_tokens > 0 ? static_cast<double>(m.context_tokens) : 1e6;
}

struct Fit {
  double weights = 0;  // bytes of one device
  double left = 0;     // for the KV cache of one device
  double token = 0;    // KV bytes of a token in one device
  std::string words;   // how `left` came about
};

Fit fit_of(const ModelShape& m, const Weights& all, const LintDevice& d, const FactSet& facts) {
  const double tp = facts.number("tensor_parallel").value_or(1);
  const double pp = facts.number("pipeline_parallel").value_or(1);
  Fit f;
  const double devices = tp * pp;
  f.weights = all.bytes / devices;
  // In sequences as long as they may be: windows and states do not grow with them.
  const double length = wanted_tokens(m, facts);
  const double whole = m.kv_bytes(length, kv_element_bytes(facts)) / length;
  const double split = m.kv_rank > 0 ? 1 : std::min(tp, static_cast<double>(m.kv_heads));
  f.token = whole / std::max(1.0, split) / pp;
  const std::string engine = facts.find("engine")->text;
  // One process takes all devices that it sees.
  if (engine == "llama.cpp") {
    const double seen = facts.number("container.devices").value_or(0);
    const double count = seen > 0 ? seen : facts.number("device.count").value_or(1);
    f.weights = all.bytes;
    f.token = whole;
    f.left = d.memory_bytes * count - f.weights - kReserveBytes;
    f.words = fmt::format(
        "{:.0f} devices x {:.0f} GB - {:.1f} GB of weights ({}) - {:.0f} GB assumed for "
        "activations = {:.1f} GB for KV",
        count, d.memory_bytes / kGb, f.weights / kGb, all.words, kReserveBytes / kGb, f.left / kGb);
    return f;
  }
  const std::string weights = fmt::format("{:.1f} GB of weights ({} over {:.0f} devices)",
                                          f.weights / kGb, all.words, devices);
  const auto share = facts.number("memory_utilization");
  if (engine == "tensorrt-llm") {
    const double fraction = share.value_or(0.9);
    f.left = (d.memory_bytes - f.weights) * fraction;
    f.words = fmt::format("({:.0f} GB - {}) x {:.2f}", d.memory_bytes / kGb, weights, fraction);
  } else {
    const double used = share.value_or(0.9);
    f.left = d.memory_bytes * used - f.weights - kReserveBytes;
    f.words = fmt::format("{:.0f} GB x {:.2f}{} - {} - {:.0f} GB assumed for activations",
                          d.memory_bytes / kGb, used, share ? "" : " (assumed)", weights,
                          kReserveBytes / kGb);
  }
  f.words += fmt::format(" = {:.1f} GB a device for KV", f.left / kGb);
  return f;
}

void add_fit(const ModelShape& m, double weight_bits, const LintDevice& d, FactSet& facts) {
  const auto weights = weights_of(m, weight_bits, facts);
  if (!weights) {
    const Fact* name = facts.find("quantization");
    facts.set("weights.unsaid_by", name->text, name->line, name->given);
    return;
  }
  const Fit f = fit_of(m, *weights, d, facts);
  facts.set_number("kv.device_bytes", f.left);
  std::string words = f.words;
  if (f.left > 0 && f.token > 0) {
    const double tokens = std::floor(f.left / f.token);
    words += fmt::format(", at {:.1f} KiB a token {:.0f} tokens", f.token / 1024, tokens);
    facts.set_number("kv.tokens", tokens);
    auto wanted = facts.number("max_model_len");
    if (!wanted || *wanted <= 0) wanted = static_cast<double>(m.context_tokens);
    if (*wanted > 0) {
      facts.set_number("kv.wanted_tokens", *wanted);
      facts.set_number("kv.sequences", std::floor(tokens / *wanted));
    }
  }
  facts.set("kv.arithmetic", words);
}

}  // namespace

Result<LintDevice> lint_device(std::string_view id) {
  WEIR_ASSIGN(const Accelerators known, load_accelerators());
  const Accelerator* a = known.find(id);
  if (a == nullptr) {
    std::vector<std::string> ids;
    for (const Accelerator& other : known.all) ids.push_back(other.id);
    return make_error(ErrorCode::kUsage, "{}: no accelerator that is known; the nearest is {}", id,
                      config::nearest(id, ids));
  }
  if (!a->memory_gb) {
    return make_error(ErrorCode::kUnsupported,
                      "{}: has no memory of its own; --accelerator is for devices with memory", id);
  }
  LintDevice d;
  d.id = a->id;
  d.name = a->name;
  d.memory_bytes = a->memory_gb->value * kGb;
  if (a->interconnect) {
    d.link = a->interconnect->kind;
    d.domain = static_cast<int64_t>(a->interconnect->domain.value);
  }
  return d;
}

Result<ModelShape> catalog_shape(std::string_view id) {
  WEIR_ASSIGN(const std::vector<KnownModel> known, built_in_models());
  std::vector<std::string> ids;
  for (const KnownModel& m : known) {
    if (m.id == id || m.name == id) return shape_of(m);
    ids.push_back(m.id);
  }
  return make_error(ErrorCode::kUsage, "{}: no file, and no model that is known; the nearest is {}",
                    id, config::nearest(id, ids));
}

void add_hardware(const LintHardware& h, FactSet& facts) {
  if (h.model) {
    facts.set_number("model.heads", static_cast<double>(h.model->heads));
    if (h.model->kv_rank == 0)  // a latent is not split by heads
      facts.set_number("model.kv_heads", static_cast<double>(h.model->kv_heads));
    if (h.model->context_tokens > 0)
      facts.set_number("model.context_tokens", static_cast<double>(h.model->context_tokens));
    // Without a context given the engine takes the model's.
    const Fact* length = facts.find("max_model_len");
    const bool automatic = length == nullptr || (length->number && *length->number <= 0);
    if (automatic && h.model->context_tokens > 0 && !facts.is("engine", "llama.cpp"))
      facts.set_number("max_model_len", static_cast<double>(h.model->context_tokens));
  }
  if (h.device) {
    facts.set("device.name", h.device->name);
    facts.set("device.link", h.device->link.empty() ? "pcie" : "fast");
    facts.set("device.link_name", h.device->link.empty() ? "PCIe" : h.device->link);
    if (h.device->domain > 1)
      facts.set_number("device.domain", static_cast<double>(h.device->domain));
  }
  if (h.count > 0) facts.set_number("device.count", static_cast<double>(h.count));
  if (h.model && h.device && h.model->parameters() > 0)
    add_fit(*h.model, h.weight_bits, *h.device, facts);
}

}  // namespace weir::ops
