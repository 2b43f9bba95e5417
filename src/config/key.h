// What a configuration may say, as data: one Key per setting, with its type, range, default and
// where it can be given. Flags, environment, files, help texts and `weir config show` all come from
// the same Key.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "config/yaml.h"

namespace weir::config {

using Value = std::variant<bool, int64_t, double, std::string, std::vector<std::string>>;

enum class Type { kBool, kInt, kNumber, kText, kList };  // in the order of Value

// What a Key is besides its name and type.
struct Spec {
  double min = -std::numeric_limits<double>::infinity();  // of kInt and kNumber, both inclusive
  double max = std::numeric_limits<double>::infinity();
  std::string_view unit = {};                  // "ms", "tokens"; for people
  std::vector<std::string_view> choices = {};  // of kText; empty: any
  bool reloadable = false;                     // may change while the process runs
  bool secret = false;                         // never shown
  std::string_view unset = {};                 // what the default means, where it does not say so
  std::string_view help = {};
};

struct Key {
  std::string path;  // "slo.itl_ms": a section and a name
  std::string flag;  // "--slo-itl-ms"; empty: no flag
  Type type = Type::kText;
  Value fallback;  // the default
  Spec spec;
};

// "WEIR_SLO_ITL_MS" for "slo.itl_ms".
std::string environment_name(std::string_view path);

// A value out of a flag or the environment. kList: the text is one item. Error kUsage: "must be …,
// not …", without the key's name; a secret is not repeated.
Result<Value> parse_value(const Key& key, std::string_view text);
// Out of a file. The same errors.
Result<Value> parse_value(const Key& key, const Node& node);

// "an integer from 1 to 4096 tokens".
std::string describe(const Key& key);

// As people read it; lists with commas; "***" for a secret that is set.
std::string show(const Key& key, const Value& value);
// As JSON; secrets masked.
std::string show_json(const Key& key, const Value& value);

// Insertions, deletions and replacements between the two, of their first 64 bytes or so.
size_t edit_distance(std::string_view a, std::string_view b);
// The key whose path is nearest to `path` by edit distance; "" without keys.
std::string_view nearest(std::string_view path, std::span<const Key> keys);
// The same among any names.
std::string_view nearest(std::string_view name, std::span<const std::string> names);

}  // namespace weir::config
