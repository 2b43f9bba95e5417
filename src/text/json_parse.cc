// Json::parse: one pass, recursive to max_depth.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "text/byte_runs.h"
#include "text/json.h"
#include "text/json_spans.h"
#include "text/utf8.h"

namespace weir::text {
namespace {

class Parser {
 public:
  Parser(std::string_view text, const JsonLimits& limits, std::vector<JsonSpan>* spans)
      : text_(text), limits_(limits), spans_(spans) {}

  Result<Json> document() {
    if (const size_t good = valid_utf8_prefix(text_); good != text_.size()) {
      return make_error(ErrorCode::kInvalidJson, "the bytes at offset {} are not UTF-8", good);
    }
    Json value;
    WEIR_TRY(parse_value(value, 0));
    skip_space();
    if (at_ != text_.size()) return expected("the end of the document");
    return value;
  }

 private:
  [[nodiscard]] Error expected(std::string_view what) const {
    if (at_ >= text_.size())
      return make_error(ErrorCode::kInvalidJson, "the JSON ends at offset {}; expected {}", at_,
                        what);
    return make_error(ErrorCode::kInvalidJson, "invalid JSON at offset {}: expected {}", at_, what);
  }

  void skip_space() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t'))
      ++at_;
  }
  bool take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool take_word(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  Status parse_value(Json& out, size_t depth) {
    skip_space();
    if (at_ >= text_.size()) return expected("a value");
    if (++values_ > limits_.max_values) {
      return make_error(ErrorCode::kInvalidJson, "the JSON holds more than {} values at offset {}",
                        limits_.max_values, at_);
    }
    switch (text_[at_]) {
      case '{':
        return parse_object(out, depth + 1);
      case '[':
        return parse_array(out, depth + 1);
      case '"': {
        std::string s;
        WEIR_TRY(parse_string(s));
        out = Json(std::move(s));
        return {};
      }
      case 't':
        return parse_word(out, "true", Json(true));
      case 'f':
        return parse_word(out, "false", Json(false));
      case 'n':
        return parse_word(out, "null", Json());
      default:
        return parse_number(out);
    }
  }

  Status parse_word(Json& out, std::string_view word, Json value) {
    if (!take_word(word)) return expected("a value");
    out = std::move(value);
    return {};
  }

  Status check_depth(size_t depth) const {
    if (depth <= limits_.max_depth) return {};
    return make_error(ErrorCode::kInvalidJson, "the JSON nests deeper than {} levels at offset {}",
                      limits_.max_depth, at_);
  }

  Status parse_array(Json& out, size_t depth) {
    WEIR_TRY(check_depth(depth));
    ++at_;
    out = Json::array();
    skip_space();
    if (take(']')) return {};
    while (true) {
      Json item;
      WEIR_TRY(parse_value(item, depth));
      out.items().push_back(std::move(item));
      skip_space();
      if (take(']')) return {};
      if (!take(',')) return expected("',' or ']'");
    }
  }

  Status parse_object(Json& out, size_t depth) {
    WEIR_TRY(check_depth(depth));
    const size_t start = at_++;
    out = Json::object();
    skip_space();
    if (take('}')) return {};
    while (true) {
      skip_space();
      if (at_ >= text_.size() || text_[at_] != '"') return expected("a key in double quotes");
      std::string key;
      WEIR_TRY(parse_string(key));
      skip_space();
      if (!take(':')) return expected("':'");
      skip_space();
      const size_t value_at = at_;
      Json value;
      WEIR_TRY(parse_value(value, depth));
      if (depth == 1 && spans_ != nullptr) spans_->push_back({value_at, at_ - value_at});
      out.members().emplace_back(std::move(key), std::move(value));
      skip_space();
      if (take('}')) return check_duplicates(out.members(), start);
      if (!take(',')) return expected("',' or '}'");
    }
  }

  static Status check_duplicates(const Json::Object& members, size_t offset) {
    std::vector<std::string_view> keys;
    keys.reserve(members.size());
    for (const Json::Member& m : members) keys.push_back(m.first);
    std::sort(keys.begin(), keys.end());
    const auto twin = std::adjacent_find(keys.begin(), keys.end());
    if (twin == keys.end()) return {};
    return make_error(ErrorCode::kInvalidJson, "the object at offset {} has the key {} twice",
                      offset, json_quote(cut_utf8(*twin, 80)));
  }

  Status parse_string(std::string& out) {
    ++at_;
    while (true) {
      const size_t plain = plain_end(text_, at_);
      out.append(text_.substr(at_, plain - at_));
      at_ = plain;
      if (at_ >= text_.size()) return expected("'\"'");
      if (take('"')) return {};
      if (!take('\\')) return expected("an escape for the control character");
      WEIR_TRY(parse_escape(out));
    }
  }

  Status parse_escape(std::string& out) {
    static constexpr std::string_view kNames = "\"\\/bfnrt";
    static constexpr std::string_view kValues = "\"\\/\b\f\n\r\t";
    if (take('u')) return parse_unicode_escape(out);
    const size_t i = at_ < text_.size() ? kNames.find(text_[at_]) : std::string_view::npos;
    if (i == std::string_view::npos) return expected("one of \"\\/bfnrtu after the backslash");
    out += kValues[i];
    ++at_;
    return {};
  }

  std::optional<uint32_t> hex4() {
    if (text_.size() - at_ < 4) return std::nullopt;
    uint32_t v = 0;
    const char* first = text_.data() + at_;
    const auto [end, ec] = std::from_chars(first, first + 4, v, 16);
    if (ec != std::errc() || end != first + 4 || *first == '-' || *first == '+')
      return std::nullopt;
    at_ += 4;
    return v;
  }

  Status parse_unicode_escape(std::string& out) {
    const size_t start = at_;
    std::optional<uint32_t> unit = hex4();
    if (!unit) return expected("four hexadecimal digits");
    uint32_t c = *unit;
    const size_t behind = at_;
    if (c >= 0xD800 && c < 0xDC00 && take_word("\\u")) {
      const std::optional<uint32_t> low = hex4();
      if (low && *low >= 0xDC00 && *low <= 0xDFFF) {
        c = 0x10000 + ((c - 0xD800) << 10) + (*low - 0xDC00);
      } else {
        at_ = behind;  // what follows is an escape of its own
      }
    }
    if (c >= 0xD800 && c <= 0xDFFF && !limits_.replace_lone_surrogates) {
      at_ = start;
      return expected("a surrogate pair, not half of one");
    }
    append_utf8(out, c);
    return {};
  }

  bool take_digits() {
    const size_t start = at_;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
    return at_ > start;
  }

  Status parse_number(Json& out) {
    const size_t start = at_;
    take('-');
    if (!take('0') && !take_digits()) return expected("a value");
    bool integer = true;
    if (take('.')) {
      integer = false;
      if (!take_digits()) return expected("a digit");
    }
    if (take('e') || take('E')) {
      integer = false;
      if (!take('+')) take('-');
      if (!take_digits()) return expected("a digit");
    }
    const char* first = text_.data() + start;
    const char* last = text_.data() + at_;
    if (int64_t i = 0; integer && std::from_chars(first, last, i).ec == std::errc()) {
      out = Json(i);
      return {};
    }
    double d = 0;
    if (std::from_chars(first, last, d).ec == std::errc::result_out_of_range) {
      // Too large or too small for a double. strtod tells which; an infinity is refused.
      d = std::strtod(std::string(first, last).c_str(), nullptr);
    }
    if (!std::isfinite(d)) {
      at_ = start;
      return expected("a number within the range of a double");
    }
    out = Json(d);
    return {};
  }

  std::string_view text_;
  const JsonLimits& limits_;
  std::vector<JsonSpan>* const spans_;  // null: nobody asks
  size_t values_ = 0;                   // begun
  size_t at_ = 0;
};

}  // namespace

Result<Json> Json::parse(std::string_view text, const JsonLimits& limits) {
  return Parser(text, limits, nullptr).document();
}

Result<Json> parse_json(std::string_view text, std::vector<JsonSpan>& members,
                        const JsonLimits& limits) {
  members.clear();
  return Parser(text, limits, &members).document();
}

}  // namespace weir::text
