// Words, lines and numbers of the small text files that the kernel and tools write. Internal to
// ops/.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir::ops {

inline std::string_view trimmed(std::string_view s) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t from = s.find_first_not_of(kSpace);
  if (from == std::string_view::npos) return {};
  return s.substr(from, s.find_last_not_of(kSpace) - from + 1);
}

inline std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    out.push_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return out;
}

inline std::vector<std::string_view> split_words(std::string_view line,
                                                 std::string_view separators = " \t\r\n") {
  std::vector<std::string_view> out;
  for (size_t i = 0; i < line.size();) {
    const size_t from = line.find_first_not_of(separators, i);
    if (from == std::string_view::npos) break;
    const size_t to = std::min(line.find_first_of(separators, from), line.size());
    out.push_back(line.substr(from, to - from));
    i = to;
  }
  return out;
}

// The number that all of `text` is.
template <typename T>
std::optional<T> number_in(std::string_view text) {
  text = trimmed(text);
  T value{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

// The number that `text` begins with: "81920 MiB", "16x".
template <typename T>
std::optional<T> leading_number(std::string_view text) {
  text = trimmed(text);
  T value{};
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  return value;
}

inline constexpr int kMaxCpus = 8192;

// "0-3,8" as numbers, ascending as written; what is no such list, and what lies beyond kMaxCpus, is
// left out.
inline std::vector<int> number_list(std::string_view text) {
  std::vector<int> out;
  for (const std::string_view part : split_words(trimmed(text), ",")) {
    const size_t dash = part.find('-');
    const auto from = number_in<int>(part.substr(0, dash));
    const auto to = dash == std::string_view::npos ? from : number_in<int>(part.substr(dash + 1));
    if (!from || !to || *from < 0 || *to >= kMaxCpus) continue;
    for (int i = *from; i <= *to && out.size() < kMaxCpus; ++i) out.push_back(i);
  }
  return out;
}

}  // namespace weir::ops
