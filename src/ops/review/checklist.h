// The review checklist as data: src/ops/review/checklist.yaml. Immutable; any thread.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::ops {

struct ChecklistItem {
  std::string id, title, why, evidence, remedy;
  std::string source;             // an id of skill/data/sources.json
  std::vector<std::string> envs;  // where it is asked
  std::map<std::string, double, std::less<>> numbers;
  std::vector<std::string> rules;  // of data/config_rules.yaml that must find nothing

  bool asked_in(std::string_view env) const;
  // Precondition: the item has it; a test holds that the built-in ones do.
  double number(std::string_view name) const;
};

struct Checklist {
  int max_age_days = 0;  // of evidence
  int waiver_days = 0;   // how long a waiver may last
  std::vector<ChecklistItem> items;

  const ChecklistItem* find(std::string_view id) const;
  std::vector<std::string> ids() const;
};

// Error kCorrupt: "NAME:LINE: …".
Result<Checklist> parse_checklist(std::string_view text, std::string_view name);
// What travels inside the program.
const Checklist& built_in_checklist();

}  // namespace weir::ops
