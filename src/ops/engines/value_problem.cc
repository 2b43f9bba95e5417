#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "config/key.h"
#include "ops/engines/snapshot.h"
#include "text/json.h"

namespace weir::ops {
namespace {

std::optional<double> number(std::string_view text) {
  double v = 0;
  if (text.starts_with('+')) text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(v))
    return std::nullopt;
  return v;
}

std::optional<int64_t> plain_integer(std::string_view text) {
  int64_t v = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return v;
}

std::string bounds_of(const EngineOption& o) {
  std::string out;
  if (o.min) out += fmt::format(" of at least {}", *o.min);
  if (o.above) out += fmt::format(" above {}", *o.above);
  if (o.max) out += fmt::format("{} at most {}", out.empty() ? "" : " and", *o.max);
  if (o.below) out += fmt::format("{} below {}", out.empty() ? "" : " and", *o.below);
  return out;
}

bool inside(const EngineOption& o, double v) {
  return !((o.min && v < *o.min) || (o.above && v <= *o.above) || (o.max && v > *o.max) ||
           (o.below && v >= *o.below));
}

bool contains(const std::vector<std::string>& list, std::string_view value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

std::string choice_problem(const EngineOption& o, std::string_view value) {
  if (o.choices.empty() || o.open_choices || contains(o.choices, value)) return "";
  const std::string_view near = config::nearest(value, o.choices);
  return fmt::format("must be one of {}; the nearest to {} is {}", fmt::join(o.choices, ", "),
                     value, near);
}

std::string json_problem(const EngineOption& o, std::string_view value) {
  const auto json = text::Json::parse(value);
  if (!json.ok()) return fmt::format("must be JSON: {}", json.error().message);
  if (o.json_keys.empty() || !json->is_object()) return "";
  for (const auto& [key, member] : json->members()) {
    if (contains(o.json_keys, key)) continue;
    return fmt::format("has no key {}; the nearest is {}", key, config::nearest(key, o.json_keys));
  }
  return "";
}

}  // namespace

std::optional<int64_t> human_integer(std::string_view text) {
  if (const auto whole = plain_integer(text)) return whole;
  if (text.size() < 2) return std::nullopt;
  constexpr std::string_view kUnits = "kKmMgGtT";
  const size_t unit = kUnits.find(text.back());
  const auto v = number(text.substr(0, text.size() - 1));
  if (unit == std::string_view::npos || !v) return std::nullopt;
  const size_t power = 1 + unit / 2;
  const double scaled = *v * std::pow(unit % 2 == 0 ? 1000.0 : 1024.0, static_cast<double>(power));
  if (std::fabs(scaled) > 9e15) return std::nullopt;
  return static_cast<int64_t>(scaled);
}

std::string value_problem(const EngineOption& o, std::string_view value, bool human_units) {
  switch (o.type) {
    case OptionType::kInt: {
      const auto v = human_units ? human_integer(value) : plain_integer(value);
      if (!v || !inside(o, static_cast<double>(*v)))
        return fmt::format("must be an integer{}", bounds_of(o));
      return choice_problem(o, value);
    }
    case OptionType::kFloat: {
      const auto v = number(value);
      return v && inside(o, *v) ? "" : fmt::format("must be a number{}", bounds_of(o));
    }
    case OptionType::kBool:
      return value == "true" || value == "false" || value == "True" || value == "False"
                 ? ""
                 : "must be true or false";
    case OptionType::kChoice:
      return choice_problem(o, value);
    case OptionType::kJson:
      return json_problem(o, value);
    case OptionType::kText:
    case OptionType::kList:
      return "";
  }
  return "";
}

}  // namespace weir::ops
