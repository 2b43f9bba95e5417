#include "text/json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

namespace weir::text {
namespace {

void append_escape(uint32_t unit, std::string& out) { out += fmt::format("\\u{:04x}", unit); }

void append_code_point_escaped(uint32_t c, std::string& out) {
  if (c < 0x10000) {
    append_escape(c, out);
  } else {
    append_escape(0xD800 + ((c - 0x10000) >> 10), out);
    append_escape(0xDC00 + ((c - 0x10000) & 0x3FF), out);
  }
}

// The code point at s[i] of well-formed UTF-8, and past it.
uint32_t next_code_point(std::string_view s, size_t& i) {
  const auto byte = [&](size_t k) { return static_cast<unsigned char>(s[k]); };
  const unsigned char b = byte(i);
  const int more = b < 0x80 ? 0 : b < 0xE0 ? 1 : b < 0xF0 ? 2 : 3;
  uint32_t c = more == 0 ? b : b & (0x3FU >> more);
  ++i;
  for (int k = 0; k < more && i < s.size(); ++k) c = c << 6 | (byte(i++) & 0x3F);
  return c;
}

class Dumper {
 public:
  explicit Dumper(const JsonDump& options) : o_(options) {}
  std::string take() { return std::move(out_); }

  void write(const Json& v, int level) {
    if (v.is_array()) {
      write_list(v.items(), level, '[', ']', [&](const Json& item) { write(item, level + 1); });
    } else if (v.is_object() && o_.sort_keys) {
      Json::Object sorted = v.members();
      std::sort(sorted.begin(), sorted.end(),
                [](const auto& a, const auto& b) { return a.first < b.first; });
      write_members(sorted, level);
    } else if (v.is_object()) {
      write_members(v.members(), level);
    } else {
      write_scalar(v);
    }
  }

 private:
  void write_members(const Json::Object& members, int level) {
    write_list(members, level, '{', '}', [&](const Json::Member& m) {
      out_ += json_quote(m.first, o_.ensure_ascii);
      out_ += o_.key;
      write(m.second, level + 1);
    });
  }
  template <typename List, typename Write>
  void write_list(const List& list, int level, char open, char close, Write write_item) {
    out_ += open;
    bool first = true;
    for (const auto& item : list) {
      if (!first) out_ += o_.item;
      first = false;
      new_line(level + 1);
      write_item(item);
    }
    if (!first) new_line(level);
    out_ += close;
  }
  void new_line(int level) {
    if (o_.indent < 0) return;
    out_ += '\n';
    out_.append(static_cast<size_t>(o_.indent) * static_cast<size_t>(level), ' ');
  }
  void write_scalar(const Json& v) {
    if (v.is_string()) {
      out_ += json_quote(v.as_string(), o_.ensure_ascii);
    } else if (v.is_bool()) {
      out_ += v.as_bool() ? "true" : "false";
    } else if (v.is_int()) {
      out_ += std::to_string(v.as_int());
    } else if (v.is_double() && std::isfinite(v.as_double())) {
      out_ += json_number(v.as_double());
    } else {
      out_ += "null";
    }
  }
  const JsonDump& o_;
  std::string out_;
};

}  // namespace

std::string json_quote(std::string_view s, bool ensure_ascii) {
  std::string out = "\"";
  for (size_t i = 0; i < s.size();) {
    const char c = s[i];
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80 && ensure_ascii) {
      append_code_point_escaped(next_code_point(s, i), out);
      continue;
    }
    ++i;
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      default:
        if (byte < 0x20) {
          append_escape(byte, out);
        } else {
          out += c;
        }
    }
  }
  return out += '"';
}

std::string json_number(double v) {
  if (v == 0) return std::signbit(v) ? "-0.0" : "0.0";
  const double magnitude = std::abs(v);
  char buffer[40];
  // Python's repr: fixed notation for exponents from -4 to 15, else scientific with at least two
  // exponent digits.
  const bool fixed = magnitude >= 1e-4 && magnitude < 1e16;
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, v,
                                 fixed ? std::chars_format::fixed : std::chars_format::scientific)
                       .ptr;
  std::string text(buffer, end);
  if (fixed && text.find('.') == std::string::npos) text += ".0";
  return text;
}

std::string Json::dump(const JsonDump& options) const {
  Dumper dumper(options);
  dumper.write(*this, 0);
  return dumper.take();
}

std::string_view Json::type_name() const {
  static constexpr std::string_view kNames[] = {"null",   "boolean", "integer", "number",
                                                "string", "array",   "object"};
  return kNames[value_.index()];
}

size_t Json::size() const {
  if (is_array()) return items().size();
  if (is_object()) return members().size();
  if (is_string()) return as_string().size();
  return 0;
}

const Json* Json::find(std::string_view key) const {
  if (!is_object()) return nullptr;
  for (const Member& m : members()) {
    if (m.first == key) return &m.second;
  }
  return nullptr;
}

Json* Json::find(std::string_view key) { return const_cast<Json*>(std::as_const(*this).find(key)); }

Json& Json::set(std::string_view key, Json value) {
  if (is_null()) value_ = Object{};
  if (Json* old = find(key); old != nullptr) return *old = std::move(value);
  return members().emplace_back(std::string(key), std::move(value)).second;
}

Json& Json::push_back(Json value) {
  if (is_null()) value_ = Array{};
  return items().emplace_back(std::move(value));
}

}  // namespace weir::text
