#include "ops/config_write/yaml_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "text/json.h"

namespace weir::ops {
namespace {

constexpr size_t kColumns = 100;
constexpr size_t kNone = std::string_view::npos;

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// Words that some reader of YAML (1.1 or 1.2) takes for a bool, null or number.
bool is_reserved(std::string_view v) {
  for (const std::string_view word :
       {"true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf", "infinity"}) {
    if (v.size() == word.size() && std::equal(v.begin(), v.end(), word.begin(), [](char a, char b) {
          return (is_letter(a) ? static_cast<char>(a | 0x20) : a) == b;
        }))
      return true;
  }
  return false;
}

// A letter, a path or a flag first, then what has no meaning inside a plain word.
bool is_plain(std::string_view v) {
  std::string_view rest = v;
  if (rest.starts_with("--")) rest.remove_prefix(2);
  if (rest.empty() || v.back() == ':' || is_reserved(v)) return false;
  if (!is_letter(rest.front()) && (rest.front() != '/' || rest.size() != v.size())) return false;
  return std::all_of(rest.begin(), rest.end(), [](char c) {
    return is_letter(c) || (c >= '0' && c <= '9') ||
           std::string_view("-_./:=,@%+").find(c) != kNone;
  });
}

// Sequences of UTF-8 that end a line for some reader, or that YAML takes only as escapes: U+007F
// to U+009F, U+2028, U+2029, the byte order mark.
std::string escape_breaks(std::string_view v) {
  std::string out;
  for (size_t i = 0; i < v.size(); ++i) {
    const auto at = [&](size_t k) {
      return i + k < v.size() ? static_cast<unsigned char>(v[i + k]) : 0U;
    };
    if (at(0) == 0x7f) {
      out += "\\u007f";
    } else if (at(0) == 0xc2 && at(1) >= 0x80 && at(1) < 0xa0) {
      out += fmt::format("\\u{:04x}", at(1));
      i += 1;
    } else if (at(0) == 0xe2 && at(1) == 0x80 && (at(2) == 0xa8 || at(2) == 0xa9)) {
      out += at(2) == 0xa8 ? "\\u2028" : "\\u2029";
      i += 2;
    } else if (at(0) == 0xef && at(1) == 0xbb && at(2) == 0xbf) {
      out += "\\ufeff";
      i += 2;
    } else {
      out += v[i];
    }
  }
  return out;
}

std::string quoted(std::string_view v) {
  return is_plain(v) ? std::string(v) : escape_breaks(text::json_quote(v));
}

const YamlText* name_of(const YamlText& item) {
  return item.kind() == YamlText::Kind::kMap ? item.find("name") : nullptr;
}

bool all_named(const std::vector<YamlText>& items) {
  return !items.empty() && std::all_of(items.begin(), items.end(),
                                       [](const YamlText& i) { return name_of(i) != nullptr; });
}

const YamlText* find_named(const std::vector<YamlText>& items, const YamlText& name) {
  for (const YamlText& i : items) {
    const YamlText* n = name_of(i);
    if (n != nullptr && n->same(name)) return &i;
  }
  return nullptr;
}

std::string below(const std::string& path, const std::string& key) {
  return path.empty() ? key : fmt::format("{}.{}", path, key);
}

void list_into(const YamlText* base, const YamlText* value, const std::string& path,
               const std::string& file, std::vector<EnvironmentDifference>& out) {
  if (base != nullptr && value != nullptr) {
    if (base->same(*value)) return;
    if (base->kind() == YamlText::Kind::kMap && value->kind() == YamlText::Kind::kMap) {
      for (const auto& [key, v] : value->members()) {
        const YamlText* b = base->find(key);
        list_into(b, &v, below(path, key), file, out);
      }
      for (const auto& [key, b] : base->members()) {
        if (value->find(key) == nullptr) list_into(&b, nullptr, below(path, key), file, out);
      }
      return;
    }
    if (all_named(base->items()) && all_named(value->items())) {
      for (const YamlText& i : value->items())
        list_into(find_named(base->items(), *i.find("name")), &i,
                  path + "[" + i.find("name")->scalar() + "]", file, out);
      return;
    }
    if (base->kind() == YamlText::Kind::kList && value->kind() == YamlText::Kind::kList &&
        base->items().size() == value->items().size()) {
      for (size_t i = 0; i < base->items().size(); ++i)
        list_into(&base->items()[i], &value->items()[i], fmt::format("{}[{}]", path, i), file, out);
      return;
    }
  }
  out.push_back({file, path, base == nullptr ? "" : base->flow(),
                 value == nullptr ? "" : value->flow(), value == nullptr ? "" : value->comment()});
}

}  // namespace

YamlText YamlText::raw(std::string v) {
  YamlText out;
  out.kind_ = Kind::kScalar;
  out.scalar_ = std::move(v);
  return out;
}
YamlText YamlText::text(std::string_view v) { return raw(quoted(v)); }
YamlText YamlText::number(int64_t v) { return raw(fmt::format("{}", v)); }
YamlText YamlText::flag(bool v) { return raw(v ? "true" : "false"); }
YamlText YamlText::none() { return raw("null"); }

YamlText YamlText::block(std::string v) {
  YamlText out = raw(std::move(v));
  out.block_ = true;
  return out;
}

YamlText YamlText::map(std::vector<Member> members) {
  YamlText out;
  out.members_ = std::move(members);
  return out;
}

YamlText YamlText::list(std::vector<YamlText> items) {
  YamlText out;
  out.kind_ = Kind::kList;
  out.items_ = std::move(items);
  return out;
}

YamlText YamlText::why(std::string comment) && {
  comment_ = std::move(comment);
  return std::move(*this);
}

YamlText& YamlText::set(std::string key, YamlText value) {
  for (Member& m : members_) {
    if (m.first != key) continue;
    m.second = std::move(value);
    return *this;
  }
  members_.emplace_back(std::move(key), std::move(value));
  return *this;
}

void YamlText::set_path(std::string_view path, YamlText value) {
  const size_t point = path.find('.');
  if (point == std::string_view::npos) {
    set(std::string(path), std::move(value));
    return;
  }
  const std::string key(path.substr(0, point));
  if (find(key) == nullptr) set(key, YamlText());
  const auto it = std::find_if(members_.begin(), members_.end(),
                               [&](const Member& m) { return m.first == key; });
  it->second.set_path(path.substr(point + 1), std::move(value));
}

const YamlText* YamlText::find(std::string_view key) const {
  for (const Member& m : members_) {
    if (m.first == key) return &m.second;
  }
  return nullptr;
}

bool YamlText::same(const YamlText& o) const {
  if (kind_ != o.kind_ || scalar_ != o.scalar_ || members_.size() != o.members_.size() ||
      items_.size() != o.items_.size())
    return false;
  for (const auto& [key, value] : members_) {
    const YamlText* other = o.find(key);
    if (other == nullptr || !value.same(*other)) return false;
  }
  return std::equal(items_.begin(), items_.end(), o.items_.begin(),
                    [](const YamlText& a, const YamlText& b) { return a.same(b); });
}

std::string YamlText::flow() const {
  if (kind_ == Kind::kScalar) {
    // People read the text; its quotes are JSON's.
    const auto words = scalar_.starts_with('"') ? text::Json::parse(scalar_) : text::Json();
    return words.ok() && words->is_string() ? words->as_string() : scalar_;
  }
  std::string out;
  for (const auto& [key, value] : members_)
    out += (out.empty() ? "" : ", ") + key + ": " + value.flow();
  for (const YamlText& i : items_) out += (out.empty() ? "" : ", ") + i.flow();
  return kind_ == Kind::kMap ? "{" + out + "}" : "[" + out + "]";
}

YamlText value_of(const ConfigLine& l) {
  const auto json = l.json ? text::Json::parse(l.value) : text::Json();
  if (!l.json || !json.ok()) return YamlText::text(l.value);
  // Lists and objects anew, so that they stand on one line.
  return YamlText::raw(json->is_array() || json->is_object() ? escape_breaks(json->dump())
                                                             : l.value);
}

std::string comment_lines(std::string_view given, int indent, std::string_view mark) {
  // A line's end inside would end the comment.
  std::string clean = escape_breaks(given);
  std::replace_if(
      clean.begin(), clean.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; }, ' ');
  std::string_view text = clean;
  const std::string head = std::string(static_cast<size_t>(indent), ' ') + std::string(mark);
  std::string out, line = head;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    if (line.size() > head.size() && line.size() + 1 + word.size() > kColumns) {
      out += line + "\n";
      line = head;
    }
    line += ' ';
    line += word;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return line.size() > head.size() ? out + line + "\n" : out;
}

