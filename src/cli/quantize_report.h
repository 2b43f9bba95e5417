// weir quantize to GGUF: what is said of a plan, or of the file that was written.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cli/quantize_options.h"
#include "cli/quantize_predict.h"
#include "ops/quantize/channel_scales.h"
#include "ops/quantize/mixed.h"
#include "ops/quantize/quantize.h"
#include "ops/quantize/rotate_model.h"

namespace weir::cli {

struct QuantizeReport {
  struct TypeTotals {
    size_t tensors = 0;
    uint64_t bytes = 0;
  };

  // Borrowed.
  const QuantizeOptions& options;
  const ops::QuantizePlan& plan;
  const ops::MixedPlan* mixed = nullptr;  // where types were chosen tensor by tensor
  std::map<std::string, TypeTotals> types = {};
  std::vector<std::string> warnings = {};
  std::vector<std::string> files = {};
  std::optional<PredictedSpeed> predicted = std::nullopt;   // of a dry run
  std::optional<ops::ChannelScales> scales = std::nullopt;  // of AWQ
  const ops::RotatedModel* rotated = nullptr;
  size_t taken_over = 0;  // tensors of an unfinished run
  double seconds = 0;
};

// Sums and warnings of a plan, which is borrowed, as the options are.
QuantizeReport report_of(const QuantizeOptions& options, const ops::QuantizePlan& plan,
                         const ops::Calibration& calibration, const ops::MixedPlan* mixed);

// What a signal that ends a run lets it say: "what is written stays in PLACE: ...".
std::string last_words(std::string_view what, const std::string& place);

// On stdout: one JSON document, with a dry run's tensors; or text.
void print_json(const QuantizeReport& report);
void print_text(const QuantizeReport& report);

}  // namespace weir::cli
