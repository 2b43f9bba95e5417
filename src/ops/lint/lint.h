// A configuration file held against an engine's snapshot, the rules and, where they are given, a
// model and devices.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ops/deploy/read.h"
#include "ops/lint/facts.h"
#include "ops/lint/hardware.h"
#include "ops/lint/rules.h"

namespace weir::ops {

struct LintOptions {
  std::string engine = {};   // empty: as the file says
  std::string version = {};  // empty: as an image's tag says, else the newest
  LintHardware hardware = {};
};

// One engine of the file.
struct CheckedCall {
  std::string engine;
  std::string version;        // of the snapshot
  std::string asked_version;  // of the image or the option, where it is another; or empty
  std::string workload;       // "Deployment/qwen", "command"
  std::string name_space;     // of Kubernetes; empty: the file does not say
  std::map<std::string, std::string> labels;  // of its pods
  int line = 0;
  FactSet facts;
  std::vector<Finding> findings;  // by line
};

struct LintReport {
  Deployment deployment;
  std::vector<CheckedCall> calls;

  size_t count(Severity severity) const;
};

// Errors: those of read_deployment and engine_snapshot.
Result<LintReport> lint_text(std::string_view text, std::string_view name,
                             const LintOptions& options);

}  // namespace weir::ops
