// The way through a tree for one intake.
#pragma once

#include <string>
#include <vector>

#include "ops/advise/tree.h"

namespace weir::ops {

struct WalkStep {
  const TreeNode* node = nullptr;
  std::string answer;    // "yes", "no", a choice; of a leaf empty
  bool assumed = false;  // something was not known, and the tree says what to take
  std::vector<std::pair<std::string, std::string>> tested;  // field → its value with unit, or "?"
  std::vector<std::string> unknown;                         // fields that the answer hangs on
  size_t depth = 0;
};

struct Walk {
  const Tree* tree = nullptr;
  std::vector<WalkStep> steps;          // in the order in which they were taken
  std::vector<const TreeNode*> leaves;  // each once
};

// Pure. Where a field is not known the step takes what the node says and is marked `assumed`.
// `tree` outlives the result.
Walk walk_tree(const Tree& tree, const Intake& intake);

// Fields that questions of the trees hang on, with the leaves that lie below those questions: what
// an answer could change. Sorted by that number, largest first.
struct FieldWeight {
  std::string path;
  size_t leaves = 0;
};
std::vector<FieldWeight> field_weights(const std::vector<Tree>& trees);
// The same fields, heaviest first; those without weight last, in their order.
std::vector<const IntakeField*> by_weight(std::vector<const IntakeField*> fields,
                                          const std::vector<FieldWeight>& weights);

}  // namespace weir::ops