// After "key:" or "-".
void YamlText::dump_value(int indent, std::string& out) const {
  if (kind_ == Kind::kScalar && block_) {
    out += " |\n";
    std::string_view rest = scalar_;
    while (!rest.empty()) {
      const size_t end = std::min(rest.find('\n'), rest.size());
      if (end > 0) out += std::string(static_cast<size_t>(indent), ' ');
      out += std::string(rest.substr(0, end)) + "\n";
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  } else if (kind_ == Kind::kScalar) {
    out += " " + scalar_ + "\n";
  } else if (members_.empty() && items_.empty()) {
    out += kind_ == Kind::kMap ? " {}\n" : " []\n";
  } else {
    out += "\n";
    dump_to(indent, false, out);
  }
}

void YamlText::dump_to(int indent, bool in_list, std::string& out) const {
  const std::string pad(static_cast<size_t>(indent), ' ');
  bool first = in_list;
  for (const auto& [key, value] : members_) {
    if (!first) out += comment_lines(value.comment_, indent);
    if (!first) out += pad;
    out += quoted(key) + ":";
    value.dump_value(indent + 2, out);
    first = false;
  }
  for (const YamlText& item : items_) {
    out += comment_lines(item.comment_, indent);
    // The first member stands behind the dash, so its comment goes above it.
    if (item.kind_ == Kind::kMap && !item.members_.empty())
      out += comment_lines(item.members_[0].second.comment_, indent);
    out += pad + "-";
    if (item.kind_ == Kind::kMap && !item.members_.empty()) {
      out += " ";
      item.dump_to(indent + 2, true, out);
    } else {
      item.dump_value(indent + 2, out);
    }
  }
}

std::string YamlText::dump() const {
  std::string out = comment_lines(comment_, 0);
  dump_to(0, false, out);
  return out;
}

std::optional<YamlText> yaml_difference(const YamlText& base, const YamlText& value, bool by_name) {
  if (base.same(value)) return std::nullopt;
  using Kind = YamlText::Kind;
  if (base.kind() == Kind::kMap && value.kind() == Kind::kMap) {
    YamlText out;
    for (const auto& [key, v] : value.members()) {
      const YamlText* b = base.find(key);
      if (b == nullptr) {
        out.set(key, v);
      } else if (auto d = yaml_difference(*b, v, by_name)) {
        out.set(key, std::move(*d));
      }
    }
    for (const auto& [key, b] : base.members()) {
      if (value.find(key) == nullptr) out.set(key, YamlText::none());
    }
    return out;
  }
  if (by_name && all_named(base.items()) && all_named(value.items())) {
    YamlText out = YamlText::list({});
    for (const YamlText& i : value.items()) {
      const YamlText& name = *i.find("name");
      const YamlText* b = find_named(base.items(), name);
      if (b == nullptr) {
        out.push(i);
      } else if (auto d = yaml_difference(*b, i, by_name)) {
        YamlText named = YamlText::map({{"name", name}});
        for (const auto& [key, v] : d->members()) named.set(key, v);
        out.push(std::move(named));
      }
    }
    return out;
  }
  return value;
}

std::vector<EnvironmentDifference> list_differences(const YamlText& base, const YamlText& value,
                                                    const std::string& file) {
  std::vector<EnvironmentDifference> out;
  list_into(&base, &value, "", file, out);
  return out;
}

}  // namespace weir::ops
