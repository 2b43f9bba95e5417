// YAML with comments, made of a tree; and what one tree has otherwise than another, as a patch that
// kustomize and helm understand.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ops/config_write/config_line.h"

namespace weir::ops {

class YamlText {
 public:
  enum class Kind : uint8_t { kScalar, kMap, kList };
  using Member = std::pair<std::string, YamlText>;

  YamlText() : kind_(Kind::kMap) {}
  // Plain only where every reader takes it for the same text; else in double quotes, with what a
  // reader may take for the end of a line escaped. v: UTF-8.
  static YamlText text(std::string_view v);
  static YamlText number(int64_t v);
  static YamlText flag(bool v);
  static YamlText map(std::vector<Member> members);
  static YamlText list(std::vector<YamlText> items);
  static YamlText none();  // null: takes a key out of what is patched
  // Text as it stands in YAML: "8", "true", "\"8\"".
  static YamlText raw(std::string v);
  // Over several lines, as "|".
  static YamlText block(std::string v);

  // The same with a comment above it.
  YamlText why(std::string comment) &&;
  YamlText& set(std::string key, YamlText value);  // replaces; returns this map
  // Sets "a.b.c", making maps on the way.
  void set_path(std::string_view path, YamlText value);
  void push(YamlText item) { items_.push_back(std::move(item)); }

  Kind kind() const { return kind_; }
  const YamlText* find(std::string_view key) const;
  const std::string& scalar() const { return scalar_; }
  const std::string& comment() const { return comment_; }
  const std::vector<Member>& members() const { return members_; }
  const std::vector<YamlText>& items() const { return items_; }

  // A document; ends with a newline.
  std::string dump() const;
  bool same(const YamlText& other) const;  // without comments
  // On one line, for people: "{a: 1, b: [x]}".
  std::string flow() const;

 private:
  void dump_to(int indent, bool in_list, std::string& out) const;
  void dump_value(int indent, std::string& out) const;

  Kind kind_ = Kind::kScalar;
  std::string scalar_;
  std::string comment_;
  bool block_ = false;
  std::vector<Member> members_;
  std::vector<YamlText> items_;
};

// What turns base into value: members that differ. Lists whose items have names are merged by them
// (strategic merge, which only the built-in kinds of Kubernetes know) where by_name; else they are
// replaced. nullopt: nothing.
std::optional<YamlText> yaml_difference(const YamlText& base, const YamlText& value, bool by_name);

// The leaves of such a difference, for people. file: of each.
std::vector<EnvironmentDifference> list_differences(const YamlText& base, const YamlText& value,
                                                    const std::string& file);

// A line's value: as it stands where it is JSON, else a text.
YamlText value_of(const ConfigLine& line);

// A comment of several lines, 100 columns wide: "# ...".
std::string comment_lines(std::string_view text, int indent, std::string_view mark = "#");

}  // namespace weir::ops
