// Lines for one engine in one version: what the version does not take is left out with the reason,
// what is its default anyway is not written.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ops/config_write/config_line.h"
#include "ops/engines/snapshot.h"

namespace weir::ops {

// A value by the name that data/engine_facts.yaml gives it, for whichever engine.
struct PlanFact {
  std::string fact;                 // "tensor_parallel"
  std::vector<std::string> values;  // of several spellings the first that the engine takes
  std::string why, source;
};

class LineSet {
 public:
  // snapshot: outlives it. Keys of a file are meant, not flags, where keys is true.
  explicit LineSet(const EngineSnapshot& snapshot, bool keys = false)
      : snapshot_(snapshot), keys_(keys) {}

  // A word that belongs to no flag.
  void word(std::string value, std::string why, std::string_view source);
  // Under the engine's own name of the fact; nothing where the engine has no word for it.
  void fact(const PlanFact& fact);
  // name: a flag with its dashes, or a key. A name that went follows data/engines/renames.yaml.
  // Switches have the values "true" and "false".
  void set(std::string_view name, std::string value, std::string why, std::string_view source);

  // What was put in; once.
  std::vector<ConfigLine> take_lines() { return std::move(lines_); }
  std::vector<std::string> take_left_out() { return std::move(left_out_); }
  // The first value that its option refuses: kUnsupported with option, bound and value.
  const Status& status() const { return status_; }

 private:
  const EngineOption* find(std::string_view name) const;
  void put(const EngineOption& option, const PlanFact& fact);
  void put_switch(const EngineOption& option, bool on, const PlanFact& fact);

  const EngineSnapshot& snapshot_;
  bool keys_ = false;
  std::vector<ConfigLine> lines_;
  std::vector<std::string> left_out_;
  Status status_;
};

}  // namespace weir::ops
