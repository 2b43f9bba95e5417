// A configuration moved from one version of its engine to another: flags that were renamed or
// dropped, values that are no longer taken, defaults that changed under what is not set.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::ops {

struct EngineRelease {
  std::string engine;
  std::string version;
};

// "vllm-0.33.0". Error kUsage: no such snapshot, with those there are.
Result<EngineRelease> parse_release(std::string_view text);

struct MigrationNote {
  enum class Kind : uint8_t { kRenamed, kRemoved, kDeprecated, kValue, kUnknown, kByHand };
  Kind kind = Kind::kRenamed;
  int line = 0;
  std::string text;
  std::string source;  // an address, a file of data/engines, or an id of the sources; or empty
};

std::string_view note_name(MigrationNote::Kind kind);  // "renamed"

struct DefaultChange {
  std::string flag;
  std::string before, after;  // "none" where there is none
  std::string pin;            // what keeps the old one; empty: nothing does
};

struct Migration {
  std::vector<MigrationNote> notes;
  std::vector<DefaultChange> defaults;  // of what the file does not set
  std::string text;                     // the file as it should be
  std::string diff;                     // empty: nothing changes
  std::vector<std::string> commands;    // the new command lines

  // Whether a person must decide or do something.
  bool needs_a_person() const;
};

// pin: adds the old value of every changed default. Both releases are of one engine. Errors: those
// of read_deployment; kUsage when the file has no such engine.
Result<Migration> migrate_text(std::string_view text, std::string_view name,
                               const EngineRelease& from, const EngineRelease& to, bool pin);

}  // namespace weir::ops
