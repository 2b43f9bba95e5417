#include "gateway/route/rules.h"

#include <algorithm>
#include <bitset>
#include <set>

#include "http/message.h"

namespace weir::gateway {

namespace {

using Kind = HeaderCondition::Kind;

constexpr int64_t kDayMinutes = 1440;
constexpr int64_t kWeekMinutes = 7 * kDayMinutes;
constexpr int kMaxOffset = 840;

bool holds(const HeaderCondition& c, std::string_view value) {
  switch (c.kind) {
    case Kind::kPresent:
    case Kind::kAbsent:
      return true;
    case Kind::kExact:
      return value == c.value;
    case Kind::kPrefix:
      return value.starts_with(c.value);
    case Kind::kSuffix:
      return value.ends_with(c.value);
  }
  return false;
}

bool holds(const HeaderCondition& c, std::span<const http::Headers::Field> headers) {
  const bool any = std::any_of(headers.begin(), headers.end(), [&](const auto& field) {
    return http::iequals(field.name, c.name) && holds(c, field.value);
  });
  return any == (c.kind != Kind::kAbsent);
}

// Whether a request that `b` holds for has `a` hold too.
bool implied(const HeaderCondition& a, const HeaderCondition& b) {
  if (!http::iequals(a.name, b.name)) return false;
  if (a.kind == Kind::kAbsent || b.kind == Kind::kAbsent) return a.kind == b.kind;
  if (a.kind == Kind::kPresent) return true;
  if (a.kind == Kind::kExact) return b.kind == Kind::kExact && b.value == a.value;
  return (b.kind == a.kind || b.kind == Kind::kExact) && holds(a, b.value);
}

bool matches(std::string_view pattern, std::string_view value) {
  if (!pattern.ends_with('*')) return pattern == value;
  return value.starts_with(pattern.substr(0, pattern.size() - 1));
}

bool matches_any(std::span<const std::string> patterns, std::string_view value) {
  return patterns.empty() || std::any_of(patterns.begin(), patterns.end(),
                                         [&](const auto& p) { return matches(p, value); });
}

// Whether list `a` takes whatever list `b` does. A '*' stands at the end only, so a pattern with it
// is taken by the shorter patterns with it that it begins as.
bool covers(std::span<const std::string> a, std::span<const std::string> b) {
  if (a.empty()) return true;
  if (b.empty()) return std::find(a.begin(), a.end(), "*") != a.end();
  return std::all_of(b.begin(), b.end(), [&](const std::string& pattern) {
    return std::any_of(a.begin(), a.end(), [&](const std::string& p) {
      return p == pattern || (p.ends_with('*') && matches(p, pattern));
    });
  });
}

using WeekMinutes = std::bitset<kWeekMinutes>;

// When a rule may match.
WeekMinutes minutes_of(const Rule& rule) {
  constexpr int64_t kMonday = 4 * 86'400;  // 1970-01-05
  WeekMinutes out;
  if (!rule.time.has_value()) return ~out;
  for (int64_t m = 0; m < kWeekMinutes; ++m)
    out[static_cast<size_t>(m)] = contains(*rule.time, kMonday + m * 60);
  return out;
}

// Whether rule `a` takes whatever rule `b` does, times left aside.
bool covers_but_for_time(const Rule& a, const Rule& b) {
  if (!covers(a.tenants, b.tenants) || !covers(a.routes, b.routes) || !covers(a.models, b.models))
    return false;
  if (a.min_input_tokens > b.min_input_tokens || a.max_input_tokens < b.max_input_tokens)
    return false;
  return std::all_of(a.headers.begin(), a.headers.end(), [&](const auto& ca) {
    return std::any_of(b.headers.begin(), b.headers.end(),
                       [&](const auto& cb) { return implied(ca, cb); });
  });
}

std::string fault_of_header(const Rule& rule, const HeaderCondition& c) {
  if (c.name.empty()) return "a header condition needs the header's name";
  if (c.kind >= Kind::kExact && c.value.empty())
    return fmt::format("the condition on header {} needs a value", c.name);
  for (const HeaderCondition& other : rule.headers) {
    if (c.kind == Kind::kAbsent && other.kind != Kind::kAbsent && http::iequals(c.name, other.name))
      return fmt::format("header {} cannot be absent and have a value", c.name);
  }
  return {};
}

std::string fault_of_time(const TimeWindow& t) {
  if (t.days == 0 || t.days > 0x7f) return "days names no day of the week";
  if (t.start_minute < 0 || t.start_minute >= kDayMinutes || t.end_minute < 1 ||
      t.end_minute > kDayMinutes || t.start_minute == t.end_minute) {
    return fmt::format("minutes {} to {} are no time of the day (0 to 1440, end not start)",
                       t.start_minute, t.end_minute);
  }
  if (t.offset_minutes < -kMaxOffset || t.offset_minutes > kMaxOffset)
    return fmt::format("{} minutes is no offset from UTC", t.offset_minutes);
  return {};
}

// What is wrong with a rule by itself; empty: nothing.
std::string fault_of(const Rule& rule) {
  if (rule.name.empty()) return "a rule needs a name";
  if (rule.target.empty()) return "it needs a target";
  if (rule.min_input_tokens < 0 || rule.min_input_tokens > rule.max_input_tokens) {
    return fmt::format("no request has from {} to {} input tokens", rule.min_input_tokens,
                       rule.max_input_tokens);
  }
  for (const auto* list : {&rule.tenants, &rule.routes, &rule.models}) {
    for (const std::string& pattern : *list) {
      if (pattern.empty() || pattern.find('*') < pattern.size() - 1)
        return fmt::format("'{}' is no pattern: '*' stands at the end or not at all", pattern);
    }
  }
  for (const HeaderCondition& c : rule.headers) {
    std::string fault = fault_of_header(rule, c);
    if (!fault.empty()) return fault;
  }
  return rule.time.has_value() ? fault_of_time(*rule.time) : std::string();
}

}  // namespace

bool contains(const TimeWindow& window, int64_t unix_s) {
  constexpr int64_t kThursday = 3 * kDayMinutes;  // 1970-01-01
  const int64_t minute = (unix_s - ((unix_s % 60) + 60) % 60) / 60 + window.offset_minutes;
  const int64_t of_week = (((minute + kThursday) % kWeekMinutes) + kWeekMinutes) % kWeekMinutes;
  const int64_t day = of_week / kDayMinutes;
  const int64_t of_day = of_week % kDayMinutes;
  const auto on = [&](int64_t d) { return ((window.days >> (d % 7)) & 1) != 0; };
  if (window.start_minute < window.end_minute)
    return on(day) && of_day >= window.start_minute && of_day < window.end_minute;
  return (on(day) && of_day >= window.start_minute) || (on(day + 6) && of_day < window.end_minute);
}

std::vector<RuleProblem> Rules::check(std::span<const Rule> rules) {
  std::vector<RuleProblem> out;
  std::set<std::string_view> names;
  struct Sound {
    size_t rule = 0;
    WeekMinutes minutes;
  };
  std::vector<Sound> sound;
  for (size_t i = 0; i < rules.size(); ++i) {
    std::string fault = fault_of(rules[i]);
    if (fault.empty() && !names.insert(rules[i].name).second)
      fault = "another rule has the same name";
    if (!fault.empty()) {
      out.push_back({i, std::move(fault)});
      continue;
    }
    const WeekMinutes minutes = minutes_of(rules[i]);
    const auto by = std::find_if(sound.begin(), sound.end(), [&](const Sound& s) {
      return covers_but_for_time(rules[s.rule], rules[i]) && (minutes & ~s.minutes).none();
    });
    if (by != sound.end()) {
      out.push_back({i, fmt::format("no request reaches it: rule {} (number {}) takes all of them",
                                    rules[by->rule].name, by->rule + 1)});
    }
    sound.push_back({i, minutes});
  }
  return out;
}

Result<Rules> Rules::make(std::vector<Rule> rules) {
  if (rules.size() > kMaxRules) {
    return param_error(ErrorCode::kInvalidValue, "rules", "{} rules; at most {} can be",
                       rules.size(), kMaxRules);
  }
  const std::vector<RuleProblem> problems = check(rules);
  if (problems.empty()) return Rules(std::move(rules));
  const RuleProblem& p = problems.front();
  return param_error(ErrorCode::kInvalidValue, fmt::format("rules[{}]", p.rule), "rule {}: {}",
                     rules[p.rule].name, p.message);
}

const Rule* Rules::match(const RequestView& request) const {
  for (const Rule& rule : rules_) {
    if (request.input_tokens < rule.min_input_tokens ||
        request.input_tokens > rule.max_input_tokens)
      continue;
    if (!matches_any(rule.tenants, request.tenant) || !matches_any(rule.routes, request.route) ||
        !matches_any(rule.models, request.model))
      continue;
    if (rule.time.has_value() && !contains(*rule.time, request.unix_s)) continue;
    if (std::all_of(rule.headers.begin(), rule.headers.end(),
                    [&](const HeaderCondition& c) { return holds(c, request.headers); }))
      return &rule;
  }
  return nullptr;
}

}  // namespace weir::gateway
