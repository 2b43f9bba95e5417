// waivers.yaml: items of the checklist that a person has let pass, for a time.
//
//   version: 1
//   waivers:
//     - {item: overload, env: prod, who: "A. Person", why: "...", until: 2026-12-31}
//
// Each names one item and one environment; there is no wildcard. Taken for hostile. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ops/review/checklist.h"

namespace weir::ops {

struct Waiver {
  std::string item, env, who, why;
  int64_t until_s = 0;  // the end of its last day
  int line = 0;
};

// waivers.yaml as it was read; no text where there is none.
struct WaiverFile {
  std::string text;
  std::vector<Waiver> waivers;
};

// Error kCorrupt: "NAME:LINE: …": an item or environment that there is none of, with the nearest;
// what is missing; a day that is none; two for the same.
Result<std::vector<Waiver>> parse_waivers(std::string_view text, std::string_view name,
                                          const Checklist& checklist);
// "" while it holds at `now_s`; else why it does not: it has expired, or would last longer than
// the checklist lets it.
std::string waiver_problem(const Waiver& waiver, const Checklist& checklist, int64_t now_s);

}  // namespace weir::ops
