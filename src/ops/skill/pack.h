// The skill pack: what belongs to it, and where its files are.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::ops {

// Pages by their names below the pack, without ".md": "references/kv-cache-optimization",
// "assets/caching/template-prefix-caching". SKILL.md and data/sources.json belong to it as well.
std::span<const std::string_view> skill_pages();

struct SkillFile {
  std::string name;  // "references/kv-cache-optimization.md"
  std::string text;
};

// The pack that the program carries, SKILL.md first; pages that were not there when it was built
// are left out.
std::vector<SkillFile> built_in_skill();
// That of a folder: of SKILL.md, data/sources.json and the pages those that are there. Errors:
// those of os::read_file but kNotFound.
Result<std::vector<SkillFile>> read_skill(const std::string& folder);

// The Markdown files in references/ and assets/ that do not belong to it, and the pages of it that
// are not there.
struct SkillInventory {
  std::vector<std::string> missing, unknown;  // names with ".md"
};
SkillInventory skill_inventory(const std::string& folder);

// Of SKILL.md's front matter.
struct SkillHead {
  std::string name;         // lower-case letters, digits, hyphens; at most 64
  std::string description;  // at most 1024 bytes
};
// Error kCorrupt: "what is wrong; what to do".
Result<SkillHead> read_skill_head(std::string_view front_matter);

}  // namespace weir::ops
