#include "cli/quantize_report.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "cli/terminal.h"
#include "text/json.h"

namespace weir::cli {
namespace {

using text::Json;

void add(QuantizeReport& r, size_t count, std::string text) {
  if (count > 0) r.warnings.push_back(fmt::format("{} {}", count, text));
}

bool is_float(gguf::TensorType type) { return gguf::type_info(type)->block_elements == 1; }

// weir imatrix and llama-imatrix leave them out.
bool is_embedding_or_output(const std::string& name) {
  return name == "token_embd.weight" || name == "output.weight";
}

using PlannedTensors = std::vector<const ops::PlannedTensor*>;

template <typename Test>
PlannedTensors tensors_that(const QuantizeReport& r, const Test& test) {
  PlannedTensors found;
  for (const ops::PlannedTensor& p : r.plan.tensors) {
    if (test(p)) found.push_back(&p);
  }
  return found;
}

// "a, b, c and 4 more".
std::string names(const PlannedTensors& tensors) {
  constexpr size_t kMost = 3;
  std::string text;
  for (size_t i = 0; i < std::min(kMost, tensors.size()); ++i)
    text += (i == 0 ? "" : ", ") + tensors[i]->source->name;
  if (tensors.size() > kMost) text += fmt::format(" and {} more", tensors.size() - kMost);
  return text;
}

void warn_of_fallbacks(QuantizeReport& r) {
  const PlannedTensors fallbacks =
      tensors_that(r, [](const ops::PlannedTensor& p) { return p.wanted.has_value(); });
  if (fallbacks.empty()) return;
  const ops::PlannedTensor& first = *fallbacks.front();
  const std::string more =
      fallbacks.size() == 1
          ? ""
          : fmt::format(", and {} more get another type for that reason", fallbacks.size() - 1);
  r.warnings.push_back(fmt::format(
      "{} gets {} in place of {}, whose blocks of {} its rows of {} are no multiple of{} "
      "(--dry-run --json lists the types)",
      first.source->name, gguf::type_name(first.type), gguf::type_name(*first.wanted),
      gguf::type_info(*first.wanted)->block_elements, first.source->shape[0], more));
}

void warn_of_types(QuantizeReport& r) {
  add(r, r.plan.requantized,
      "tensors of the source are quantized already; what that cost stays, so quantize the original "
      "where you can (weir.quantize.requantized in the file says so)");
  warn_of_fallbacks(r);
  const size_t already =
      tensors_that(r, [](const ops::PlannedTensor& p) { return p.copied && p.already; }).size();
  const bool calibrated = !r.options.imatrix.empty() || !r.options.moments.empty();
  add(r, already,
      fmt::format("tensors are of the wanted type already and were copied as they are{}",
                  !calibrated                 ? ""
                  : r.options.imatrix.empty() ? "; --moments did not touch them"
                                              : "; --imatrix did not touch them"));
}

void warn_of_importance(QuantizeReport& r, const ops::Calibration& calibration) {
  if (ops::used_calibration(r.plan, calibration).importance == nullptr) {
    r.warnings.emplace_back(
        "no tensor was encoded with importance: --imatrix changed nothing, and the file does not "
        "name it (floats are rounded to the nearest)");
    return;
  }
  const PlannedTensors without = tensors_that(r, [](const ops::PlannedTensor& p) {
    return !p.copied && !p.important && !is_float(p.type) && p.source->rows() > 1 &&
           !is_embedding_or_output(p.source->name);
  });
  if (!without.empty()) {
    r.warnings.push_back(fmt::format(
        "the importance matrix has nothing of {} tensors, whose columns count alike: {}",
        without.size(), names(without)));
  }
  size_t unseen = 0;
  for (const ops::ImportanceEntry& e : calibration.importance->entries) unseen += e.unseen();
  add(r, unseen, "experts never met a token of the calibration text; their columns count alike");
}

void warn_of_moments(QuantizeReport& r) {
  const PlannedTensors plain = tensors_that(r, [](const ops::PlannedTensor& p) {
    return !p.copied && !p.compensated && !is_float(p.type) && p.source->rows() > 1 &&
           !is_embedding_or_output(p.source->name);
  });
  if (plain.empty()) return;
  r.warnings.push_back(
      fmt::format("{} tensors have no second moments, or a type whose codes stand for several "
                  "values; GPTQ leaves them to the search: {}",
                  plain.size(), names(plain)));
}

Json tensor_json(const ops::PlannedTensor& p) {
  Json j = Json::object();
  j.set("name", p.source->name);
  j.set("from", gguf::type_name(p.source->type));
  j.set("type", gguf::type_name(p.type));
  if (p.wanted) j.set("wanted", gguf::type_name(*p.wanted));
  j.set("bytes", static_cast<int64_t>(p.bytes));
  j.set("importance", p.important);
  j.set("gptq", p.compensated);
  return j;
}

Json types_json(const QuantizeReport& r) {
  Json types = Json::object();
  for (const auto& [name, sum] : r.types) {
    Json row = Json::object();
    row.set("tensors", static_cast<int64_t>(sum.tensors));
    row.set("bytes", static_cast<int64_t>(sum.bytes));
    types.set(name, std::move(row));
  }
  return types;
}

// Of outputs, before the codes are chosen.
double error_left(const ops::ChannelScales& s) {
  return s.error_before > 0 ? s.error_after / s.error_before : 1;
}

// Of the output matrix where rotating made two of one.
uint64_t untied_bytes(const QuantizeReport& r) {
  return r.rotated->file ? r.plan.tensors.back().bytes : 0;
}

// The embedding that became two matrices stands in the source once.
uint64_t source_bytes(const QuantizeReport& r) {
  const bool twice = r.rotated != nullptr && r.rotated->file;
  return r.plan.source_bytes - (twice ? r.plan.tensors.back().source->data.size() : 0);
}

Json rotation_json(const QuantizeReport& r) {
  Json rotations = Json::array();
  for (const std::string& name : r.options.rotations) rotations.push_back(name);
  Json j = Json::object();
  j.set("rotations", std::move(rotations));
  j.set("transform_type", transform_type(r.options));
  j.set("head_layers", static_cast<int64_t>(r.rotated->head_layers));
  j.set("untied_output_bytes", static_cast<int64_t>(untied_bytes(r)));
  return j;
}

void print_rotation(const QuantizeReport& r) {
  fmt::print("  rotated by {}: the residual stream, and the values of heads in {} layers\n",
             transform_type(r.options), r.rotated->head_layers);
  if (r.rotated->file) {
    fmt::print("  embedding and output were one matrix and are two now: {} for the output\n",
               format_bytes(untied_bytes(r)));
  }
}

Json scales_json(const ops::ChannelScales& s) {
  Json j = Json::object();
  j.set("places", static_cast<int64_t>(s.places));
  j.set("unmeasured", static_cast<int64_t>(s.unmeasured));
  j.set("error_left", error_left(s));
  return j;
}

}  // namespace

QuantizeReport report_of(const QuantizeOptions& options, const ops::QuantizePlan& plan,
                         const ops::Calibration& calibration, const ops::MixedPlan* mixed) {
  QuantizeReport r{options, plan, mixed};
  for (const ops::PlannedTensor& p : plan.tensors) {
    QuantizeReport::TypeTotals& sum = r.types[gguf::type_name(p.type)];
    ++sum.tensors;
    sum.bytes += p.bytes;
  }
  warn_of_types(r);
  if (calibration.importance != nullptr) warn_of_importance(r, calibration);
  if (calibration.moments != nullptr && calibration.compensate) warn_of_moments(r);
  return r;
}

std::string last_words(std::string_view what, const std::string& place) {
  // Below the progress bar.
  return fmt::format("{}weir: {} stays in {}: give the same command to go on\n",
                     ::isatty(STDERR_FILENO) == 1 ? "\n" : "", what, place);
}

void print_json(const QuantizeReport& r) {
  Json root = Json::object();
  root.set("out", r.options.out);
  root.set("type", std::string(r.plan.mix.name));
  root.set("method", r.options.method);
  root.set("dry_run", r.options.dry_run);
  root.set("source_bytes", static_cast<int64_t>(source_bytes(r)));
  root.set("bytes", static_cast<int64_t>(r.plan.bytes));
  root.set("weights", static_cast<int64_t>(r.plan.weights));
  root.set("bits_per_weight", r.plan.bits_per_weight());
  root.set("requantized", static_cast<int64_t>(r.plan.requantized));
  root.set("seconds", r.seconds);
  Json files = Json::array();
  for (const std::string& file : r.files) files.push_back(file);
  root.set("files", std::move(files));
  root.set("tensors_taken_over", static_cast<int64_t>(r.taken_over));
  root.set("types", types_json(r));
  if (r.mixed != nullptr) root.set("mixed", mixed_json(*r.mixed));
  if (r.scales) root.set("scales", scales_json(*r.scales));
  if (r.rotated != nullptr) root.set("rotation", rotation_json(r));
  Json warnings = Json::array();
  for (const std::string& w : r.warnings) warnings.push_back(w);
  root.set("warnings", std::move(warnings));
  if (r.predicted) root.set("predicted", speed_json(*r.predicted));
  if (r.options.dry_run) {
    Json tensors = Json::array();
    for (const ops::PlannedTensor& p : r.plan.tensors) tensors.push_back(tensor_json(p));
    root.set("tensors", std::move(tensors));
  }
  fmt::print("{}\n", root.dump());
}

void print_text(const QuantizeReport& r) {
  fmt::print("{}: {}, {} to {} ({:.2f} bits per weight)", r.options.out, r.plan.mix.name,
             format_bytes(source_bytes(r)), format_bytes(r.plan.bytes), r.plan.bits_per_weight());
  if (r.options.dry_run) {
    fmt::print("; nothing was written\n");
  } else {
    fmt::print(", {:.1f} s\n", r.seconds);
  }
  if (r.taken_over > 0)
    fmt::print("  {} tensors were there already, from an unfinished run\n", r.taken_over);
  if (r.options.out != r.files.front()) {
    fmt::print("  {} parts, the first is {}\n", r.files.size(), r.files.front());
  }
  for (const auto& [name, sum] : r.types)
    fmt::print("  {:<8} {:>5} tensors {:>12}\n", name, sum.tensors, format_bytes(sum.bytes));
  if (r.rotated != nullptr) print_rotation(r);
  if (r.scales) {
    fmt::print("  scales folded in {} places, which leaves {:.3f} of their rounding error\n",
               r.scales->places, error_left(*r.scales));
  }
  if (r.mixed != nullptr) print_mixed(*r.mixed);
  if (r.predicted) print_speed(*r.predicted);
}

}  // namespace weir::cli
