#include "gateway/translate/json_skim.h"

#include <charconv>

#include "text/byte_runs.h"
#include "text/json.h"

namespace weir::gateway::translate {
namespace {

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

void skip_blanks(std::string_view text, size_t& at) {
  while (at < text.size() && is_space(text[at])) ++at;
}

bool skim_escape(std::string_view text, size_t& at) {
  if (at >= text.size()) return false;
  const char c = text[at++];
  if (c != 'u') return std::string_view("\"\\/bfnrt").find(c) != std::string_view::npos;
  for (int i = 0; i < 4; ++i, ++at) {
    if (at >= text.size() || !is_hex(text[at])) return false;
  }
  return true;
}

// text[at] is '"'.
bool skim_text(std::string_view text, size_t& at) {
  ++at;
  while ((at = text::plain_end(text, at)) < text.size()) {
    const char c = text[at++];
    if (c == '"') return true;
    if (c != '\\' || !skim_escape(text, at)) return false;
  }
  return false;
}

bool skim_digits(std::string_view text, size_t& at) {
  const size_t start = at;
  while (at < text.size() && is_digit(text[at])) ++at;
  return at > start;
}

bool skim_number(std::string_view text, size_t& at) {
  if (at < text.size() && text[at] == '-') ++at;
  if (at < text.size() && text[at] == '0') {
    ++at;
  } else if (!skim_digits(text, at)) {
    return false;
  }
  if (at < text.size() && text[at] == '.' && !skim_digits(text, ++at)) return false;
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    return skim_digits(text, at);
  }
  return true;
}

bool skim_word(std::string_view text, size_t& at, std::string_view word) {
  if (text.substr(at, word.size()) != word) return false;
  at += word.size();
  return true;
}

// text[at] is '{' or '['.
bool skim_nested(std::string_view text, size_t& at, size_t max_depth) {
  if (max_depth == 0) return false;
  const bool object = text[at++] == '{';
  const char close = object ? '}' : ']';
  skip_blanks(text, at);
  if (at < text.size() && text[at] == close) {
    ++at;
    return true;
  }
  while (true) {
    if (object) {
      skip_blanks(text, at);
      if (at >= text.size() || text[at] != '"' || !skim_text(text, at)) return false;
      skip_blanks(text, at);
      if (at >= text.size() || text[at++] != ':') return false;
    }
    if (!skim_value(text, at, max_depth - 1)) return false;
    skip_blanks(text, at);
    if (at >= text.size()) return false;
    const char c = text[at++];
    if (c == close) return true;
    if (c != ',') return false;
  }
}

}  // namespace

bool skim_value(std::string_view text, size_t& at, size_t max_depth) {
  skip_blanks(text, at);
  if (at >= text.size()) return false;
  switch (text[at]) {
    case '{':
    case '[':
      return skim_nested(text, at, max_depth);
    case '"':
      return skim_text(text, at);
    case 't':
      return skim_word(text, at, "true");
    case 'f':
      return skim_word(text, at, "false");
    case 'n':
      return skim_word(text, at, "null");
    default:
      return skim_number(text, at);
  }
}

bool is_json(std::string_view text, size_t max_depth) {
  size_t at = 0;
  if (!skim_value(text, at, max_depth)) return false;
  skip_blanks(text, at);
  return at == text.size();
}

JsonSkim::JsonSkim(std::string_view text) : text_(text) {
  skip_space();
  if (at_ >= text_.size() || (text_[at_] != '{' && text_[at_] != '[')) {
    ok_ = false;
    return;
  }
  close_ = text_[at_++] == '{' ? '}' : ']';
}

void JsonSkim::skip_space() { skip_blanks(text_, at_); }

bool JsonSkim::skim_key() {
  skip_space();
  if (at_ >= text_.size() || text_[at_] != '"') return false;
  const size_t start = at_ + 1;
  if (!skim_text(text_, at_)) return false;
  key_ = text_.substr(start, at_ - 1 - start);
  plain_key_ = key_.find('\\') == std::string_view::npos;
  skip_space();
  return at_ < text_.size() && text_[at_++] == ':';
}

bool JsonSkim::next() {
  if (!ok_ || done_) return false;
  skip_space();
  if (at_ >= text_.size()) return fail();
  if (text_[at_] == close_) {
    ++at_;
    skip_space();
    done_ = true;
    if (at_ != text_.size()) ok_ = false;
    return false;
  }
  if (!first_ && text_[at_++] != ',') return fail();
  first_ = false;
  if (close_ == '}' && !skim_key()) return fail();
  skip_space();
  const size_t start = at_;
  // One level is this object's own.
  if (!skim_value(text_, at_, kSkimDepth - 1)) return fail();
  value_ = text_.substr(start, at_ - start);
  return true;
}

bool JsonSkim::key_spells(std::string_view name) const {
  // The quotes stand around it in the text.
  const auto spelled = skim_string(std::string_view(key_.data() - 1, key_.size() + 2));
  return spelled.has_value() && *spelled == name;
}

std::optional<std::string_view> skim_member(std::string_view object, std::string_view name) {
  JsonSkim members(object);
  while (members.next()) {
    if (members.key_is(name)) return members.value();
  }
  return std::nullopt;
}

std::optional<std::string_view> skim_first(std::string_view array) {
  JsonSkim items(array);
  if (!items.next()) return std::nullopt;
  return items.value();
}

std::optional<std::string> skim_string(std::string_view value) {
  if (value.size() < 2 || value.front() != '"') return std::nullopt;
  if (value.find('\\') == std::string_view::npos) {
    return std::string(value.substr(1, value.size() - 2));
  }
  text::JsonLimits limits;
  limits.replace_lone_surrogates = true;
  auto parsed = text::Json::parse(value, limits);
  if (!parsed.ok() || !parsed->is_string()) return std::nullopt;
  return parsed->as_string();
}

std::optional<int64_t> skim_int(std::string_view value) {
  int64_t out = 0;
  const char* end = value.data() + value.size();
  const auto [p, ec] = std::from_chars(value.data(), end, out);
  if (ec != std::errc() || p != end || value.empty()) return std::nullopt;
  return out;
}

}  // namespace weir::gateway::translate
