// What is done with a block of a page, as its info string says, and the checks that run nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ops/skill/page.h"
#include "ops/skill/page_check.h"

namespace weir::ops {

enum class BlockKind : uint8_t {
  kRun,        // sh run
  kRunServer,  // sh run=server: beside a weir serve
  kRunMock,    // sh run=mock: beside a weir bench mock
  kNeeds,      // sh needs="...": not run
  kConfig,     // config=TARGET: held against the target's snapshot
  kYaml,
  kJson,
  kPython,
  kText,  // no parser
};

struct BlockPlan {
  BlockKind kind = BlockKind::kText;
  std::string value;  // of kNeeds what it needs, of kConfig the target
};

// Error kUnsupported: what is wrong with the info string and what is taken.
Result<BlockPlan> plan_block(const PageBlock& block);

bool runs(BlockKind kind);
// Whether it cannot do without a model.
bool needs_model(const PageBlock& block, BlockKind kind);

// Checks that weir's own configurations need from above this layer, and Python's parser; both say
// what is wrong, or "". Empty functions: not checked.
struct BlockParsers {
  std::function<std::string(const std::string& text, const std::string& name)> weir;
  std::function<std::string(const std::string& text)> python;
};

// Appends what its parser says, with the lines of the page. false: no parser was there.
bool parse_block(const Page& page, const PageBlock& block, const BlockPlan& plan,
                 const BlockParsers& parsers, std::vector<PageFinding>& findings);

}  // namespace weir::ops
