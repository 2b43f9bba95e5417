// The words of a command line as settings of an engine's options, as its parser would read them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ops/deploy/deployment.h"
#include "ops/engines/snapshot.h"

namespace weir::ops {

struct Setting {
  std::string written;                   // the flag as the file spells it; or the key
  const EngineOption* option = nullptr;  // borrowed from the snapshot; nullptr: unknown
  bool negated = false;
  bool abbreviated = false;
  std::string json_key;  // of "--flag.key"
  std::vector<Word> values;
  bool glued = false;  // "--flag=value"
  int line = 0;
};

struct Settings {
  std::vector<Setting> all;      // in their order; of one that is given twice the last counts
  std::vector<Word> positional;  // what belongs to no flag

  // The last one of the option, of a member of its JSON where json_key is not empty; nullptr:
  // none.
  const Setting* find(const EngineOption* option, std::string_view json_key = "") const;
};

// snapshot: outlives the result.
Settings read_arguments(const std::vector<Word>& words, const EngineSnapshot& snapshot);
// A file's keys: those of the snapshot; without keys (vLLM's --config) its flags without dashes.
Settings read_keys(const std::vector<KeyValue>& keys, const EngineSnapshot& snapshot);

}  // namespace weir::ops
