// The effective value of every key, and where it comes from: flag > WEIR_* variable > file >
// default.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/key.h"
#include "config/problems.h"
#include "config/yaml.h"

namespace weir::config {

enum class Origin { kDefault, kFile, kEnvironment, kFlag };

struct Setting {
  const Key* key = nullptr;  // borrowed from the schema
  Value value;
  Origin origin = Origin::kDefault;
  std::string where;  // "weir.yaml:3", "WEIR_PORT", "--port", "default"
};

// The text of each flag that was given, by the path of its key.
using FlagValues = std::map<std::string, std::vector<std::string>>;

struct Sources {
  FlagValues flags;
  // The value of an environment variable; empty function: none is looked at.
  std::function<std::optional<std::string>(const std::string& name)> environment;
  std::string file_name;  // for messages
  Node file;              // a map of sections, or null
};

// Of the names of environment variables those that are probably meant for `schema` but set none of
// its keys: a WEIR_ name within three letters of one, with that one. A typing slip is otherwise
// silent.
std::vector<std::pair<std::string, std::string>> misspelt_variables(
    std::span<const Key> schema, std::span<const std::string> names);

class Settings {
 public:
  // schema: borrowed; in the order of all(). Errors kCorrupt (file) and kUsage (flag, environment)
  // name the problems (of a file the first ten), one a line: "weir.yaml:3: unknown key \"prot\";
  // the nearest is \"port\"".
  static Result<Settings> resolve(std::span<const Key> schema, const Sources& sources);
  // Of a file, or a map in one, alone; schema as above. What is wrong with it, the first ten, is
  // told to `problems`, whose file it is, and the keys in question have their defaults.
  static Settings from_file(std::span<const Key> schema, const Node& file, Problems& problems);

  const std::vector<Setting>& all() const { return settings_; }
  // Precondition: the schema has the path.
  const Setting& at(std::string_view path) const;
  // The reloadable ones as `next` has them. Both are resolved from one schema.
  void take_reloadable(const Settings& next);
  bool is_set(std::string_view path) const { return at(path).origin != Origin::kDefault; }

 private:
  std::vector<Setting> settings_;
};

// The keys whose value differs, as far as a running process cannot take them over.
std::vector<std::string> not_reloadable(const Settings& before, const Settings& after);
// All keys whose value differs.
std::vector<std::string> changed(const Settings& before, const Settings& after);

// A table for people, and [{"key","value","origin","where","reloadable","unit"}] for programs.
// Secrets are masked.
std::string show_table(const Settings& settings);
std::string show_json(const Settings& settings);

}  // namespace weir::config
