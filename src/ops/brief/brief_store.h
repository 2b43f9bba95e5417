// Briefs that a project keeps as evidence: evidence/brief-DAY-QUESTION.md, and
// evidence/briefs.json, which says what was checked when.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ops/advise/tree.h"
#include "ops/brief/brief.h"

namespace weir::ops {

struct StoredBrief {
  std::string file;  // in evidence/
  std::string question, kind, written;
  std::vector<std::string> topics;
  std::string hash;  // of the file's bytes when it was checked
};

// Bounded (1 MiB, 10,000 briefs). Error kCorrupt: "NAME: brief 3: ..." with the key.
Result<std::vector<StoredBrief>> parse_brief_index(std::string_view json, std::string_view name);
// Of the folder evidence/; none where there is no index.
Result<std::vector<StoredBrief>> read_brief_index(const std::string& evidence);

// Writes `text`, which check_brief() takes, and the index; the same question on the same day takes
// the place of what was. Returns the file's name. Errors: kIo; those of the index.
Result<std::string> store_brief(const std::string& evidence, std::string_view text);

// Whether a topic's advice rests on a brief.
struct BriefState {
  enum class Kind { kNone, kOld, kChanged, kFresh };
  const TrendTopic* topic = nullptr;
  Kind kind = Kind::kNone;
  StoredBrief brief;  // the newest; of kNone empty
  int age_days = 0;
  // "engine: brief evidence/x.md of 2026-11-30, 2 days old", or "engine: unverified: ...".
  std::string text() const;
};
// Of the topics whose trees are among `trees`, in trends' order. trends outlives the result.
Result<std::vector<BriefState>> brief_states(const std::string& evidence, const Trends& trends,
                                             std::span<const Tree> trees, int today);

}  // namespace weir::ops
