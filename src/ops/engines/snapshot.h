// What a serving engine takes in one version: a file of data/engines (their form: README.md there),
// with lookup as the engine's own parser does it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::ops {

enum class OptionType : uint8_t { kInt, kFloat, kBool, kText, kChoice, kList, kJson };

// A flag of a command line, or a key of a file ("a.b", "a[].b" of the items of a list).
struct EngineOption {
  std::string name;
  std::vector<std::string> aliases;
  OptionType type = OptionType::kText;
  std::optional<std::string> fallback;  // the default; nullopt: there is none that is fixed
  std::string fallback_note;            // how it is decided at run time
  std::vector<std::string> choices;
  bool open_choices = false;  // the sources do not say all
  std::vector<std::string> known_values;
  std::vector<std::string> json_keys;
  std::optional<double> min, above, max, below;
  bool negatable = false;
  std::vector<std::string> negated;  // the words that turn it off; empty: --no-NAME
  bool repeatable = false;
  std::string env;
  std::string group;
  std::string deprecated;  // why and what instead; empty: it is not
};

// Immutable after parse(); any thread.
class EngineSnapshot {
 public:
  // Error kCorrupt: "NAME:LINE: what is wrong".
  static Result<EngineSnapshot> parse(std::string_view text, std::string_view name);

  const std::string& engine() const { return engine_; }
  const std::string& version() const { return version_; }
  const std::vector<EngineOption>& flags() const { return flags_; }
  const std::vector<EngineOption>& keys() const { return keys_; }

  struct Found {
    const EngineOption* option = nullptr;  // nullptr: there is no such flag
    bool negated = false;
    bool abbreviated = false;  // a beginning that only this flag has
    std::string json_key;      // of "--flag.key": what follows the point
  };
  // `flag` as written, without "=value".
  Found find_flag(std::string_view flag) const;
  // Indices of lists as "[]".
  const EngineOption* find_key(std::string_view dotted) const;
  // Of all spellings; "" where there are none.
  std::string_view nearest_flag(std::string_view flag) const;
  std::string_view nearest_key(std::string_view dotted) const;

 private:
  struct Entry {
    size_t option = 0;
    bool negated = false;
  };
  void index();
  Found find_exact(std::string_view flag) const;
  Found find_abbreviation(std::string_view flag) const;

  std::string engine_;
  std::string version_;
  std::vector<EngineOption> flags_;
  std::vector<EngineOption> keys_;
  std::map<std::string, Entry, std::less<>> flag_names_;
  std::map<std::string, size_t, std::less<>> key_names_;
  std::vector<std::string> flag_spellings_;
  std::vector<std::string> key_spellings_;
};

// What is wrong with the value of an option, as "must be ..."; "" when nothing is. Of kBool: what a
// file may hold. human_units: 32k and 1.5M are integers (vLLM).
std::string value_problem(const EngineOption& option, std::string_view value, bool human_units);

// 32k is 32000 and 32K is 32768, as vLLM reads them; nullopt for what is no integer.
std::optional<int64_t> human_integer(std::string_view text);

}  // namespace weir::ops
