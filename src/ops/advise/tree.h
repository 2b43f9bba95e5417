// A decision tree as data: src/ops/advise/trees/*.yaml.
//
//   tree: start                       # its name, as the file's
//   title: Where to begin
//   nodes:                            # the first is the root
//     start:
//       walk: [throughput, cost]      # each in turn
//     throughput:
//       ask: Is more needed than one kind of worker gives?
//       if: slo.throughput_tok_s > 10000 or observed.total_ms_p99 > 3 * observed.total_ms_p50
//       yes: disaggregate
//       no: batching
//       unknown: no                   # what --assume takes (yes or no); default no
//       because: [distserve-2024]     # ids of skill/data/sources.json
//     kind:
//       ask: What is the traffic?
//       of: traffic.kind              # a field of choices
//       cases: {chat: radix, agents: radix, else: batching}
//       unknown: chat
//     disaggregate:
//       do: [disaggregate]            # ids of actions; a leaf
//     enough:
//       say: Nothing needs to change. # a leaf without actions
//   cases:                            # every leaf is reached by one: a test
//     - set: {slo.throughput_tok_s: 20000}
//       reach: [disaggregate]
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ops/advise/expression.h"

namespace weir::ops {

struct TreeNode {
  std::string name;
  int line = 0;
  std::string ask;  // of a question
  // One of these four is there.
  std::vector<std::string> walk;
  std::optional<Expression> condition;
  const IntakeField* of = nullptr;
  bool leaf = false;

  std::string yes, no;                       // of `condition`
  std::map<std::string, std::string> cases;  // of `of`; "else" may be among them
  std::string unknown;                       // "yes", "no", or one of the field's choices
  std::vector<std::string> because;          // ids of sources
  std::vector<std::string> actions;          // of a leaf
  std::string say;                           // of a leaf

  // Names of the nodes that may follow.
  std::vector<std::string> next() const;
};

struct TreeCase {
  int line = 0;
  Intake intake;
  std::vector<std::string> reach;  // leaves
};

struct Tree {
  std::string name;
  std::string title;
  std::vector<TreeNode> nodes;  // the first is the root
  std::vector<TreeCase> cases;

  const TreeNode* find(std::string_view node) const;
};

// Error kCorrupt: "NAME:LINE: ..." for an unknown key, a condition that is none, a node that is not
// there, that no other leads to or that leads back to itself.
Result<Tree> parse_tree(std::string_view text, std::string_view name);

// Those that the program carries, `start` first, the others by name. A test holds that they parse.
Result<std::vector<Tree>> built_in_trees();

}  // namespace weir::ops
