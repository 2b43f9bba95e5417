#include "ops/advise/walk.h"

#include <algorithm>
#include <map>
#include <set>

namespace weir::ops {
namespace {

std::string shown(const Intake& intake, const std::string& path) {
  const IntakeValue* v = intake.find(path);
  if (v == nullptr) return "?";
  const config::Key& key = find_intake_field(path)->key;
  std::string out = config::show(key, v->value);
  if (!key.spec.unit.empty()) out += fmt::format(" {}", key.spec.unit);
  return out;
}

class Walker {
 public:
  Walker(const Intake& intake, Walk& out) : intake_(intake), out_(out) {}

  void visit(const TreeNode& node, size_t depth) {
    WalkStep step;
    step.node = &node;
    step.depth = depth;
    if (!node.walk.empty()) {
      out_.steps.push_back(std::move(step));
      for (const std::string& name : node.walk) go(name, depth + 1);
      return;
    }
    if (node.leaf) {
      if (std::find(out_.leaves.begin(), out_.leaves.end(), &node) == out_.leaves.end())
        out_.leaves.push_back(&node);
      out_.steps.push_back(std::move(step));
      return;
    }
    const std::string next = answer(node, step);
    out_.steps.push_back(std::move(step));
    go(next, depth + 1);
  }

 private:
  void go(const std::string& name, size_t depth) { visit(*out_.tree->find(name), depth); }

  std::string answer(const TreeNode& node, WalkStep& step) const {
    if (node.of != nullptr) {
      const std::string& path = node.of->key.path;
      const auto value = intake_.text(path);
      step.tested.emplace_back(path, shown(intake_, path));
      if (!value) step.unknown.push_back(path);
      step.assumed = !value.has_value();
      step.answer = value.value_or(node.unknown);
      const auto found = node.cases.find(step.answer);
      return found != node.cases.end() ? found->second : node.cases.at("else");
    }
    for (const std::string& path : node.condition->fields()) {
      step.tested.emplace_back(path, shown(intake_, path));
      if (intake_.find(path) == nullptr) step.unknown.push_back(path);
    }
    const Truth truth = node.condition->evaluate(intake_);
    step.assumed = truth == Truth::kUnknown;
    if (!step.assumed) step.unknown.clear();  // the rest decided
    step.answer = step.assumed ? node.unknown : truth_name(truth);
    return step.answer == "yes" ? node.yes : node.no;
  }

  const Intake& intake_;
  Walk& out_;
};

void leaves_below(const Tree& tree, const TreeNode& node, std::set<std::string>& out) {
  if (node.leaf) out.insert(tree.name + "/" + node.name);
  for (const std::string& next : node.next()) leaves_below(tree, *tree.find(next), out);
}

}  // namespace

Walk walk_tree(const Tree& tree, const Intake& intake) {
  Walk out;
  out.tree = &tree;
  Walker(intake, out).visit(tree.nodes.front(), 0);
  return out;
}

std::vector<FieldWeight> field_weights(const std::vector<Tree>& trees) {
  std::map<std::string, std::set<std::string>> leaves;
  for (const Tree& tree : trees) {
    for (const TreeNode& n : tree.nodes) {
      std::vector<std::string> fields;
      if (n.condition) fields = n.condition->fields();
      if (n.of != nullptr) fields.push_back(n.of->key.path);
      for (const std::string& path : fields) leaves_below(tree, n, leaves[path]);
    }
  }
  std::vector<FieldWeight> out;
  out.reserve(leaves.size());
  for (const auto& [path, below] : leaves) out.push_back({path, below.size()});
  std::stable_sort(out.begin(), out.end(),
                   [](const FieldWeight& a, const FieldWeight& b) { return a.leaves > b.leaves; });
  return out;
}

std::vector<const IntakeField*> by_weight(std::vector<const IntakeField*> fields,
                                          const std::vector<FieldWeight>& weights) {
  const auto weight = [&](const IntakeField* f) {
    const auto it = std::find_if(weights.begin(), weights.end(),
                                 [&](const FieldWeight& w) { return w.path == f->key.path; });
    return it == weights.end() ? 0 : it->leaves;
  };
  std::stable_sort(fields.begin(), fields.end(), [&](const IntakeField* a, const IntakeField* b) {
    return weight(a) > weight(b);
  });
  return fields;
}

}  // namespace weir::ops
