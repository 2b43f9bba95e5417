// data/engine_facts.yaml: how engines are called, and under which flag or key each says the same.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ops/engines/snapshot.h"

namespace weir::ops {

struct EngineProgram {
  std::string engine;
  std::vector<std::vector<std::string>> programs;  // the words that a command begins with
  std::vector<std::string> images;                 // what the name of an image contains
  bool listens_to_all = false;                     // without a host given
  std::string key_env;                             // variable that holds an API key; or empty
};

// Where an engine says a fact.
struct FactName {
  std::string option;  // "--flag" or a key
  std::string member;  // of its JSON; or empty
  std::string means;   // the fact's value when the option is given; empty: the option's value
  bool inverted = false;
};

struct FactKind {
  std::string name;
  std::string type;    // "int", "number", "bool", "text"
  std::string intake;  // path of an intake field; or empty
  std::map<std::string, std::vector<FactName>, std::less<>> engines;
  std::map<std::string, std::string, std::less<>> values;  // spelling -> what it means
};

// What the name of a quantization says of the size of weights.
struct QuantizationName {
  std::string name;
  std::string engine;         // of this one alone; or empty
  double bits = 0;            // of a weight, with scales; 0: only the checkpoint says
  bool experts_only = false;  // the other weights have 16
};

struct EngineFacts {
  std::vector<EngineProgram> engines;
  std::vector<FactKind> facts;
  std::vector<QuantizationName> quantizations;

  const EngineProgram* find_engine(std::string_view engine) const;
  const FactKind* find_fact(std::string_view name) const;
  // The engine's own before what holds for all; nullptr: a name that is not known.
  const QuantizationName* find_quantization(std::string_view engine, std::string_view name) const;
};

// Error kCorrupt: "NAME:LINE: ...".
Result<EngineFacts> parse_engine_facts(std::string_view text, std::string_view name);
// What travels inside the program. Any thread.
const EngineFacts& engine_facts();

}  // namespace weir::ops
