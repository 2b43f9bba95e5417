// A brief: what a person (or an agent that can search) found about a question whose answer ages, as
// a page of Markdown that can be checked.
//
//   # Brief: vLLM or SGLang for chat?
//   - kind: compare
//   - topics: engine
//   - written: 2026-11-30
//   ## Searches
//   - [x] vLLM vs SGLang benchmark 2026
//   ## Current landscape
//   - L1: vLLM 0.33 is the newest release (release, 2026-11-20, https://example.org/notes)
//   ## Emerging
//   - E1: ...
//   ## Declining
//   - D1: ...
//   ## Recommendation
//   - R1: Stay with vLLM [L1, E1] (release, 2026-11-20, https://example.org/notes)
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ops/brief/evidence.h"
#include "ops/brief/trends.h"

namespace weir::ops {

inline constexpr uint64_t kMaxBriefBytes = 256 << 10;

struct BriefLine {
  int line = 0;       // of the file
  std::string label;  // "L1"
  std::string text;
  std::string kind;  // of its source, as the ledger's: "release"
  std::string date;  // of the page; of a page without one, when it was read
  std::string link;
  std::vector<std::string> refers;  // labels in brackets
  // Of a recommendation kind, date and link may be empty together: it rests on the lines it names.
};

struct Brief {
  std::string question, kind, written;
  std::vector<std::string> topics;
  size_t searches = 0, open_searches = 0;
  std::vector<BriefLine> landscape, emerging, declining, recommendation;
};

struct BriefProblem {
  int line = 0;  // 0: of the whole
  std::string what;
};

// The page to fill for `question`: searches, evidence with its age, sections with an explanation
// each.
std::string brief_template(const TrendQuestion& question, std::span<const std::string> searches,
                           std::span<const AgedEvidence> evidence, int today);

// What can be read of `text`; `problems` gets a line that is none, in the file's order. Pure.
Brief parse_brief(std::string_view text, std::vector<BriefProblem>& problems);

// All that keeps `text` from being evidence: what parse_brief says; a question, day or topic that
// is missing; searches that are not ticked; fewer than three lines of landscape, or one of another
// section; a link that is not https; a day that lies ahead or is older than the line's kind allows;
// labels that stand twice or are referred to and not there; a recommendation that refers to no line
// of landscape.
std::vector<BriefProblem> check_brief(std::string_view text, const Trends& trends, int today);

}  // namespace weir::ops
