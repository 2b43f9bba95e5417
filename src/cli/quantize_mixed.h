// weir quantize --target-bpw and --max-kl: types chosen tensor by tensor.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "gguf/file.h"
#include "ops/quantize/mixed.h"
#include "text/json.h"

namespace weir::cli {

struct MixedFlags {
  double target_bpw = 0;
  double max_kl = 0;
  std::string data;         // text that sensitivities are measured on
  std::string sensitivity;  // where they are kept
  std::vector<std::string> types;

  bool wanted() const { return target_bpw > 0 || max_kl > 0; }
};

void add_mixed_options(CLI::App* command, MixedFlags& flags);

// Reads the sensitivities, or measures and keeps them; then chooses, and sets options.exact. `plan`
// says which tensors are to be quantized. Errors: kUsage for flags that do not go together; those
// of ops::measure_sensitivity and ops::plan_mixed.
Result<ops::MixedPlan> choose_mixed(const MixedFlags& flags, const gguf::File& file,
                                    const ops::QuantizePlan& plan,
                                    const ops::Calibration& calibration, kernels::ThreadPool& pool,
                                    ops::MixOptions& options);

// The table of choices.
void print_mixed(const ops::MixedPlan& mixed);
text::Json mixed_json(const ops::MixedPlan& mixed);

}  // namespace weir::cli
