#include "cli/quantize_mixed.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/load.h"
#include "cli/quantize_report.h"
#include "cli/terminal.h"
#include "engine/model_identity.h"
#include "model/config.h"
#include "ops/eval/fingerprint.h"
#include "os/signals.h"
#include "text/tokenizer.h"

namespace weir::cli {
namespace {

constexpr uint64_t kMaxTextBytes = uint64_t{1} << 30;
// Of the text, for each tensor. All tensors are compared on the same positions.
constexpr int32_t kContextTokens = 512;
constexpr int32_t kChunks = 1;

Result<ops::KlBaseHeader> header_of(const MixedFlags& flags, const gguf::File& file) {
  WEIR_ASSIGN(const std::string text, read_input(flags.data, kMaxTextBytes));
  WEIR_ASSIGN(const auto tokenizer, text::Tokenizer::load(file));
  ops::KlBaseHeader h;
  h.tokens = tokenizer->encode(text, {.add_bos_eos = true, .parse_special = false});
  WEIR_ASSIGN(const model::Config config, model::read_config(file));
  h.context_tokens = std::min(kContextTokens, config.context_tokens);
  const auto wanted = static_cast<size_t>(h.context_tokens) * kChunks;
  if (h.tokens.size() < wanted) {
    return make_error(ErrorCode::kInvalidValue, "--data has {} tokens; sensitivities take {}",
                      h.tokens.size(), wanted);
  }
  h.tokens.resize(wanted);
  h.chunks = kChunks;
  h.bos = tokenizer->adds_bos() ? tokenizer->bos().value_or(-1) : -1;
  h.text = ops::text_hash(text);
  h.vocabulary = ops::vocabulary_hash(*tokenizer);
  return h;
}

Result<ops::Sensitivity> measure(const MixedFlags& flags, const gguf::File& file,
                                 const ops::QuantizePlan& plan,
                                 const ops::ImportanceMatrix* importance,
                                 const ops::KlBaseHeader& header,
                                 std::optional<ops::Sensitivity> before,
                                 kernels::ThreadPool& pool) {
  WEIR_ASSIGN(const kernels::Isa isa, chosen_isa());
  std::vector<const gguf::Tensor*> tensors;
  for (const ops::PlannedTensor& p : plan.tensors) {
    if (p.quantizable) tensors.push_back(p.source);
  }
  const SystemClock clock;
  ProgressBar bar("sensitivity", tensors.size(), clock);
  ops::SensitivityKeeping keeping;
  keeping.before = std::move(before);
  std::optional<os::LastWords> words;
  if (!flags.sensitivity.empty()) {
    keeping.keep = [&](const ops::Sensitivity& s) {
      return ops::write_sensitivity(s, flags.sensitivity);
    };
    words.emplace(last_words("what is measured", flags.sensitivity));
  }
  return ops::measure_sensitivity(
      file, tensors, header, importance, isa, pool,
      [&](size_t done, size_t, std::string_view name) { bar.update(done, std::string(name)); },
      keeping);
}

bool has_all(const ops::Sensitivity& s, const ops::QuantizePlan& plan) {
  return std::all_of(plan.tensors.begin(), plan.tensors.end(), [&](const ops::PlannedTensor& p) {
    return !p.quantizable || s.kl.contains(p.source->name);
  });
}

// What was measured before, held against the text and the matrix that are given with it.
Status check_given(const ops::Sensitivity& before, const std::optional<ops::KlBaseHeader>& header,
                   const ops::ImportanceMatrix* importance) {
  ops::Sensitivity now = before;
  if (importance != nullptr) now.importance = ops::hex(importance->hash);
  if (header) {
    now.text = ops::hex(header->text);
    now.context_tokens = header->context_tokens;
    now.chunks = header->chunks;
  }
  return ops::check_sensitivity(before, now);
}

// From the file where it is there; what it lacks is measured, and kept tensor by tensor.
Result<ops::Sensitivity> sensitivity_of(const MixedFlags& flags, const gguf::File& file,
                                        const ops::QuantizePlan& plan,
                                        const ops::ImportanceMatrix* importance,
                                        kernels::ThreadPool& pool) {
  std::error_code ec;
  std::optional<ops::KlBaseHeader> header;
  if (!flags.data.empty()) {
    WEIR_ASSIGN(header, header_of(flags, file));
  }
  std::optional<ops::Sensitivity> before;
  if (!flags.sensitivity.empty() && std::filesystem::exists(flags.sensitivity, ec)) {
    WEIR_ASSIGN(ops::Sensitivity s, ops::read_sensitivity(flags.sensitivity));
    const std::string model = ops::hex(engine::model_identity(file));
    if (s.model != model) {
      return make_error(ErrorCode::kInvalidValue,
                        "{} is of another model ({}; this one is {}), or an older weir wrote it; "
                        "remove it, or name another file with --sensitivity",
                        flags.sensitivity, s.model, model);
    }
    const Status same = check_given(s, header, importance);
    if (!same.ok()) return same.error().with_context(flags.sensitivity);
    // What a run that was cut short lacks takes its text; without it the plan names a tensor.
    if (has_all(s, plan) || !header) return s;
    before = std::move(s);
  }
  if (!header) {
    return make_error(ErrorCode::kUsage,
                      "--target-bpw and --max-kl measure how much each tensor matters: give a text "
                      "with --data, or what was measured before with --sensitivity");
  }
  const bool goes_on = before.has_value();
  auto s = measure(flags, file, plan, importance, *header, std::move(before), pool);
  if (!s.ok() && goes_on) return s.error().with_context(flags.sensitivity);
  return s;
}

}  // namespace

void add_mixed_options(CLI::App* command, MixedFlags& flags) {
  auto* bpw = command
                  ->add_option("--target-bpw", flags.target_bpw,
                               "instead of --type: the types with the least loss in a file of so "
                               "many bits per weight")
                  ->check(CLI::Range(1.0, 32.0));
  command
      ->add_option(
          "--max-kl", flags.max_kl,
          "instead of --type: the smallest file whose predicted KL divergence, in nats, is "
          "at most this")
      ->check(CLI::Range(1e-6, 100.0))
      ->excludes(bpw);
  command->add_option("--data", flags.data, "text that the tensors' sensitivities are measured on");
  command->add_option(
      "--sensitivity", flags.sensitivity,
      "where measured sensitivities are kept, tensor by tensor: read if it is there; a run "
      "that was killed goes on with --data");
  command
      ->add_option("--types", flags.types, "types to choose from (default: all with a fast kernel)")
      ->delimiter(',');
}

Result<ops::MixedPlan> choose_mixed(const MixedFlags& flags, const gguf::File& file,
                                    const ops::QuantizePlan& plan,
                                    const ops::Calibration& calibration, kernels::ThreadPool& pool,
                                    ops::MixOptions& options) {
  ops::MixedOptions o;
  if (flags.target_bpw > 0) o.bits_per_weight = flags.target_bpw;
  if (flags.max_kl > 0) o.most_kl = flags.max_kl;
  for (const std::string& name : flags.types) {
    WEIR_ASSIGN(const gguf::TensorType type, parse_type(name, "--types"));
    o.types.push_back(type);
  }
  WEIR_ASSIGN(const ops::Sensitivity sensitivity,
              sensitivity_of(flags, file, plan, calibration.importance, pool));
  const SystemClock clock;
  ProgressBar bar("choosing types", plan.tensors.size(), clock);
  WEIR_ASSIGN(ops::MixedPlan mixed,
              ops::plan_mixed(plan, sensitivity, calibration, o, pool,
                              [&](size_t done, size_t) { bar.update(done, ""); }));
  for (const ops::MixedChoice& c : mixed.choices)
    options.exact[c.tensor->name] = c.options[c.chosen].type;
  return mixed;
}

void print_mixed(const ops::MixedPlan& mixed) {
  fmt::print("predicted KL {:.5f} (a hypothesis: losses of single tensors, added up)\n",
             mixed.predicted_kl);
  fmt::print("  {:<36} {:>8} {:>12} {:>12}\n", "tensor", "type", "sensitivity", "loss");
  for (const ops::MixedChoice& c : mixed.choices) {
    const ops::TypeOption& o = c.options[c.chosen];
    fmt::print("  {:<36} {:>8} {:>12.6f} {:>12.6f}\n", c.tensor->name, gguf::type_name(o.type),
               c.sensitivity, o.loss);
  }
}

text::Json mixed_json(const ops::MixedPlan& mixed) {
  text::Json j = text::Json::object();
  j.set("predicted_kl", mixed.predicted_kl);
  text::Json tensors = text::Json::array();
  for (const ops::MixedChoice& c : mixed.choices) {
    text::Json row = text::Json::object();
    row.set("name", c.tensor->name);
    row.set("type", gguf::type_name(c.options[c.chosen].type));
    row.set("sensitivity", c.sensitivity);
    row.set("loss", c.options[c.chosen].loss);
    tensors.push_back(std::move(row));
  }
  j.set("tensors", std::move(tensors));
  return j;
}

}  // namespace weir::cli
