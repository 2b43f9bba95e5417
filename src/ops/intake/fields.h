// What is known of a deployment, as data: one IntakeField per fact, in the six groups that advice
// needs (model, traffic, slo, stack, hardware, constraints) and in `observed`, which only a running
// server fills. Flags, files, questions and the conditions of decision trees name the same paths.
#pragma once

#include <span>
#include <string_view>

#include "config/key.h"

namespace weir::ops {

struct IntakeField {
  config::Key key;            // path "traffic.requests_per_s"; type, range, unit, choices, help
  bool required = false;      // advice is refused without it
  std::string_view question;  // what a person is asked; of `observed`: how to measure it
};

struct IntakeGroup {
  std::string_view name;   // "slo"
  std::string_view title;  // "SLOs and budgets"
};

// In the order in which they are asked and written. Any thread.
std::span<const IntakeGroup> intake_groups();
std::span<const IntakeField> intake_fields();
// nullptr when there is none.
const IntakeField* find_intake_field(std::string_view path);
// The field whose path is nearest to `path`.
std::string_view nearest_intake_field(std::string_view path);

}  // namespace weir::ops
