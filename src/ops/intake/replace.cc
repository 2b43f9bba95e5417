#include "ops/intake/replace.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace weir::ops {
namespace {

// Whether a value was read from `source`: its evidence begins with that name.
bool from(const IntakeValue& v, std::string_view source) {
  if (v.origin == Origin::kGiven || !v.evidence.starts_with(source)) return false;
  return v.evidence.size() == source.size() ||
         std::string_view(":,").find(v.evidence[source.size()]) != std::string_view::npos;
}

// What a configuration leaves to its engine's defaults is known by the configuration alone.
bool is_default(std::string_view path, const IntakeValue& v) {
  return path.starts_with("stack.") && v.origin == Origin::kInferred &&
         (v.evidence.starts_with("default of ") || v.evidence.starts_with("what "));
}

bool observed(const Intake& intake) {
  return std::any_of(intake.values().begin(), intake.values().end(), [](const auto& value) {
    return value.first.starts_with("observed.") && value.second.origin == Origin::kMeasured;
  });
}

}  // namespace

void forget_replaced(Intake& known, const Intake& found) {
  std::vector<std::string> gone;
  const bool server = observed(found);
  for (const auto& [path, value] : known.values()) {
    bool replaced = server && path.starts_with("observed.") && value.origin != Origin::kGiven;
    for (const char* names : {"traffic.trace", "stack.config", "model.source"}) {
      const auto before = known.text(names);
      if (!before || before->empty() || !found.find(names)) continue;
      replaced = replaced || from(value, *before) ||
                 (std::string_view(names) == "stack.config" && is_default(path, value));
    }
    if (replaced) gone.push_back(path);
  }
  for (const std::string& path : gone) known.erase(path);
}

}  // namespace weir::ops
