// The whole pack held to its rules: pages, ledger, blocks.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ops/skill/block.h"
#include "ops/skill/page_check.h"
#include "ops/skill/run_blocks.h"
#include "text/json.h"

namespace weir::ops {

struct SkillLintOptions {
  std::string folder;  // of the pack
  std::string root;    // of the repository that [measured: file] names files of; "": not looked at
  std::string page;    // only the pages whose name holds this; "": all
  bool run = true;
  BlockRunOptions blocks;
  BlockParsers parsers;
};

struct SkillBlockCounts {
  size_t run = 0, failed = 0, skipped = 0;  // of those that run
  size_t parsed = 0, needs = 0, text = 0;
};

struct TimedBlock {
  std::string file;
  int line = 0;
  double seconds = 0;
};

struct SkillLintReport {
  std::vector<PageFinding> findings;  // by file, then line
  size_t pages = 0;                   // references and templates
  NumberCounts numbers;
  SkillBlockCounts blocks;
  std::vector<TimedBlock> slowest;  // at most five, the slowest first
};

// Errors: those of reading files and of run_blocks.
Result<SkillLintReport> lint_skill(const SkillLintOptions& options);

std::string skill_lint_text(const SkillLintReport& report);
text::Json skill_lint_json(const SkillLintReport& report);

}  // namespace weir::ops
