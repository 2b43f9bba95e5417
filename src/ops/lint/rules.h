// The rules of data/config_rules.yaml and what they find.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ops/lint/facts.h"

namespace weir::ops {

enum class Severity : uint8_t { kError, kWarning, kHint };

std::string_view severity_name(Severity severity);  // "error"

struct RuleCondition {
  std::string fact;
  std::vector<std::string> one_of;  // `is` is one of one
  std::optional<std::string> is_not;
  std::optional<double> above, below, at_least, at_most;
  std::string above_fact, below_fact, multiple_of, not_multiple_of;
  std::optional<bool> present, given;
};

struct LintRule {
  std::string id;
  Severity severity = Severity::kError;
  std::vector<RuleCondition> when;  // empty: of single flags, raised by code
  std::string at;
  std::string reason, fix;  // with {fact}
  std::string source;       // an id of skill/data/sources.json; or empty
};

struct Finding {
  std::string rule;
  Severity severity = Severity::kError;
  int line = 0;
  std::string reason, fix, source;
};

// Immutable; any thread.
class LintRules {
 public:
  // Error kCorrupt: "NAME:LINE: ...".
  static Result<LintRules> parse(std::string_view text, std::string_view name);
  // What travels inside the program.
  static const LintRules& built_in();

  const std::vector<LintRule>& all() const { return rules_; }
  const LintRule* find(std::string_view id) const;

  // Of the rules with conditions those that hold. line: of findings whose facts have none.
  std::vector<Finding> evaluate(const FactSet& facts, int line) const;
  // One of a rule without conditions; `words` are the names in its texts. Precondition: it exists.
  Finding make(std::string_view id, int line, const FactSet& words) const;

 private:
  std::vector<LintRule> rules_;
};

bool holds(const RuleCondition& condition, const FactSet& facts);

}  // namespace weir::ops
