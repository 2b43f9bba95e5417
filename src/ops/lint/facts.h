// What is known of one engine in one container, by name: what conditions of rules compare and what
// intake takes over. Names: data/config_rules.yaml.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "ops/deploy/arguments.h"
#include "ops/deploy/deployment.h"
#include "ops/engines/snapshot.h"

namespace weir::ops {

struct Fact {
  std::string text;  // "true" and "false" of a bool
  std::optional<double> number;
  int line = 0;        // of the file; 0: said by nothing in it
  bool given = false;  // by the file; else a default, or computed
};

class FactSet {
 public:
  void set(std::string_view name, std::string text, int line = 0, bool given = false);
  void set_number(std::string_view name, double value, int line = 0, bool given = false);
  void set_flag(std::string_view name, bool value, int line = 0, bool given = false);
  void erase(std::string_view name);
  // nullptr when it is not known.
  const Fact* find(std::string_view name) const;
  std::optional<double> number(std::string_view name) const;
  bool is(std::string_view name, std::string_view text) const;

  const std::map<std::string, Fact, std::less<>>& all() const { return facts_; }

 private:
  std::map<std::string, Fact, std::less<>> facts_;
};

// An engine call with the snapshot it is held against.
struct CallView {
  const Deployment* deployment = nullptr;  // borrowed, all of them
  const WorkloadSpec* workload = nullptr;
  const ContainerSpec* container = nullptr;
  const EngineSnapshot* snapshot = nullptr;
  const Settings* settings = nullptr;
  std::string image_version;  // of the image's tag; or empty
};

// What the file says of the call, with the defaults of the snapshot.
FactSet facts_of(const CallView& call);

}  // namespace weir::ops
