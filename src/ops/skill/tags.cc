#include "ops/skill/tags.h"

#include <algorithm>
#include <optional>

namespace weir::ops {
namespace {

constexpr size_t kMaxTag = 300;  // bytes

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_word(char c) { return is_digit(c) || is_letter(c); }

std::string_view trim(std::string_view s) {
  while (!s.empty() && s.front() == ' ') s.remove_prefix(1);
  while (!s.empty() && s.back() == ' ') s.remove_suffix(1);
  return s;
}

// Lower-case letters, digits and -._ with a letter among them: what ids of the ledger look like.
bool is_id(std::string_view s) {
  return std::any_of(s.begin(), s.end(), [](char c) { return c >= 'a' && c <= 'z'; }) &&
         std::all_of(s.begin(), s.end(), [](char c) {
           return is_digit(c) || (c >= 'a' && c <= 'z') || c == '-' || c == '.' || c == '_';
         });
}

std::optional<PageTag> tag_in(std::string_view content) {
  PageTag tag{};
  if (content == "hypothesis" || content.starts_with("hypothesis:")) {
    tag.kind = PageTag::Kind::kHypothesis;
    return tag;
  }
  if (content.starts_with("measured:")) {
    tag.kind = PageTag::Kind::kMeasured;
    tag.id = trim(content.substr(sizeof("measured:") - 1));
    return tag;
  }
  const size_t hash = content.find('#');
  const std::string_view id = content.substr(0, hash);
  const std::string_view claim =
      hash == std::string_view::npos ? std::string_view() : content.substr(hash + 1);
  if (!is_id(id) || id == "x" || (hash != std::string_view::npos && claim.empty()))
    return std::nullopt;
  tag.kind = PageTag::Kind::kSourced;
  tag.id = id;
  tag.claim = claim;
  return tag;
}

// Where a code span that begins at `at` ends; `at` when it does not.
size_t code_end(std::string_view s, size_t at) {
  const size_t n = std::min(s.find_first_not_of('`', at), s.size()) - at;
  for (size_t i = at + n; i < s.size();) {
    if (s[i] != '`') {
      ++i;
      continue;
    }
    const size_t m = std::min(s.find_first_not_of('`', i), s.size()) - i;
    if (m == n) return i + m;
    i += m;
  }
  return at;
}

// YYYY-MM or YYYY-MM-DD.
bool is_date(std::string_view word) {
  if (word.size() != 7 && word.size() != 10) return false;
  for (size_t i = 0; i < word.size(); ++i) {
    if (i == 4 || i == 7 ? word[i] != '-' : !is_digit(word[i])) return false;
  }
  return true;
}

// A word, with points and hyphens that join.
size_t word_end(std::string_view s, size_t at) {
  while (at < s.size() && (is_word(s[at]) || ((s[at] == '.' || s[at] == '-') && at + 1 < s.size() &&
                                              is_word(s[at + 1]))))
    ++at;
  return at;
}

bool is_address(std::string_view s) {
  return s.starts_with("http://") || s.starts_with("https://");
}

}  // namespace

const PageTag* PageScan::tag_of(const PageNumber& number) const {
  if (tags.empty()) return nullptr;
  const auto it =
      std::find_if(tags.begin(), tags.end(), [&](const PageTag& t) { return t.at > number.at; });
  return it == tags.end() ? &tags.back() : &*it;
}

PageScan scan_text(std::string_view s) {
  PageScan out;
  for (size_t i = 0; i < s.size();) {
    if (s[i] == '`') {
      const size_t end = code_end(s, i);
      i = end > i ? end : std::min(s.find_first_not_of('`', i), s.size());
    } else if (s[i] == '[') {
      const size_t length = s.substr(i, kMaxTag).find(']');
      const size_t close = length == std::string_view::npos ? length : i + length;
      auto tag = close == std::string_view::npos || s.substr(close).starts_with("](")
                     ? std::nullopt
                     : tag_in(trim(s.substr(i + 1, close - i - 1)));
      if (tag) {
        tag->at = i;
        out.tags.push_back(*std::move(tag));
        i = close + 1;
      } else {
        ++i;  // its text is text
      }
    } else if (s.substr(i).starts_with("](")) {
      i = std::min(s.find(')', i), s.size());
    } else if (is_address(s.substr(i))) {
      i = std::min(s.find_first_of(" )>|", i), s.size());
    } else if (is_word(s[i])) {
      const size_t end = word_end(s, i);
      const std::string_view word = s.substr(i, end - i);
      if (is_digit(word[0]) && !is_date(word)) out.numbers.push_back({std::string(word), i});
      i = end;
    } else {
      ++i;
    }
  }
  return out;
}

std::string_view tag_name(PageTag::Kind kind) {
  switch (kind) {
    case PageTag::Kind::kSourced:
      return "sourced";
    case PageTag::Kind::kMeasured:
      return "measured";
    case PageTag::Kind::kHypothesis:
      return "hypothesis";
  }
  return "";
}

}  // namespace weir::ops
