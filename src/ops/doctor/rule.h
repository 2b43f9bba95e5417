// What is wanted of a machine, as a table of rules, and their judgement. Pure: facts in, findings
// out.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ops/doctor/machine.h"

namespace weir::ops {

// Of what is to be served; empty when that is not known.
struct DoctorNeed {
  std::string model;  // name, for people
  std::string path;   // absolute, of its files; empty when they are not on this machine
  double weight_bytes = 0;
  double kv_bytes = 0;  // of one request at its longest context
  bool known() const { return weight_bytes > 0; }
};

enum class DoctorSeverity { kFix, kHint };

// One rule's answer about one machine.
struct Judged {
  enum class State { kFine, kWrong, kUnknown };
  State state = State::kUnknown;
  std::string found = {};
  // Of kWrong. Shell commands for root, one a line; empty where no command can do it (a cable, the
  // firmware, the way a container is started), which `advice` says then.
  std::string fix = {};
  std::string undo = {};
  std::string advice = {};
  std::optional<DoctorSeverity> severity = {};  // another than the rule's
};

struct DoctorRule {
  std::string_view id;  // "cpu-governor"
  DoctorSeverity severity = DoctorSeverity::kFix;
  std::string_view when;  // what it applies to, for people
  std::string_view wanted;
  std::string_view why;
  std::string_view source;  // an id of skill/data/sources.json
  bool (*applies)(const Machine&, const DoctorNeed&) = nullptr;
  Judged (*judge)(const Machine&, const DoctorNeed&) = nullptr;
};

// In the order in which they are shown. Any thread.
std::span<const DoctorRule> doctor_rules();

struct DoctorFinding {
  const DoctorRule* rule = nullptr;
  DoctorSeverity severity = DoctorSeverity::kFix;
  Judged judged;
};

struct Diagnosis {
  std::vector<DoctorFinding> wrong;  // what is to fix first, then hints
  std::vector<DoctorFinding> fine;
  std::vector<const DoctorRule*> unknown;  // apply, and what they ask could not be read
  std::vector<const DoctorRule*> other;    // do not apply to this machine
  bool to_fix() const;
};

Diagnosis diagnose(const Machine& machine, const DoctorNeed& need);

}  // namespace weir::ops
