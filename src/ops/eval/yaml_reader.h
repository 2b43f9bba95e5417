// Typed access to a YAML file's tree; every error names file and line. Internal to ops/.
#pragma once

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/key.h"
#include "config/yaml.h"

namespace weir::ops {

class YamlReader {
 public:
  explicit YamlReader(std::string_view name) : name_(name) {}

  Error at(int line, std::string_view what) const {
    return make_error(ErrorCode::kCorrupt, "{}:{}: {}", name_, line, what);
  }

  Status known(const config::Node& map, const std::vector<std::string>& keys) const {
    for (const config::Member& m : map.members) {
      bool found = false;
      for (const std::string& key : keys) found = found || key == m.key;
      if (!found) {
        return at(m.line, fmt::format("unknown key \"{}\"; the nearest is \"{}\"", m.key,
                                      config::nearest(m.key, keys)));
      }
    }
    return {};
  }

  // what: "a gate"; with: "rules".
  Status is_map(const config::Node& node, std::string_view what, std::string_view with) const {
    if (node.kind == config::Node::Kind::kMap) return {};
    return at(std::max(node.line, 1),
              fmt::format("{} must be a map with {}, not {}", what, with, node.kind_name()));
  }

  // The items of map's `key`, a list of one to `most` of `singular`.
  Result<std::span<const config::Node>> list(const config::Node& map, std::string_view key,
                                             std::string_view singular, size_t most) const {
    const config::Node* node = map.find(key);
    if (node == nullptr || node->kind != config::Node::Kind::kList || node->items.empty()) {
      return at(node == nullptr ? map.line : node->line,
                fmt::format("{} must be a list of at least one {}", key, singular));
    }
    if (node->items.size() > most) {
      return at(node->line,
                fmt::format("{} {} are over the limit of {}", node->items.size(), key, most));
    }
    return std::span<const config::Node>(node->items);
  }

  // Leaves `out` where the key is absent.
  Status number(const config::Node& map, std::string_view key, double min, double max,
                double& out) const {
    const config::Node* node = map.find(key);
    if (node == nullptr) return {};
    const char* end = node->text.data() + node->text.size();
    double value = 0;
    const auto [stop, error] = std::from_chars(node->text.data(), end, value);
    if (node->kind != config::Node::Kind::kScalar || error != std::errc() || stop != end ||
        !(value >= min && value <= max)) {
      return at(node->line, fmt::format("{} must be a number from {} to {}, not \"{}\"", key, min,
                                        max, shown(*node)));
    }
    out = value;
    return {};
  }

  template <typename T>
  Status integer(const config::Node& map, std::string_view key, double min, double max,
                 T& out) const {
    auto value = static_cast<double>(out);
    WEIR_TRY(number(map, key, min, max, value));
    if (value != std::floor(value)) {
      return at(map.find(key)->line, fmt::format("{} must be an integer", key));
    }
    out = static_cast<T>(value);
    return {};
  }

  Status text(const config::Node& map, std::string_view key, std::string& out) const {
    const config::Node* node = map.find(key);
    if (node == nullptr) return {};
    if (node->kind != config::Node::Kind::kScalar || node->text.empty()) {
      return at(node->line, fmt::format("{} must be a text, not {}", key, node->kind_name()));
    }
    out = node->text;
    return {};
  }

  // A list of texts, none of them empty; leaves `out` where the key is absent.
  Status texts(const config::Node& map, std::string_view key, size_t most,
               std::vector<std::string>& out) const {
    if (map.find(key) == nullptr) return {};
    WEIR_ASSIGN(const auto nodes, list(map, key, "text", most));
    out.clear();
    for (const config::Node& node : nodes) {
      if (node.kind != config::Node::Kind::kScalar || node.text.empty()) {
        return at(node.line, fmt::format("{} must be a list of texts, not of {}", key,
                                         node.text.empty() ? "empty ones" : node.kind_name()));
      }
      out.push_back(node.text);
    }
    return {};
  }

  // A list of numbers of a range.
  Status numbers(const config::Node& map, std::string_view key, size_t most, double min, double max,
                 std::vector<double>& out) const {
    WEIR_ASSIGN(const auto nodes, list(map, key, "number", most));
    for (const config::Node& node : nodes) {
      const char* end = node.text.data() + node.text.size();
      double value = 0;
      const auto [stop, error] = std::from_chars(node.text.data(), end, value);
      if (error != std::errc() || stop != end || !(value >= min && value <= max)) {
        return at(node.line, fmt::format("{} must be numbers from {} to {}, not \"{}\"", key, min,
                                         max, shown(node)));
      }
      out.push_back(value);
    }
    return {};
  }

  // One of two words; unset where the key is absent.
  Result<std::optional<bool>> choice(const config::Node& map, std::string_view key,
                                     std::string_view yes, std::string_view no) const {
    std::string word;
    WEIR_TRY(text(map, key, word));
    if (word.empty()) return std::optional<bool>();
    if (word != yes && word != no) {
      return at(map.find(key)->line,
                fmt::format("{} must be {} or {}, not \"{}\"", key, yes, no, word));
    }
    return std::optional<bool>(word == yes);
  }

 private:
  static std::string shown(const config::Node& node) {
    return node.kind == config::Node::Kind::kScalar ? node.text : std::string(node.kind_name());
  }
  std::string name_;
};

}  // namespace weir::ops
