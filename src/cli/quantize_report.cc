#include "cli/quantize_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/terminal.h"
#include "text/json.h"

namespace weir::cli {
namespace {

using text::Json;

void add(QuantizeReport& r, size_t count, std::string text) {
  if (count > 0) r.warnings.push_back(fmt::format("{} {}", count, text));
}

void warn_of_types(QuantizeReport& r) {
  const auto fallbacks =
      std::count_if(r.plan.tensors.begin(), r.plan.tensors.end(),
                    [](const ops::PlannedTensor& p) { return p.wanted.has_value(); });
  add(r, r.plan.requantized,
      "tensors of the source are quantized already; what that cost stays, so quantize the original "
      "where you can (weir.quantize.requantized in the file says so)");
  if (fallbacks > 0) {
    r.warnings.push_back(fmt::format(
        "rows of {} tensors are no multiple of the type's blocks; they get a type that fits "
        "(--dry-run --json lists them)",
        fallbacks));
  }
}

void warn_of_importance(QuantizeReport& r, const ops::ImportanceMatrix& importance) {
  const auto without =
      std::count_if(r.plan.tensors.begin(), r.plan.tensors.end(), [](const ops::PlannedTensor& p) {
        return !p.copied && !p.important && p.source->rows() > 1;
      });
  if (without > 0) {
    r.warnings.push_back(fmt::format(
        "the importance matrix has nothing of {} tensors; their columns count alike", without));
  }
  size_t unseen = 0;
  for (const ops::ImportanceEntry& e : importance.entries) unseen += e.unseen();
  add(r, unseen, "experts never met a token of the calibration text; their columns count alike");
}

void warn_of_moments(QuantizeReport& r) {
  const auto plain =
      std::count_if(r.plan.tensors.begin(), r.plan.tensors.end(), [](const ops::PlannedTensor& p) {
        return !p.copied && !p.compensated && p.source->rows() > 1;
      });
  add(r, static_cast<size_t>(plain),
      "tensors have no second moments, or a type whose codes stand for several values; GPTQ leaves "
      "them to the search");
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
  if (calibration.importance != nullptr) warn_of_importance(r, *calibration.importance);
  if (calibration.moments != nullptr && calibration.compensate) warn_of_moments(r);
  return r;
}

void print_json(const QuantizeReport& r) {
  Json root = Json::object();
  root.set("out", r.options.out);
  root.set("type", std::string(r.plan.mix.name));
  root.set("method", r.options.method);
  root.set("dry_run", r.options.dry_run);
  root.set("source_bytes", static_cast<int64_t>(r.plan.source_bytes));
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
             format_bytes(r.plan.source_bytes), format_bytes(r.plan.bytes),
             r.plan.bits_per_weight());
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
