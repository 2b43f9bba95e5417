// Routing rules: the first one whose conditions all hold names the target of a request.
//
// Pure; any thread once made. Time: O(rules x headers), for at most kMaxRules.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gateway/route/fleet_view.h"

namespace weir::gateway {

// Of a header that a request has in several lines one has to hold. Names are compared without
// regard to case, values with.
struct HeaderCondition {
  enum class Kind { kPresent, kAbsent, kExact, kPrefix, kSuffix };
  std::string name;
  Kind kind = Kind::kPresent;
  std::string value;  // of the last three; not empty
};

// A time of the day on some days of the week, by a clock that differs from UTC by a fixed offset
// (no daylight saving: what costs or load depend on is told in two rules, or in UTC).
struct TimeWindow {
  uint8_t days = 0x7f;     // bit 0: Monday
  int start_minute = 0;    // of the day, 0 .. 1439
  int end_minute = 1440;   // excluded, 1 .. 1440; before start_minute: on the next day
  int offset_minutes = 0;  // ahead of UTC, -840 .. 840
};

bool contains(const TimeWindow& window, int64_t unix_s);

struct Rule {
  std::string name;
  std::string target;
  std::vector<HeaderCondition> headers;  // all hold
  // One of each list holds, or the list is empty. A '*' at the end stands for anything.
  std::vector<std::string> tenants;
  std::vector<std::string> routes;  // paths
  std::vector<std::string> models;
  int64_t min_input_tokens = 0;
  int64_t max_input_tokens = std::numeric_limits<int64_t>::max();  // included
  std::optional<TimeWindow> time;
};

struct RuleProblem {
  size_t rule = 0;
  std::string message;
};

class Rules {
 public:
  static constexpr size_t kMaxRules = 256;

  // Errors: kInvalidValue, the first of check(), with `rules[i]` as its param.
  static Result<Rules> make(std::vector<Rule> rules);

  // Everything wrong: missing or double names, empty or impossible ranges, conditions that exclude
  // each other, and rules that no request reaches because an earlier one takes all that they
  // would. What only several earlier rules together cover is not found.
  static std::vector<RuleProblem> check(std::span<const Rule> rules);

  // nullptr: none matches. Valid as long as this object.
  const Rule* match(const RequestView& request) const;
  std::span<const Rule> all() const { return rules_; }

 private:
  explicit Rules(std::vector<Rule> rules) : rules_(std::move(rules)) {}
  std::vector<Rule> rules_;
};

}  // namespace weir::gateway
