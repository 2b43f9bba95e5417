#include "ops/config_write/line_set.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "ops/engines/engine_facts.h"
#include "ops/engines/renames.h"

namespace weir::ops {
namespace {

bool contains(const std::vector<std::string>& list, std::string_view value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

std::optional<double> number_of(std::string_view text) {
  double v = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(v) : std::nullopt;
}

bool is_default(const EngineOption& o, std::string_view value) {
  if (!o.fallback) return false;
  if (*o.fallback == value) return true;
  const auto a = number_of(*o.fallback);
  const auto b = number_of(value);
  return a && b && *a == *b;
}

// What a switch is when nobody sets it; nullopt: not known.
std::optional<bool> default_of(const EngineOption& o) {
  if (o.fallback) return *o.fallback == "true" || *o.fallback == "True";
  if (o.fallback_note.find("class says true") != std::string::npos) return true;
  if (o.fallback_note.find("class says false") != std::string::npos) return false;
  return std::nullopt;
}

// The first spelling that the option takes: one of its choices or known values where it has such.
std::string spelling(const EngineOption& o, const std::vector<std::string>& values) {
  for (const std::string& v : values) {
    if (contains(o.choices, v) || contains(o.known_values, v)) return v;
  }
  return values.empty() ? "" : values.front();
}

}  // namespace

void LineSet::word(std::string value, std::string why, std::string_view source) {
  lines_.push_back({"", std::move(value), std::move(why), std::string(source), false});
}

const EngineOption* LineSet::find(std::string_view name) const {
  if (name.starts_with("--") == keys_) return nullptr;
  if (keys_) return snapshot_.find_key(name);
  const EngineSnapshot::Found found = snapshot_.find_flag(name);
  return found.abbreviated || !found.json_key.empty() ? nullptr : found.option;
}

void LineSet::fact(const PlanFact& fact) {
  const FactKind* kind = engine_facts().find_fact(fact.fact);
  if (kind == nullptr) return;
  const auto names = kind->engines.find(snapshot_.engine());
  if (names == kind->engines.end()) return;
  std::string wanted;
  for (const FactName& name : names->second) {
    if (name.option.starts_with("--") == keys_ || !name.member.empty() || !name.means.empty())
      continue;
    if (wanted.empty()) wanted = name.option;
    const EngineOption* o = find(name.option);
    if (o == nullptr) continue;
    if (o->type == OptionType::kBool)
      return put_switch(*o, (fact.values.front() == "true") != name.inverted, fact);
    return put(*o, fact);
  }
  if (!wanted.empty()) {
    left_out_.push_back(fmt::format("{}: {} {} has no {}; {}", fact.fact, snapshot_.engine(),
                                    snapshot_.version(), wanted, fact.why));
  }
}

void LineSet::set(std::string_view name, std::string value, std::string why,
                  std::string_view source) {
  const PlanFact fact{std::string(name), {std::move(value)}, std::move(why), std::string(source)};
  const EngineOption* o = find(name);
  const Rename* rename = find_rename(snapshot_.engine(), name);
  if ((o == nullptr || !o->deprecated.empty()) && rename != nullptr && !rename->to.empty()) {
    if (const EngineOption* later = find(rename->to)) o = later;
  }
  if (o == nullptr) {
    left_out_.push_back(fmt::format("{}: not in {} {}; {}", name, snapshot_.engine(),
                                    snapshot_.version(), fact.why));
    return;
  }
  if (o->type == OptionType::kBool) return put_switch(*o, fact.values.front() == "true", fact);
  put(*o, fact);
}

void LineSet::put(const EngineOption& option, const PlanFact& fact) {
  const std::string value = spelling(option, fact.values);
  const std::string problem = value_problem(option, value, snapshot_.engine() == "vllm");
  if (!problem.empty()) {
    if (status_.ok()) {
      status_ = make_error(ErrorCode::kUnsupported, "{} {}: {} {} {}", snapshot_.engine(),
                           snapshot_.version(), option.name, value, problem);
    }
    return;
  }
  const bool json = option.type != OptionType::kText && option.type != OptionType::kChoice;
  if (!is_default(option, value))
    lines_.push_back({option.name, value, fact.why, fact.source, json});
}

void LineSet::put_switch(const EngineOption& option, bool on, const PlanFact& fact) {
  if (default_of(option) == on) return;
  if (keys_) {
    lines_.push_back({option.name, on ? "true" : "false", fact.why, fact.source, true});
    return;
  }
  if (on) {
    lines_.push_back({option.name, "", fact.why, fact.source, false});
  } else if (option.negatable) {
    const std::string no =
        option.negated.empty() ? "--no-" + option.name.substr(2) : option.negated.front();
    lines_.push_back({no, "", fact.why, fact.source, false});
  }
}

}  // namespace weir::ops
