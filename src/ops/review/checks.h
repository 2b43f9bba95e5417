// The checks of the checklist, one for each id: pure functions of what was read. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ops/intake/intake.h"
#include "ops/release/audit_log.h"
#include "ops/release/manifest.h"
#include "ops/review/candidate.h"
#include "ops/review/checklist.h"
#include "ops/review/evidence.h"

namespace weir::ops {

// What the load of the service is meant to be, and over how many replicas.
struct PlannedLoad {
  double requests_per_s = 0;  // 0: not known
  double concurrency = 0;
  double replicas = 1;
  std::string source;  // "intake.yaml", "plan.json"
};

struct ReviewInput {
  std::string env;
  int64_t now_s = 0;
  int max_age_days = 0;
  Intake intake;
  PlannedLoad load;
  Candidate candidate;
  std::string intake_text;                // of the file that was read
  std::string model_problem;              // the model's file is not what model.json says
  std::string quantized;                  // quantized_to() of the model
  std::vector<Evidence> evidence;         // newest first
  std::vector<std::string> unread;        // files of evidence/ that should have been read
  std::vector<AuditRow> log;              // in order
  std::vector<std::string> log_problems;  // read_log_state()
  std::optional<Manifest> in_effect;      // in the environment that comes next
};

struct CheckOutcome {
  bool passed = false;
  std::string found;               // what was seen, or what is missing; a sentence
  std::vector<std::string> files;  // of evidence/ that prove it
};

using Check = CheckOutcome (*)(const ReviewInput& input, const ChecklistItem& item);
// nullptr: no such check.
Check find_check(std::string_view id);

// Internal to ops/review/: by what they read.
CheckOutcome check_intake(const ReviewInput& input, const ChecklistItem& item);
CheckOutcome check_pinned(const ReviewInput& input, const ChecklistItem& item);
CheckOutcome check_baseline(const ReviewInput& input, const ChecklistItem& item);
CheckOutcome check_slo(const ReviewInput& input, const ChecklistItem& item);
CheckOutcome check_overload(const ReviewInput& input, const ChecklistItem& item);
CheckOutcome check_quality(const ReviewInput& input, const ChecklistItem& item);
CheckOutcome check_limits(const ReviewInput& input, const ChecklistItem& item);
CheckOutcome check_retries(const ReviewInput& input, const ChecklistItem& item);
CheckOutcome check_caches(const ReviewInput& input, const ChecklistItem& item);
CheckOutcome check_telemetry(const ReviewInput& input, const ChecklistItem& item);
CheckOutcome check_alerts(const ReviewInput& input, const ChecklistItem& item);
CheckOutcome check_security(const ReviewInput& input, const ChecklistItem& item);
CheckOutcome check_rollback(const ReviewInput& input, const ChecklistItem& item);

// The first finding of one of the item's rules, or of severity error where `errors` says so, as
// "FILE:LINE: reason [rule]; fix: …"; "" without one. Internal to ops/review/.
std::string first_finding(const EnvConfig& config, const ChecklistItem& item, bool errors);

}  // namespace weir::ops
