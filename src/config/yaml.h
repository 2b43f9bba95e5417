// YAML text as a tree with line numbers. The text may be hostile: its size, depth and number of
// values are bounded, and aliases are refused, so that a small file cannot become a large tree.
// JSON is read as well, being YAML.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::config {

struct Member;

// A value of the file and the line it begins in.
struct Node {
  enum class Kind { kNull, kScalar, kList, kMap };
  Kind kind = Kind::kNull;
  int line = 0;                 // from 1
  std::string text;             // of a scalar, without quotes
  std::vector<Node> items;      // of a list
  std::vector<Member> members;  // of a map, in the file's order; keys are unique

  // nullptr when absent or not a map.
  const Node* find(std::string_view key) const;
  // "nothing", "a value", "a list", "a map".
  std::string_view kind_name() const;
};

struct Member {
  std::string key;
  int line = 0;
  Node value;
};

// The line of the key at a path, as "admin.port", below a map; where it is not there that of the
// last part of the path that is, or the map's own.
int line_of(const Node& map, std::string_view path);

struct YamlLimits {
  size_t max_bytes = 1 << 20;
  size_t max_depth = 32;
  size_t max_values = 100'000;
};

// One document. Error kCorrupt: "NAME:LINE: what is wrong" (name: of the file, as the user gave
// it); kLimit names the bound. Text without a document gives a null node.
Result<Node> parse_yaml(std::string_view text, std::string_view name,
                        const YamlLimits& limits = {});

// The file's text and tree. Errors: those of os::read_file and parse_yaml.
Result<Node> read_yaml(const std::string& path, const YamlLimits& limits = {});

}  // namespace weir::config
