// str() and repr() of values.
#include <cmath>

#include "text/jinja/ops.h"
#include "text/jinja/unicode.h"
#include "text/json.h"
#include "text/utf8.h"

namespace weir::text::jinja {
namespace {

Result<Text> repr_items(Runtime& rt, const std::vector<Value>& items, std::string_view open,
                        std::string_view close) {
  Text out{std::string(open)};
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out.append(", ");
    WEIR_ASSIGN(const Text item, repr(rt, items[i]));
    WEIR_TRY(rt.check_text(out.size() + item.size()));
    out.append(item);
  }
  out.append(close);
  return out;
}

Result<Text> repr_dict(Runtime& rt, const Dict& dict) {
  Text out(std::string("{"));
  for (size_t i = 0; i < dict.entries.size(); ++i) {
    if (i > 0) out.append(", ");
    WEIR_ASSIGN(const Text key, repr(rt, dict.entries[i].first));
    WEIR_ASSIGN(const Text value, repr(rt, dict.entries[i].second));
    WEIR_TRY(rt.check_text(out.size() + key.size() + value.size()));
    out.append(key);
    out.append(": ");
    out.append(value);
  }
  out.append("}");
  return out;
}

std::string repr_range(const std::vector<Value>& items) {
  if (items.empty()) return "range(0, 0)";
  const int64_t first = items.front().as_int();
  const int64_t step = items.size() > 1 ? items[1].as_int() - first : 1;
  const int64_t end = items.back().as_int() + step;
  return step == 1 ? fmt::format("range({}, {})", first, end)
                   : fmt::format("range({}, {}, {})", first, end, step);
}

// One code point of a string's repr.
void append_escaped(uint32_t c, char quote, std::string& out) {
  if (c == static_cast<unsigned char>(quote) || c == '\\') {
    out += '\\';
    out += static_cast<char>(c);
  } else if (c == '\n') {
    out += "\\n";
  } else if (c == '\r') {
    out += "\\r";
  } else if (c == '\t') {
    out += "\\t";
  } else if (is_printable(c)) {
    append_utf8(out, c);
  } else if (c < 0x100) {
    out += fmt::format("\\x{:02x}", c);
  } else if (c < 0x10000) {
    out += fmt::format("\\u{:04x}", c);
  } else {
    out += fmt::format("\\U{:08x}", c);
  }
}

Text repr_string(const Text& text) {
  const std::string& s = text.bytes();
  const bool single = s.find('\'') == std::string::npos || s.find('"') != std::string::npos;
  const char quote = single ? '\'' : '"';
  Text out(std::string(1, quote));
  std::string piece;
  for (size_t at = 0, r = 0; at < s.size();) {
    while (text.runs()[r].end <= at) ++r;
    const Utf8Char c = decode_utf8(s, at);
    piece.clear();
    if (c.valid) {
      append_escaped(c.codepoint, quote, piece);
    } else {
      piece = s.substr(at, c.length);
    }
    out.append(piece, text.runs()[r].user);
    at += c.length;
  }
  out.append(std::string_view(&quote, 1));
  return out;
}

std::string real_text(double v) {
  if (std::isnan(v)) return "nan";
  if (std::isinf(v)) return v < 0 ? "-inf" : "inf";
  return json_number(v);
}

Result<Text> repr_list_kind(Runtime& rt, const Value& v) {
  switch (v.kind()) {
    case Kind::kTuple:
      return repr_items(rt, v.items(), "(", v.items().size() == 1 ? ",)" : ")");
    case Kind::kRange:
      return Text(repr_range(v.items()));
    case Kind::kView:
      return repr_items(rt, v.items(), "dict_view([", "])");
    case Kind::kGenerator:
      return Text("<generator object>");
    default:
      return repr_items(rt, v.items(), "[", "]");
  }
}

Result<Text> repr_namespace(Runtime& rt, const Namespace& ns) {
  Text out(std::string("<Namespace {"));
  bool first = true;
  for (const auto& [name, value] : ns.attributes) {
    if (!first) out.append(", ");
    first = false;
    out.append(repr_string(Text(name)));
    out.append(": ");
    WEIR_ASSIGN(const Text item, repr(rt, value));
    out.append(item);
  }
  out.append("}>");
  return out;
}

}  // namespace

Text escape_html(const Text& text) {
  Text out;
  const std::string& s = text.bytes();
  for (size_t at = 0, r = 0; at < s.size(); ++at) {
    while (text.runs()[r].end <= at) ++r;
    const char c = s[at];
    const std::string_view piece = c == '&'    ? "&amp;"
                                   : c == '<'  ? "&lt;"
                                   : c == '>'  ? "&gt;"
                                   : c == '\'' ? "&#39;"
                                   : c == '"'  ? "&#34;"
                                               : std::string_view(&s[at], 1);
    out.append(piece, text.runs()[r].user);
  }
  return out;
}

Result<Text> to_text(Runtime& rt, const Value& v) {
  if (v.is_string()) return v.text();
  if (v.is_undefined()) return Text();
  return repr(rt, v);
}

Result<Text> repr(Runtime& rt, const Value& v) {
  const Runtime::Deeper deeper(rt);
  WEIR_TRY(deeper.check());
  WEIR_TRY(rt.charge(1));
  switch (v.kind()) {
    case Kind::kUndefined:
      return Text("Undefined");
    case Kind::kNone:
      return Text("None");
    case Kind::kBool:
      return Text(v.as_bool() ? "True" : "False");
    case Kind::kInt:
      return Text(fmt::format("{}", v.as_int()));
    case Kind::kFloat:
      return Text(real_text(v.as_real()));
    case Kind::kString: {
      WEIR_TRY(rt.charge_text(v.bytes().size()));
      if (!v.markup()) return repr_string(v.text());
      Text out("Markup(");
      out.append(repr_string(v.text()));
      out.append(")");
      return out;
    }
    case Kind::kDict:
      return repr_dict(rt, v.dict());
    case Kind::kNamespace:
      return repr_namespace(rt, v.as<Namespace>());
    default:
      if (v.holds_list()) return repr_list_kind(rt, v);
      return Text(fmt::format("<{} object>", type_name(v)));
  }
}

}  // namespace weir::text::jinja
