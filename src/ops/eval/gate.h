// What a candidate must keep to be let through: gate.yaml.
//
//   confidence: 0.95      # of intervals; 0.5 to 0.9999
//   power: 0.8            # chance to show that a candidate as good as the base is within a margin
//   correction: holm      # of failing over several rules: holm or none
//   resamples: 10000
//   seed: 1
//   rules:
//     - task: hellaswag   # a task of the results
//       metric: acc_norm  # default: the task's
//       margin: 0.01      # the largest loss that is tolerated, in the metric's unit
//       better: higher    # or lower; needed where metric is not the task's own
//       min_items: 8      # fewer are inconclusive
//
// Without a file: one rule for each task with the margins of default_gate(). Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ops/eval/result.h"

namespace weir::ops {

struct GateRule {
  std::string task;
  std::string metric;                    // empty: the task's
  double margin = 0;                     // above 0
  std::optional<bool> higher_is_better;  // unset: the task's
  int64_t min_items = 8;
  int line = 0;  // of the file; 0: none
};

struct Gate {
  std::string name;  // of the file, for messages; empty: the default
  double confidence = 0.95;
  double power = 0.8;
  bool holm = true;
  int32_t resamples = 10'000;
  uint64_t seed = 1;
  std::vector<GateRule> rules;
};

// Error kCorrupt: "gate.yaml:7: unknown key \"margn\"; the nearest is \"margin\"", or what a value
// must be; those of config::parse_yaml.
Result<Gate> parse_gate(std::string_view text, std::string_view name);
// Also the errors of os::read_file.
Result<Gate> read_gate(const std::string& path);

// A rule for each task: 0.02 nats of KL divergence or of loss, 0.01 of anything else (a point of
// accuracy).
Gate default_gate(const EvalRun& base);

}  // namespace weir::ops
