// Methods of str. Every result keeps the origin of its bytes.
#include <algorithm>
#include <limits>

#include "text/jinja/methods.h"
#include "text/jinja/ops.h"
#include "text/jinja/printf.h"
#include "text/jinja/unicode.h"
#include "text/utf8.h"

namespace weir::text::jinja {
namespace {

struct Call {
  Runtime& rt;
  const Value& self;
  const Args& args;
  size_t first;
  std::string_view name;

  const std::string& bytes() const { return self.bytes(); }
  Arguments arguments() const { return {rt, args, name, first}; }
  Result<Value> text(Text t) const { return rt.text(std::move(t), self.markup()); }
  Result<Value> sub(size_t begin, size_t end) const { return text(self.text().sub(begin, end)); }
};

Status need_string(const Call& c, const Value& v, std::string_view what) {
  if (v.is_string()) return {};
  if (v.is_undefined()) return c.rt.undefined_error(v);
  return c.rt.fail("{}() needs a string as its {}, not {}", c.name, what, type_name(v));
}

// The one argument, a string.
Result<Value> one_string(const Call& c, std::string_view what) {
  Arguments a = c.arguments();
  WEIR_TRY(a.accept({what}));
  WEIR_ASSIGN(Value v, a.required(0, what));
  WEIR_TRY(need_string(c, v, what));
  return v;
}

// ---- upper, lower, ...

template <Text (*Map)(const Text&)>
Result<Value> mapped(const Call& c) {
  Arguments a = c.arguments();
  WEIR_TRY(a.accept({}));
  return c.text(Map(c.self.text()));
}

template <bool (*Holds)(uint32_t)>
Result<Value> all_chars(const Call& c) {
  const std::string& s = c.bytes();
  for (size_t at = 0; at < s.size();) {
    const Utf8Char u = decode_utf8(s, at);
    if (!u.valid || !Holds(u.codepoint)) return Value::boolean(false);
    at += u.length;
  }
  return Value::boolean(!s.empty());
}

bool is_alphanumeric(uint32_t c) { return is_letter(c) || is_digit(c); }

// islower, isupper: some cased characters, all of them of that case.
template <bool (*Wanted)(uint32_t), bool (*Other)(uint32_t)>
Result<Value> all_cased(const Call& c) {
  bool any = false;
  const std::string& s = c.bytes();
  for (size_t at = 0; at < s.size();) {
    const Utf8Char u = decode_utf8(s, at);
    if (u.valid && Other(u.codepoint)) return Value::boolean(false);
    any |= u.valid && Wanted(u.codepoint);
    at += u.length;
  }
  return Value::boolean(any);
}

// ---- strip

bool in_set(std::string_view s, size_t at, size_t length, std::string_view set) {
  const std::string_view c = s.substr(at, length);
  for (size_t i = 0; i < set.size();) {
    const size_t n = decode_utf8(set, i).length;
    if (set.substr(i, n) == c) return true;
    i += n;
  }
  return false;
}

size_t leading_of(std::string_view s, std::string_view set) {
  size_t at = 0;
  while (at < s.size()) {
    const size_t n = decode_utf8(s, at).length;
    if (!in_set(s, at, n, set)) break;
    at += n;
  }
  return at;
}

size_t trailing_of(std::string_view s, std::string_view set) {
  size_t end = s.size();
  while (end > 0) {
    size_t begin = end - 1;
    while (begin > 0 && (static_cast<unsigned char>(s[begin]) & 0xC0) == 0x80) --begin;
    if (!in_set(s, begin, end - begin, set)) break;
    end = begin;
  }
  return s.size() - end;
}

template <bool Left, bool Right>
Result<Value> strip(const Call& c) {
  Arguments a = c.arguments();
  WEIR_TRY(a.accept({"chars"}));
  const Value* chars = a.get(0);
  const bool space = chars == nullptr || chars->is(Kind::kNone);
  if (!space) {
    WEIR_TRY(need_string(c, *chars, "chars"));
    WEIR_TRY(c.rt.charge(c.bytes().size() * chars->bytes().size() / 256));
  }
  const std::string_view s = c.bytes();
  size_t begin = 0;
  if (Left) begin = space ? leading_space(s) : leading_of(s, chars->bytes());
  const std::string_view rest = s.substr(begin);
  size_t cut = 0;
  if (Right) cut = space ? trailing_space(rest) : trailing_of(rest, chars->bytes());
  return c.sub(begin, s.size() - cut);
}

// ---- split

Result<Value> pieces(const Call& c, const std::vector<std::pair<size_t, size_t>>& spans) {
  std::vector<Value> out;
  WEIR_TRY(c.rt.charge(spans.size()));
  for (const auto& [begin, end] : spans) {
    WEIR_ASSIGN(Value piece, c.sub(begin, end));
    out.push_back(std::move(piece));
  }
  return c.rt.list(std::move(out));
}

std::vector<std::pair<size_t, size_t>> split_spaces(std::string_view s, size_t most) {
  std::vector<std::pair<size_t, size_t>> out;
  size_t at = leading_space(s);
  while (at < s.size()) {
    size_t end = at;
    while (end < s.size() && leading_space(s.substr(end, 4)) == 0)
      end += decode_utf8(s, end).length;
    if (out.size() == most) end = s.size();
    out.emplace_back(at, end);
    if (out.size() > most) break;
    at = end + leading_space(s.substr(end));
  }
  return out;
}

// From the right: the last `most` words, and what is before them.
std::vector<std::pair<size_t, size_t>> rsplit_spaces(std::string_view s, size_t most) {
  auto words = split_spaces(s, std::numeric_limits<size_t>::max());
  if (words.size() <= most) return words;
  const size_t kept = words.size() - most;
  std::vector<std::pair<size_t, size_t>> out;
  out.emplace_back(0, words[kept - 1].second);
  out.insert(out.end(), words.begin() + static_cast<ptrdiff_t>(kept), words.end());
  return out;
}

std::vector<std::pair<size_t, size_t>> split_at(std::string_view s, std::string_view by,
                                                size_t most) {
  std::vector<std::pair<size_t, size_t>> out;
  size_t at = 0;
  while (out.size() < most) {
    const size_t hit = s.find(by, at);
    if (hit == std::string_view::npos) break;
    out.emplace_back(at, hit);
    at = hit + by.size();
  }
  out.emplace_back(at, s.size());
  return out;
}

std::vector<std::pair<size_t, size_t>> rsplit_at(std::string_view s, std::string_view by,
                                                 size_t most) {
  std::vector<std::pair<size_t, size_t>> out;
  size_t end = s.size();
  while (out.size() < most && end >= by.size()) {
    const size_t hit = s.rfind(by, end - by.size());
    if (hit == std::string_view::npos) break;
    out.emplace_back(hit + by.size(), end);
    end = hit;
  }
  out.emplace_back(0, end);
  std::reverse(out.begin(), out.end());
  return out;
}

template <bool Right>
Result<Value> split(const Call& c) {
  Arguments a = c.arguments();
  WEIR_TRY(a.accept({"sep", "maxsplit"}));
  WEIR_ASSIGN(const int64_t limit, a.integer(1, -1));
  const size_t most = limit < 0 ? std::numeric_limits<size_t>::max() : static_cast<size_t>(limit);
  const Value* by = a.get(0);
  WEIR_TRY(c.rt.charge_text(c.bytes().size()));
  if (by == nullptr || by->is(Kind::kNone)) {
    return pieces(c, Right ? rsplit_spaces(c.bytes(), most) : split_spaces(c.bytes(), most));
  }
  WEIR_TRY(need_string(c, *by, "separator"));
  if (by->bytes().empty()) return c.rt.fail("{}() needs a separator that is not empty", c.name);
  return pieces(
      c, Right ? rsplit_at(c.bytes(), by->bytes(), most) : split_at(c.bytes(), by->bytes(), most));
}

Result<Value> splitlines(const Call& c) {
  Arguments a = c.arguments();
  WEIR_TRY(a.accept({"keepends"}));
  WEIR_ASSIGN(const bool keep, a.boolean(0, false));
  const std::string& s = c.bytes();
  std::vector<std::pair<size_t, size_t>> spans;
  for (size_t at = 0; at < s.size();) {
    const size_t end = std::min(s.find_first_of("\r\n\v\f\x1c\x1d\x1e", at), s.size());
    size_t next = std::min(end + 1, s.size());
    if (end < s.size() && s[end] == '\r' && next < s.size() && s[next] == '\n') ++next;
    spans.emplace_back(at, keep ? next : end);
    at = next;
  }
  return pieces(c, spans);
}

template <bool Right>
Result<Value> partition(const Call& c) {
  WEIR_ASSIGN(const Value by, one_string(c, "separator"));
  if (by.bytes().empty()) return c.rt.fail("{}() needs a separator that is not empty", c.name);
  const std::string& s = c.bytes();
  const size_t hit = Right ? s.rfind(by.bytes()) : s.find(by.bytes());
  std::vector<Value> out;
  std::pair<size_t, size_t> middle(s.size(), s.size());
  if (hit != std::string::npos) {
    middle = {hit, hit + by.bytes().size()};
  } else if (Right) {
    middle = {0, 0};
  }
  for (const auto& [begin, end] :
       {std::pair(size_t{0}, middle.first), middle, std::pair(middle.second, s.size())}) {
    WEIR_ASSIGN(Value piece, c.sub(begin, end));
    out.push_back(std::move(piece));
  }
  return c.rt.list(std::move(out), Kind::kTuple);
}

// ---- searching

// The bytes of self between the optional arguments start and end at places 1 and 2.
Result<std::pair<size_t, size_t>> searched(const Call& c, const Arguments& a) {
  const std::string& s = c.bytes();
  if (a.get(1) == nullptr && a.get(2) == nullptr) return std::pair(size_t{0}, s.size());
  const auto n = static_cast<int64_t>(count_chars(s));
  const auto place = [&](int64_t i) {
    return char_offset(s, static_cast<size_t>(std::clamp<int64_t>(i < 0 ? i + n : i, 0, n)));
  };
  WEIR_ASSIGN(const int64_t start, a.integer(1, 0));
  WEIR_ASSIGN(const int64_t end, a.integer(2, n));
  return std::pair(place(start), std::max(place(start), place(end)));
}

template <bool End>
Result<Value> affix(const Call& c) {
  Arguments a = c.arguments();
  WEIR_TRY(a.accept({"prefix", "start", "end"}));
  WEIR_ASSIGN(const Value wanted, a.required(0, "prefix"));
  WEIR_ASSIGN(const auto range, searched(c, a));
  const std::string_view s =
      std::string_view(c.bytes()).substr(range.first, range.second - range.first);
  std::vector<Value> candidates{wanted};
  if (wanted.is(Kind::kTuple)) candidates = wanted.items();
  for (const Value& v : candidates) {
    WEIR_TRY(need_string(c, v, End ? "suffix" : "prefix"));
    if (End ? s.ends_with(v.bytes()) : s.starts_with(v.bytes())) return Value::boolean(true);
  }
  return Value::boolean(false);
}

template <bool Right, bool Raises>
Result<Value> find(const Call& c) {
  Arguments a = c.arguments();
  WEIR_TRY(a.accept({"sub", "start", "end"}));
  WEIR_ASSIGN(const Value wanted, a.required(0, "sub"));
  WEIR_TRY(need_string(c, wanted, "sub"));
  WEIR_ASSIGN(const auto range, searched(c, a));
  const std::string_view s =
      std::string_view(c.bytes()).substr(range.first, range.second - range.first);
  const size_t hit = Right ? s.rfind(wanted.bytes()) : s.find(wanted.bytes());
  if (hit != std::string_view::npos) {
    return Value::integer(static_cast<int64_t>(
        count_chars(std::string_view(c.bytes()).substr(0, range.first + hit))));
  }
  if (Raises) return c.rt.fail("substring not found");
  return Value::integer(-1);
}

Result<Value> count(const Call& c) {
  WEIR_ASSIGN(const Value wanted, one_string(c, "sub"));
  if (wanted.bytes().empty()) {
    return Value::integer(static_cast<int64_t>(count_chars(c.bytes())) + 1);
  }
  int64_t n = 0;
  for (size_t at = 0; (at = c.bytes().find(wanted.bytes(), at)) != std::string::npos;
       at += wanted.bytes().size()) {
    ++n;
  }
  return Value::integer(n);
}

// ---- building

Result<Value> replace(const Call& c) {
  Arguments a = c.arguments();
  WEIR_TRY(a.accept({"old", "new", "count"}));
  WEIR_ASSIGN(const Value from, a.required(0, "old"));
  WEIR_ASSIGN(const Value to, a.required(1, "new"));
  WEIR_TRY(need_string(c, from, "old text"));
  WEIR_TRY(need_string(c, to, "new text"));
  int64_t left = -1;
  if (a.get(2) != nullptr && !a.get(2)->is(Kind::kNone)) {
    WEIR_ASSIGN(left, a.integer(2, -1));
  }
  const std::string& s = c.bytes();
  Text out;
  size_t at = 0;
  while (left != 0) {
    size_t hit = s.find(from.bytes(), at);
    if (hit == std::string::npos) break;
    WEIR_TRY(c.rt.charge(1));
    WEIR_TRY(c.rt.check_text(out.size() + to.bytes().size()));
    size_t next = hit + from.bytes().size();
    if (from.bytes().empty()) {  // between all characters
      out.append(to.text());
      if (at == s.size()) return c.text(std::move(out));
      next = at + decode_utf8(s, at).length;
      out.append(c.self.text(), at, next);
    } else {
      out.append(c.self.text(), at, hit);
      out.append(to.text());
    }
    at = next;
    if (left > 0) --left;
  }
  out.append(c.self.text(), at, s.size());
  return c.text(std::move(out));
}

Result<Value> join(const Call& c) {
  Arguments a = c.arguments();
  WEIR_TRY(a.accept({"iterable"}));
  WEIR_ASSIGN(const Value over, a.required(0, "iterable"));
  WEIR_ASSIGN(const std::vector<Value> items, iterate(c.rt, over));
  Text out;
  for (size_t i = 0; i < items.size(); ++i) {
    WEIR_TRY(need_string(c, items[i], "items"));
    WEIR_TRY(c.rt.check_text(out.size() + c.bytes().size() + items[i].bytes().size()));
    if (i > 0) out.append(c.self.text());
    out.append(items[i].text());
  }
  return c.text(std::move(out));
}

Result<Value> format(const Call& c) { return brace_format(c.rt, c.self, c.args, c.first); }

template <bool Suffix>
Result<Value> remove_affix(const Call& c) {
  WEIR_ASSIGN(const Value affix, one_string(c, Suffix ? "suffix" : "prefix"));
  const std::string& s = c.bytes();
  const size_t n = affix.bytes().size();
  if (Suffix ? !s.ends_with(affix.bytes()) : !s.starts_with(affix.bytes())) return c.self;
  return Suffix ? c.sub(0, s.size() - n) : c.sub(n, s.size());
}

// ljust, rjust, center, zfill: `left` of the missing characters go before the text.
template <char Align>
Result<Value> justify(const Call& c) {
  Arguments a = c.arguments();
  WEIR_TRY(a.accept({"width", "fillchar"}));
  WEIR_ASSIGN(const int64_t width, a.integer(0, Align == '^' ? 80 : 0));
  const auto have = static_cast<int64_t>(count_chars(c.bytes()));
  if (width <= have) return c.self;
  const auto missing = static_cast<size_t>(width - have);
  WEIR_TRY(c.rt.check_text(c.bytes().size() + missing));
  std::string fill = Align == '0' ? "0" : " ";
  if (a.get(1) != nullptr) {
    WEIR_TRY(need_string(c, *a.get(1), "fill character"));
    fill = a.get(1)->bytes();
    if (count_chars(fill) != 1) return c.rt.fail("the fill character must be exactly one");
  }
  // Python's center puts the odd one to the left where both widths are odd.
  const size_t left = Align == '<'   ? 0
                      : Align == '^' ? missing / 2 + (missing & static_cast<size_t>(width) & 1)
                                     : missing;
  const std::string& s = c.bytes();
  const size_t sign = Align == '0' && !s.empty() && (s[0] == '-' || s[0] == '+') ? 1 : 0;
  Text out = c.self.text().sub(0, sign);
  for (size_t i = 0; i < left; ++i) out.append(fill);
  out.append(c.self.text(), sign, s.size());
  for (size_t i = left; i < missing; ++i) out.append(fill);
  return c.text(std::move(out));
}

struct Entry {
  std::string_view name;
  Result<Value> (*call)(const Call&);
};

constexpr Entry kMethods[] = {
    {"capitalize", mapped<capitalize>},
    {"casefold", mapped<lower>},
    {"center", justify<'^'>},
    {"count", count},
    {"endswith", affix<true>},
    {"find", find<false, false>},
    {"format", format},
    {"index", find<false, true>},
    {"isalnum", all_chars<is_alphanumeric>},
    {"isalpha", all_chars<is_letter>},
    {"isdecimal", all_chars<is_digit>},
    {"isdigit", all_chars<is_digit>},
    {"islower", all_cased<is_lower, is_upper>},
    {"isnumeric", all_chars<is_digit>},
    {"isspace", all_chars<is_space>},
    {"isupper", all_cased<is_upper, is_lower>},
    {"join", join},
    {"ljust", justify<'<'>},
    {"lower", mapped<lower>},
    {"lstrip", strip<true, false>},
    {"partition", partition<false>},
    {"removeprefix", remove_affix<false>},
    {"removesuffix", remove_affix<true>},
    {"replace", replace},
    {"rfind", find<true, false>},
    {"rindex", find<true, true>},
    {"rjust", justify<'>'>},
    {"rpartition", partition<true>},
    {"rsplit", split<true>},
    {"rstrip", strip<false, true>},
    {"split", split<false>},
    {"splitlines", splitlines},
    {"startswith", affix<false>},
    {"strip", strip<true, true>},
    {"title", mapped<title>},
    {"upper", mapped<upper>},
    {"zfill", justify<'0'>},
};

const Entry* find_method(std::string_view name) {
  const auto* at = std::find_if(std::begin(kMethods), std::end(kMethods),
                                [&](const Entry& e) { return e.name == name; });
  return at == std::end(kMethods) ? nullptr : at;
}

}  // namespace

bool has_string_method(std::string_view name) { return find_method(name) != nullptr; }

Result<Value> call_string_method(Runtime& rt, const Value& self, std::string_view name,
                                 const Args& args, size_t first) {
  WEIR_TRY(rt.charge_text(self.bytes().size()));
  return find_method(name)->call(Call{rt, self, args, first, name});
}

}  // namespace weir::text::jinja
