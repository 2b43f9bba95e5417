#include "ops/review/review.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "ops/config_write/environment.h"
#include "ops/plan/plan_file.h"
#include "ops/release/bundle.h"
#include "ops/release/switch.h"
#include "ops/review/served_model.h"
#include "ops/sources/days.h"
#include "os/file.h"

namespace weir::ops {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxEvidenceFiles = 2000;
constexpr uint64_t kMaxIntakeBytes = 1 << 20;

ReviewedItem judge(const Checklist& checklist, const ChecklistItem& item, const ReviewInput& input,
                   const std::vector<Waiver>& waivers) {
  ReviewedItem out;
  out.item = &item;
  const Check check = find_check(item.id);
  CheckOutcome outcome = check == nullptr
                             ? CheckOutcome{false, "this version has no check for it", {}}
                             : check(input, item);
  out.verdict = outcome.passed ? ReviewVerdict::kPass : ReviewVerdict::kFail;
  out.found = std::move(outcome.found);
  out.files = std::move(outcome.files);
  if (outcome.passed) return out;
  for (const Waiver& w : waivers) {
    if (w.item != item.id || w.env != input.env) continue;
    const std::string problem = waiver_problem(w, checklist, input.now_s);
    if (!problem.empty()) {
      out.found += fmt::format("; {}", problem);
      continue;
    }
    out.verdict = ReviewVerdict::kWaived;
    out.found = fmt::format("waived by {} until {}: {} ({})", w.who, day_of(w.until_s - 1), w.why,
                            out.found);
  }
  return out;
}

Status read_evidence(const Project& project, ReviewInput& out) {
  std::error_code error;
  size_t count = 0;
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(project.evidence(), error)) {
    if (!entry.path().filename().string().ends_with(".json")) continue;
    if (++count > kMaxEvidenceFiles)
      return make_error(ErrorCode::kLimit, "{} holds over {} files", project.evidence(),
                        kMaxEvidenceFiles);
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    auto text = os::read_file(project.evidence() + "/" + name, kMaxEvidenceBytes);
    auto read =
        text.ok() ? parse_evidence(*text, name) : Result<std::optional<Evidence>>(text.error());
    if (!read.ok()) {
      out.unread.push_back(read.error().message);
    } else if (*read) {
      out.evidence.push_back(**std::move(read));
    }
  }
  std::stable_sort(out.evidence.begin(), out.evidence.end(),
                   [](const Evidence& a, const Evidence& b) { return a.created_s > b.created_s; });
  return {};
}

// Log and pointers; what is wrong with them is kept for the items that rest on them.
void read_history(const Project& project, const PublicKey& key, ReviewInput& out) {
  LogState state = read_log_state(project, key);
  const std::string next = next_environment(out.env);
  for (const Pointer& p : state.pointers) {
    if (p.env != next) continue;
    auto in_effect = open_bundle(project.releases(), p.release, key);
    if (in_effect.ok()) {
      out.in_effect = *std::move(in_effect);
    } else {
      state.problems.push_back(in_effect.error().message);
    }
  }
  out.log = std::move(state.rows);
  out.log_problems = std::move(state.problems);
}

PlannedLoad load_of(const Intake& intake) {
  PlannedLoad out;
  out.requests_per_s = intake.number("traffic.requests_per_s_peak")
                           .value_or(intake.number("traffic.requests_per_s").value_or(0));
  out.concurrency = intake.number("traffic.concurrency").value_or(0);
  out.replicas = intake.number("stack.replicas").value_or(1);
  out.source = "intake.yaml";
  return out;
}

// A plan.json says for how many requests over how many replicas was planned: the fleet that weir
// config writes, of which the spare ones may be the ones that fail, so the load is over the others.
// Of the plan's rate and the intake's the higher one is the load.
Status add_plan(const Project& project, PlannedLoad& load) {
  auto plan = read_plan_file(project.path("plan.json"));
  if (!plan.ok() && plan.error().code == ErrorCode::kNotFound) return {};
  if (!plan.ok()) return plan.error();
  load.replicas = std::max(1, planned_replicas(*plan) - plan->spare);
  load.source = "plan.json";
  if (plan->workload.rate_per_s >= load.requests_per_s) {
    load.requests_per_s = plan->workload.rate_per_s;
  } else {
    load.source += ", the rate of intake.yaml";
  }
  return {};
}

}  // namespace

std::string_view review_verdict_name(ReviewVerdict verdict) {
  switch (verdict) {
    case ReviewVerdict::kPass:
      return "pass";
    case ReviewVerdict::kWaived:
      return "waived";
    case ReviewVerdict::kFail:
      break;
  }
  return "fail";
}

bool Review::passed() const { return !items.empty() && failed().empty(); }

std::vector<std::string> Review::failed() const {
  std::vector<std::string> out;
  for (const ReviewedItem& i : items) {
    if (i.verdict == ReviewVerdict::kFail) out.push_back(i.item->id);
  }
  return out;
}

Review review(const Checklist& checklist, const ReviewInput& input,
              const std::vector<Waiver>& waivers) {
  Review out;
  out.env = input.env;
  out.now_s = input.now_s;
  out.subject = input.candidate.subject(1);
  out.model = input.candidate.model.name;
  out.release = input.candidate.release;
  for (const ChecklistItem& item : checklist.items) {
    if (item.asked_in(input.env)) out.items.push_back(judge(checklist, item, input, waivers));
  }
  return out;
}

Result<ReviewInput> read_review_input(const Project& project, const std::string& env,
                                      const PublicKey* key, int64_t now_s, bool check_model_file,
                                      const Checklist& checklist) {
  ReviewInput out;
  out.env = env;
  out.now_s = now_s;
  out.max_age_days = checklist.max_age_days;
  WEIR_ASSIGN(out.intake_text, os::read_file(project.intake(), kMaxIntakeBytes));
  WEIR_ASSIGN(out.intake, parse_intake(out.intake_text, project.intake()));
  out.load = load_of(out.intake);
  WEIR_TRY(add_plan(project, out.load));
  WEIR_ASSIGN(out.candidate, read_candidate(project, env, key));
  if (check_model_file && !out.candidate.model.sha256.empty()) {
    const Status model = check_model(project.folder(), out.candidate.model);
    if (!model.ok()) out.model_problem = model.error().message;
  }
  if (!out.candidate.model.sha256.empty()) {
    if (out.model_problem.empty())
      out.model_problem = other_model(out.candidate.config, out.candidate.model, project.folder());
    out.quantized = quantized_to(out.candidate.model, project.folder());
  }
  WEIR_TRY(read_evidence(project, out));
  if (key != nullptr) read_history(project, *key, out);
  return out;
}

Result<WaiverFile> read_waivers(const Project& project, const Checklist& checklist) {
  const std::string path = project.path("waivers.yaml");
  auto text = os::read_file(path, 1 << 20);
  if (!text.ok() && text.error().code == ErrorCode::kNotFound) return WaiverFile();
  if (!text.ok()) return text.error();
  WaiverFile out;
  WEIR_ASSIGN(out.waivers, parse_waivers(*text, path, checklist));
  out.text = *std::move(text);
  return out;
}

std::string next_environment(const std::string& env) {
  for (size_t i = 0; i + 1 < std::size(kEnvironments); ++i) {
    if (env == kEnvironments[i]) return kEnvironments[i + 1];
  }
  return "";
}

}  // namespace weir::ops
