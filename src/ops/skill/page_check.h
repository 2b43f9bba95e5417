// What a page must have, seen without running anything: sections, tags, sources, kinds of blocks.
#pragma once

#include <cstddef>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ops/skill/page.h"
#include "ops/sources/sources.h"

namespace weir::ops {

struct PageFinding {
  std::string file;
  int line = 1;
  std::string what;  // one sentence, and behind a semicolon what to do
};

// Numbers by the class of the tag that is nearest to them.
struct NumberCounts {
  size_t sourced = 0, measured = 0, hypothesis = 0, untagged = 0;
};

struct PageRules {
  const Sources* sources = nullptr;  // borrowed
  // Whether a file of the repository is there; empty: nobody knows, and all are taken for there.
  std::function<bool(const std::string& file)> has_file;
  size_t max_lines = 400;
};

// A reference or a template: all that docs/SKILL.md demands.
void check_page(const Page& page, const PageRules& rules, std::vector<PageFinding>& findings,
                NumberCounts& counts);
// SKILL.md: front matter, length, tags, and that it names every page.
void check_skill_page(const Page& page, const PageRules& rules, std::vector<PageFinding>& findings,
                      NumberCounts& counts);

// The `##` sections of a page, in their order.
const std::vector<std::string_view>& page_sections();

}  // namespace weir::ops
