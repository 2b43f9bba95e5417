#include "ops/release/details_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "text/json.h"

namespace weir::ops {
namespace {

using text::Json;

constexpr size_t kHashDigits = 12;

bool is_hash(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

std::string value_text(const Json& value) {
  if (value.is_string()) {
    const std::string& s = value.as_string();
    return is_hash(s) ? s.substr(0, kHashDigits) : one_line(s);
  }
  if (value.is_bool()) return value.as_bool() ? "yes" : "no";
  if (value.is_double()) return fmt::format("{:.4g}", value.as_double());
  if (value.is_array()) {
    std::string out;
    for (const Json& item : value.items())
      out += fmt::format("{}{}", out.empty() ? "" : "; ", value_text(item));
    return out;
  }
  return value.is_null() ? "" : value.dump();
}

void append(std::string& out, const std::string& before, const Json& object) {
  for (const auto& [name, value] : object.members()) {
    std::string words = before + name;
    std::replace(words.begin(), words.end(), '_', ' ');
    if (value.is_object()) {
      append(out, words + " ", value);
      continue;
    }
    const std::string text = value_text(value);
    if (!text.empty()) out += fmt::format("{}{} {}", out.empty() ? "" : ", ", words, text);
  }
}

}  // namespace

std::string details_text(std::string_view json) {
  const auto parsed = Json::parse(json);
  if (!parsed.ok() || !parsed->is_object()) return one_line(std::string(json));
  std::string out;
  append(out, "", *parsed);
  return out;
}

}  // namespace weir::ops
