#include "ops/config_write/yaml_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "text/json.h"

namespace weir::ops {
namespace {

constexpr size_t kColumns = 100;
constexpr size_t kNone = std::string_view::npos;

bool reads_otherwise(std::string_view v) {
  for (const std::string_view word : {"true", "false", "null", "yes", "no", "on", "off", "~",
                                      "True", "False", "Yes", "No", "y", "n"}) {
    if (v == word) return true;
  }
  double number = 0;
  const auto [end, error] = std::from_chars(v.data(), v.data() + v.size(), number);
  return error == std::errc() && end == v.data() + v.size();
}

std::string quoted(std::string_view v) {
  const bool plain = !v.empty() &&
                     std::string_view(" -?:,[]{}#&*!|>'\"%@`=").find(v.front()) == kNone &&
                     v.back() != ' ' && v.back() != ':' && v.find(": ") == kNone &&
                     v.find(" #") == kNone && v.find('\n') == kNone && !reads_otherwise(v);
  // A flag, which begins with a dash that no space follows, is plain as well.
  const bool flag = v.size() > 2 && v.starts_with("--") && v.find(": ") == kNone &&
                    v.find(" #") == kNone && v.find('\n') == kNone && v.back() != ':';
  return plain || flag ? std::string(v) : text::json_quote(v);
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
YamlText YamlText::real(double v) { return raw(fmt::format("{:g}", v)); }
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
  if (kind_ == Kind::kScalar) return scalar_;
  std::string out;
  for (const auto& [key, value] : members_)
    out += (out.empty() ? "" : ", ") + key + ": " + value.flow();
  for (const YamlText& i : items_) out += (out.empty() ? "" : ", ") + i.flow();
  return kind_ == Kind::kMap ? "{" + out + "}" : "[" + out + "]";
}

std::string comment_lines(std::string_view given, int indent, std::string_view mark) {
  // A line's end inside would end the comment.
  std::string clean(given);
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
