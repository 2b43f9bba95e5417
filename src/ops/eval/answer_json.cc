#include "ops/eval/answer_json.h"

#include <algorithm>
#include <utility>

namespace weir::ops {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\n\r\f\v";
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

std::optional<text::Json> answer_json(std::string_view answer) {
  answer = trimmed(answer);
  if (answer.starts_with("```") && answer.ends_with("```") && answer.size() >= 6) {
    answer.remove_suffix(3);
    answer.remove_prefix(std::min(answer.find('\n'), answer.size()));
  }
  auto parsed = text::Json::parse(trimmed(answer), {.max_values = kMaxAnswerValues});
  if (!parsed.ok()) return std::nullopt;
  return std::move(*parsed);
}

}  // namespace weir::ops
