// weir review: the checklist held against the files of a project.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "ops/project/project.h"
#include "ops/release/keys.h"
#include "ops/review/checks.h"
#include "ops/review/waivers.h"
#include "ops/sources/sources.h"
#include "text/json.h"

namespace weir::ops {

enum class ReviewVerdict : uint8_t { kPass, kFail, kWaived };
std::string_view review_verdict_name(ReviewVerdict verdict);  // "pass", "fail", "waived"

struct ReviewedItem {
  const ChecklistItem* item = nullptr;  // of the checklist
  ReviewVerdict verdict = ReviewVerdict::kFail;
  std::string found;
  std::vector<std::string> files;  // of evidence/
};

struct Review {
  std::string env;
  int64_t now_s = 0;
  Subject subject;
  std::string model;    // its name
  std::string release;  // in effect, whose files were reviewed; empty: those of envs/ENV
  std::vector<ReviewedItem> items;

  bool passed() const;                      // none fails
  std::vector<std::string> failed() const;  // ids
};

// Pure.
Review review(const Checklist& checklist, const ReviewInput& input,
              const std::vector<Waiver>& waivers);

// What the files say. key: nullptr where the project has none yet. check_model: hash the model's
// file. Errors: what cannot be read at all (intake.yaml, the files of envs/ENV, a pointer or log
// that was tampered with is no error here but fails the items that need it).
Result<ReviewInput> read_review_input(const Project& project, const std::string& env,
                                      const PublicKey* key, int64_t now_s, bool check_model,
                                      const Checklist& checklist);
// waivers.yaml; none where it is missing.
Result<WaiverFile> read_waivers(const Project& project, const Checklist& checklist);

text::Json review_json(const Review& review);
std::string review_text(const Review& review);
std::string review_html(const Review& review, const Sources& sources);

// The environment that a promotion leads to from this one; empty of the last.
std::string next_environment(const std::string& env);

}  // namespace weir::ops
