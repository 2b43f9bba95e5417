#include "ops/lint/rules.h"

#include <algorithm>
#include <cassert>
#include <charconv>
#include <cmath>

#include "config/yaml.h"
#include "ops/data/embedded.h"

namespace weir::ops {
namespace {

using config::Node;

std::optional<double> number_of(const Node& n) {
  double v = 0;
  const char* last = n.text.data() + n.text.size();
  const auto [end, error] = std::from_chars(n.text.data(), last, v);
  return error == std::errc() && end == last ? std::optional(v) : std::nullopt;
}

Status wrong(std::string_view file, int line, std::string_view what) {
  return make_error(ErrorCode::kCorrupt, "{}:{}: {}", file, line, what);
}

Status set_text(const std::string& key, const std::string& text, RuleCondition& c) {
  if (key == "fact") {
    c.fact = text;
  } else if (key == "is") {
    c.one_of = {text};
  } else if (key == "is_not") {
    c.is_not = text;
  } else if (key == "above_fact") {
    c.above_fact = text;
  } else if (key == "below_fact") {
    c.below_fact = text;
  } else if (key == "multiple_of") {
    c.multiple_of = text;
  } else if (key == "not_multiple_of") {
    c.not_multiple_of = text;
  } else if (key == "present") {
    c.present = text == "true";
  } else if (key == "given") {
    c.given = text == "true";
  } else {
    return make_error(ErrorCode::kCorrupt, "{}: no condition", key);
  }
  return {};
}

Result<RuleCondition> condition_of(const Node& n, std::string_view file) {
  RuleCondition c;
  for (const config::Member& m : n.members) {
    std::optional<double>* number = m.key == "above"      ? &c.above
                                    : m.key == "below"    ? &c.below
                                    : m.key == "at_least" ? &c.at_least
                                    : m.key == "at_most"  ? &c.at_most
                                                          : nullptr;
    if (number != nullptr) {
      *number = number_of(m.value);
      if (!*number) return wrong(file, m.line, m.key + " must be a number").error();
    } else if (m.key == "one_of") {
      for (const Node& item : m.value.items) c.one_of.push_back(item.text);
    } else if (const Status s = set_text(m.key, m.value.text, c); !s.ok()) {
      return wrong(file, m.line, s.error().message).error();
    }
  }
  if (c.fact.empty()) return wrong(file, n.line, "a condition needs a fact").error();
  return c;
}

Result<LintRule> rule_of(const Node& n, std::string_view file) {
  LintRule r;
  for (const config::Member& m : n.members) {
    const std::string& text = m.value.text;
    if (m.key == "id") {
      r.id = text;
    } else if (m.key == "severity") {
      if (text != "error" && text != "warning" && text != "hint")
        return wrong(file, m.line, "severity must be error, warning or hint").error();
      r.severity = text == "error"     ? Severity::kError
                   : text == "warning" ? Severity::kWarning
                                       : Severity::kHint;
    } else if (m.key == "when") {
      for (const Node& item : m.value.items) {
        WEIR_ASSIGN(RuleCondition c, condition_of(item, file));
        r.when.push_back(std::move(c));
      }
    } else if (m.key == "at") {
      r.at = text;
    } else if (m.key == "reason") {
      r.reason = text;
    } else if (m.key == "fix") {
      r.fix = text;
    } else if (m.key == "source") {
      r.source = text;
    } else {
      return wrong(file, m.line, m.key + ": a rule has no such key").error();
    }
  }
  if (r.id.empty() || r.reason.empty() || r.fix.empty())
    return wrong(file, n.line, "a rule needs id, reason and fix").error();
  return r;
}

// "{name}" becomes the fact's text; of one that is not known nothing.
std::string filled(std::string_view text, const FactSet& facts) {
  std::string out;
  while (!text.empty()) {
    const size_t open = text.find('{');
    const size_t close = text.find('}', open == std::string_view::npos ? 0 : open);
    if (open == std::string_view::npos || close == std::string_view::npos) break;
    out += text.substr(0, open);
    if (const Fact* f = facts.find(text.substr(open + 1, close - open - 1))) out += f->text;
    text.remove_prefix(close + 1);
  }
  return out.append(text);
}

bool multiple(double a, double b) { return b >= 1 && std::fmod(a, b) == 0; }

bool compares(const RuleCondition& c, const Fact& f, const FactSet& facts) {
  const auto other = [&](const std::string& name, auto test) {
    const auto v = facts.number(name);
    return name.empty() || (v && f.number && test(*f.number, *v));
  };
  return other(c.above_fact, [](double a, double b) { return a > b; }) &&
         other(c.below_fact, [](double a, double b) { return a < b; }) &&
         other(c.multiple_of, multiple) &&
         other(c.not_multiple_of, [](double a, double b) { return b >= 1 && !multiple(a, b); });
}

}  // namespace

std::string_view severity_name(Severity severity) {
  return severity == Severity::kError     ? "error"
         : severity == Severity::kWarning ? "warning"
                                          : "hint";
}

bool holds(const RuleCondition& c, const FactSet& facts) {
  const Fact* f = facts.find(c.fact);
  if (c.present && *c.present != (f != nullptr)) return false;
  if (f == nullptr) return c.present.has_value();
  if (c.given && *c.given != f->given) return false;
  if (!c.one_of.empty() && std::find(c.one_of.begin(), c.one_of.end(), f->text) == c.one_of.end())
    return false;
  if (c.is_not && f->text == *c.is_not) return false;
  const bool bounded = c.above || c.below || c.at_least || c.at_most;
  if (bounded && !f->number) return false;
  if ((c.above && *f->number <= *c.above) || (c.below && *f->number >= *c.below) ||
      (c.at_least && *f->number < *c.at_least) || (c.at_most && *f->number > *c.at_most))
    return false;
  return compares(c, *f, facts);
}

Result<LintRules> LintRules::parse(std::string_view text, std::string_view name) {
  WEIR_ASSIGN(const Node root, config::parse_yaml(text, name));
  LintRules out;
  const Node* rules = root.find("rules");
  if (rules == nullptr) return wrong(name, 1, "must have a list of rules").error();
  for (const Node& n : rules->items) {
    WEIR_ASSIGN(LintRule r, rule_of(n, name));
    if (out.find(r.id) != nullptr) return wrong(name, n.line, r.id + " stands twice").error();
    out.rules_.push_back(std::move(r));
  }
  return out;
}

const LintRules& LintRules::built_in() {
  static constexpr std::string_view kFile = "data/config_rules.yaml";
  static const LintRules rules = [] {
    auto r = parse(embedded_file(kFile), kFile);
    assert(r.ok());
    return r.ok() ? std::move(*r) : LintRules();
  }();
  return rules;
}

const LintRule* LintRules::find(std::string_view id) const {
  for (const LintRule& r : rules_) {
    if (r.id == id) return &r;
  }
  return nullptr;
}

std::vector<Finding> LintRules::evaluate(const FactSet& facts, int line) const {
  std::vector<Finding> out;
  for (const LintRule& r : rules_) {
    if (r.when.empty()) continue;
    if (!std::all_of(r.when.begin(), r.when.end(),
                     [&](const RuleCondition& c) { return holds(c, facts); }))
      continue;
    int at = 0;
    if (const Fact* f = facts.find(r.at)) at = f->line;
    for (const RuleCondition& c : r.when) {
      const Fact* f = facts.find(c.fact);
      if (at == 0 && r.at.empty() && f != nullptr && f->given) at = f->line;
    }
    out.push_back({r.id, r.severity, at > 0 ? at : line, filled(r.reason, facts),
                   filled(r.fix, facts), r.source});
  }
  return out;
}

Finding LintRules::make(std::string_view id, int line, const FactSet& words) const {
  const LintRule* r = find(id);
  assert(r != nullptr);
  return {r->id, r->severity, line, filled(r->reason, words), filled(r->fix, words), r->source};
}

}  // namespace weir::ops
