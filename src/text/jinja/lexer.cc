#include "text/jinja/lexer.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <limits>

#include "text/jinja/unescape.h"
#include "text/jinja/unicode.h"
#include "text/utf8.h"

namespace weir::text::jinja {
namespace {

bool ascii_digit(char c) { return c >= '0' && c <= '9'; }
bool name_byte(char c) {
  return ascii_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

// Line ends become \n; one at the very end is dropped.
std::string normalize(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
      continue;
    }
    out += '\n';
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string source) : owned_(std::move(source)), source_(owned_) {}

  Result<std::vector<Token>> run() {
    while (at_ < source_.size()) WEIR_TRY(root());
    push(TokenKind::kEnd);
    return std::move(tokens_);
  }

 private:
  template <typename... A>
  [[nodiscard]] Error fail(fmt::format_string<A...> format, A&&... args) const {
    return make_error(ErrorCode::kCorrupt, "chat template line {}: {}", line_,
                      fmt::format(format, std::forward<A>(args)...));
  }
  bool at(std::string_view what) const { return source_.substr(at_, what.size()) == what; }
  void push(TokenKind kind, std::string text = {}) {
    tokens_.push_back({kind, line_, std::move(text), 0, 0});
  }
  // Moves to `end`, counting lines.
  void advance(size_t end) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<ptrdiff_t>(at_),
                                         source_.begin() + static_cast<ptrdiff_t>(end), '\n'));
    at_ = end;
    line_starting_ = end > 0 && source_[end - 1] == '\n';
  }
  size_t skip_space(size_t from) const { return from + leading_space(source_.substr(from)); }

  // Data up to the next tag, and the tag.
  Status root() {
    size_t tag = at_;
    while (true) {
      tag = source_.find('{', tag);
      if (tag == std::string_view::npos || tag + 1 >= source_.size()) {
        push(TokenKind::kData, std::string(source_.substr(at_)));
        advance(source_.size());
        return {};
      }
      const char c = source_[tag + 1];
      if (c == '%' || c == '{' || c == '#') break;
      ++tag;
    }
    const char type = source_[tag + 1];
    size_t inside = tag + 2;
    const char sign = sign_at(inside);
    if (sign != 0) ++inside;
    data(tag, sign, type != '{');
    if (const size_t raw = type == '%' ? raw_begin(inside) : 0; raw != 0) {
      advance(raw);
      return raw_block();
    }
    advance(inside);
    if (type == '#') return comment();
    push(type == '%' ? TokenKind::kBlockBegin : TokenKind::kVariableBegin);
    return tag_inside(type == '%');
  }

  char sign_at(size_t i) const {
    return i < source_.size() && (source_[i] == '-' || source_[i] == '+') ? source_[i] : '\0';
  }

  // Emits source_[at_, end) less the white space that the tag at `end` takes off.
  void data(size_t end, char sign, bool block) {
    std::string_view text = source_.substr(at_, end - at_);
    if (sign == '-') {
      text.remove_suffix(trailing_space(text));
    } else if (sign != '+' && block) {
      const size_t newline = text.rfind('\n');
      const size_t start = newline == std::string_view::npos ? 0 : newline + 1;
      if ((start > 0 || line_starting_) && leading_space(text.substr(start)) + start == text.size())
        text = text.substr(0, start);
    }
    if (!text.empty()) push(TokenKind::kData, std::string(text));
    advance(end);
  }

  // Past "raw %}" at i, or 0.
  size_t raw_begin(size_t i) const {
    i = skip_space(i);
    if (source_.substr(i, 3) != "raw") return 0;
    i = skip_space(i + 3);
    if (source_.substr(i, 2) == "%}") return i + 2;
    if (source_.substr(i, 3) == "-%}") return skip_space(i + 3);
    return 0;
  }

  Status raw_block() {
    for (size_t tag = at_; (tag = source_.find("{%", tag)) != std::string_view::npos; ++tag) {
      size_t i = tag + 2;
      const char sign = sign_at(i);
      if (sign != 0) ++i;
      i = skip_space(i);
      if (source_.substr(i, 6) != "endraw") continue;
      const size_t end = tag_end(skip_space(i + 6), "%}", true);
      if (end == 0) continue;
      data(tag, sign, true);
      advance(end);
      return {};
    }
    return fail("the raw block does not end");
  }

  Status comment() {
    const size_t close = source_.find("#}", at_);
    if (close == std::string_view::npos) return fail("the comment does not end");
    const size_t begin = close > at_ && sign_at(close - 1) != 0 ? close - 1 : close;
    advance(tag_end(begin, "#}", true));
    return {};
  }

  // Past the closing `mark` at i with the white space it takes, or 0 when there is none.
  size_t tag_end(size_t i, std::string_view mark, bool block) const {
    if (source_.substr(i, 2) == mark) {
      i += 2;
      return block && i < source_.size() && source_[i] == '\n' ? i + 1 : i;
    }
    if (sign_at(i) == 0 || source_.substr(i + 1, 2) != mark) return 0;
    if (source_[i] == '-') return skip_space(i + 3);
    return block ? i + 3 : 0;
  }

  Status tag_inside(bool block) {
    const std::string_view mark = block ? "%}" : "}}";
    std::string open;  // closing brackets that are due
    while (at_ < source_.size()) {
      if (open.empty()) {
        if (const size_t end = tag_end(at_, mark, block); end != 0) {
          push(block ? TokenKind::kBlockEnd : TokenKind::kVariableEnd);
          advance(end);
          return {};
        }
      }
      if (const size_t space = skip_space(at_); space != at_) {
        advance(space);
        continue;
      }
      WEIR_TRY(token(open));
    }
    return fail("the tag does not end");
  }

  Status token(std::string& open) {
    const char c = source_[at_];
    if (ascii_digit(c)) return number();
    if (name_byte(c)) {
      size_t end = at_;
      while (end < source_.size() && name_byte(source_[end])) ++end;
      push(TokenKind::kName, std::string(source_.substr(at_, end - at_)));
      advance(end);
      return {};
    }
    if (c == '"' || c == '\'') return string(c);
    return operation(open);
  }

  Status operation(std::string& open) {
    static constexpr std::string_view kTwo[] = {"//", "**", "==", "!=", ">=", "<="};
    static constexpr std::string_view kOne = "+-/*%~[](){}><=.:|,;";
    const bool two =
        std::any_of(std::begin(kTwo), std::end(kTwo), [&](std::string_view op) { return at(op); });
    const char c = source_[at_];
    if (!two && kOne.find(c) == std::string_view::npos) {
      return fail("unexpected character {}", printable(c));
    }
    if (c == '(' || c == '[' || c == '{') {
      open += c == '(' ? ')' : c == '[' ? ']' : '}';
    } else if (c == ')' || c == ']' || c == '}') {
      if (open.empty()) return fail("unexpected '{}'", c);
      if (open.back() != c) return fail("unexpected '{}', expected '{}'", c, open.back());
      open.pop_back();
    }
    push(TokenKind::kOperator, std::string(source_.substr(at_, two ? 2 : 1)));
    advance(at_ + (two ? 2 : 1));
    return {};
  }

  static std::string printable(char c) {
    return c >= 0x20 && c < 0x7F ? fmt::format("'{}'", c)
                                 : fmt::format("0x{:02x}", static_cast<unsigned char>(c));
  }

  // Past digits with single underscores between them.
  size_t digits(size_t i) const {
    while (i < source_.size() &&
           (ascii_digit(source_[i]) || (source_[i] == '_' && i + 1 < source_.size() &&
                                        ascii_digit(source_[i + 1]) && source_[i - 1] != '_')))
      ++i;
    return i;
  }

  bool digit_at(size_t i) const { return i < source_.size() && ascii_digit(source_[i]); }

  Status number() {
    size_t end = digits(at_);
    bool real = false;
    if (at_ == 0 || source_[at_ - 1] != '.') {
      if (end < source_.size() && source_[end] == '.' && digit_at(end + 1)) {
        end = digits(end + 1);
        real = true;
      }
      if (end < source_.size() && (source_[end] == 'e' || source_[end] == 'E')) {
        const size_t exponent = end + (sign_at(end + 1) != 0 ? 2 : 1);
        if (digit_at(exponent)) {
          end = digits(exponent);
          real = true;
        }
      }
    }
    if (!real) return integer(end);
    std::string text(source_.substr(at_, end - at_));
    std::erase(text, '_');
    tokens_.push_back({TokenKind::kFloat, line_, text, 0, std::strtod(text.c_str(), nullptr)});
    advance(end);
    return {};
  }

  Status integer(size_t end) {
    int base = 10;
    size_t begin = at_;
    if (source_[at_] == '0' && at_ + 1 < source_.size()) {
      const char mark = static_cast<char>(source_[at_ + 1] | 0x20);
      base = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 10;
      if (base != 10) {
        begin = at_ + 2;
        end = begin;
        while (end < source_.size() && name_byte(source_[end])) ++end;
      }
    }
    std::string text(source_.substr(begin, end - begin));
    std::erase(text, '_');
    if (base == 10 && text.size() > 1 && text[0] == '0' &&
        text.find_first_not_of('0') < text.size())
      return fail("an integer does not start with 0");
    int64_t value = 0;
    const auto [last, ec] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (ec == std::errc::result_out_of_range) {
      return make_error(ErrorCode::kUnsupported,
                        "chat template line {}: the integer {} exceeds 64 bits", line_,
                        text.substr(0, 40));
    }
    if (ec != std::errc() || last != text.data() + text.size()) return fail("bad integer");
    tokens_.push_back({TokenKind::kInt, line_, text, value, 0});
    advance(end);
    return {};
  }

  Status string(char quote) {
    size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) return fail("the string does not end");
    auto text = unescape(source_.substr(at_ + 1, end - at_ - 1));
    if (!text.ok()) return fail("{}", text.error().message);
    push(TokenKind::kString, std::move(text).value());
    advance(end + 1);
    return {};
  }

  const std::string owned_;
  const std::string_view source_;
  size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

Result<std::vector<Token>> tokenize(std::string_view source) {
  if (const size_t good = valid_utf8_prefix(source); good != source.size()) {
    return make_error(ErrorCode::kCorrupt, "chat template: the bytes at offset {} are not UTF-8",
                      good);
  }
  return Lexer(normalize(source)).run();
}

}  // namespace weir::text::jinja
