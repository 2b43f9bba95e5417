#include "ops/advise/tree.h"

#include <algorithm>
#include <array>
#include <functional>
#include <set>

#include "ops/data/embedded.h"

namespace weir::ops {
namespace {

constexpr std::string_view kFolder = "src/ops/advise/trees/";
constexpr std::string_view kFirst = "start";
constexpr size_t kMaxNodes = 500;
const std::vector<std::string> kNodeKeys = {"ask",  "if", "yes",     "no",      "of", "cases",
                                            "walk", "do", "unknown", "because", "say"};
const std::vector<std::string> kTreeKeys = {"tree", "title", "nodes", "cases"};

using config::Member;
using YamlNode = config::Node;

class TreeReader {
 public:
  TreeReader(std::string_view name, Tree& out) : name_(name), out_(out) {}

  Status read(const YamlNode& root) {
    if (root.kind != YamlNode::Kind::kMap) return at(root.line, "must be a map");
    for (const Member& m : root.members) {
      WEIR_TRY(known(m, kTreeKeys));
      if (m.key == "tree") out_.name = m.value.text;
      if (m.key == "title") out_.title = m.value.text;
    }
    if (out_.name.empty() || out_.title.empty()) return at(root.line, "tree and title are needed");
    const YamlNode* nodes = root.find("nodes");
    if (nodes == nullptr || nodes->kind != YamlNode::Kind::kMap || nodes->members.empty())
      return at(root.line, "nodes must be a map of nodes");
    if (nodes->members.size() > kMaxNodes)
      return at(nodes->line, fmt::format("at most {} nodes are taken", kMaxNodes));
    for (const Member& m : nodes->members) WEIR_TRY(node(m));
    WEIR_TRY(links());
    WEIR_TRY(no_circle());
    const YamlNode* cases = root.find("cases");
    if (cases == nullptr) return {};
    if (cases->kind != YamlNode::Kind::kList) return at(cases->line, "cases must be a list");
    for (const YamlNode& c : cases->items) WEIR_TRY(one_case(c));
    return {};
  }

 private:
  Status at(int line, std::string_view what) const {
    return make_error(ErrorCode::kCorrupt, "{}:{}: {}", name_, line, what);
  }

  Status known(const Member& m, const std::vector<std::string>& keys) const {
    if (std::find(keys.begin(), keys.end(), m.key) != keys.end()) return {};
    return at(m.line, fmt::format("unknown key \"{}\"; the nearest is \"{}\"", m.key,
                                  config::nearest(m.key, keys)));
  }

  Result<std::vector<std::string>> names(const Member& m) const {
    std::vector<std::string> out;
    if (m.value.kind != YamlNode::Kind::kList)
      return at(m.line, fmt::format("{} must be a list", m.key)).error();
    for (const YamlNode& item : m.value.items) out.push_back(item.text);
    return out;
  }

  Status node(const Member& member) {
    TreeNode n;
    n.name = member.key;
    n.line = member.line;
    if (member.value.kind != YamlNode::Kind::kMap)
      return at(member.line, fmt::format("{} must be a map", member.key));
    for (const Member& m : member.value.members) {
      WEIR_TRY(known(m, kNodeKeys));
      WEIR_TRY(part(m, n));
    }
    const int kinds = (n.walk.empty() ? 0 : 1) + (n.condition ? 1 : 0) + (n.of != nullptr ? 1 : 0) +
                      (n.leaf ? 1 : 0);
    if (kinds != 1)
      return at(n.line, fmt::format("{} must have one of walk, if, of, and do or say", n.name));
    if (n.condition || n.of != nullptr) WEIR_TRY(question(n));
    out_.nodes.push_back(std::move(n));
    return {};
  }

  Status part(const Member& m, TreeNode& n) const {
    if (m.key == "ask") n.ask = m.value.text;
    if (m.key == "yes") n.yes = m.value.text;
    if (m.key == "no") n.no = m.value.text;
    if (m.key == "unknown") n.unknown = m.value.text;
    if (m.key == "say") n.say = m.value.text;
    if (m.key == "do" || m.key == "say") n.leaf = true;
    if (m.key == "do") {
      WEIR_ASSIGN(n.actions, names(m));
    }
    if (m.key == "walk") {
      WEIR_ASSIGN(n.walk, names(m));
    }
    if (m.key == "because") {
      WEIR_ASSIGN(n.because, names(m));
    }
    if (m.key == "if") {
      auto parsed = Expression::parse(m.value.text);
      if (!parsed.ok()) return at(m.line, parsed.error().message);
      n.condition = std::move(*parsed);
    }
    if (m.key == "of") {
      n.of = find_intake_field(m.value.text);
      if (n.of == nullptr || n.of->key.spec.choices.empty())
        return at(m.line, fmt::format("{} is no field with choices", m.value.text));
    }
    if (m.key == "cases") {
      for (const Member& c : m.value.members) n.cases[c.key] = c.value.text;
    }
    return {};
  }

  Status question(TreeNode& n) const {
    if (n.ask.empty()) return at(n.line, fmt::format("{} asks nothing", n.name));
    if (n.condition) {
      if (n.yes.empty() || n.no.empty())
        return at(n.line, fmt::format("{} needs yes and no", n.name));
      if (n.unknown.empty()) n.unknown = "no";
      if (n.unknown != "yes" && n.unknown != "no")
        return at(n.line, fmt::format("{}.unknown must be yes or no", n.name));
      return {};
    }
    const auto& choices = n.of->key.spec.choices;
    for (const auto& [value, target] : n.cases) {
      if (value != "else" && std::find(choices.begin(), choices.end(), value) == choices.end())
        return at(n.line, fmt::format("{} is {}, never \"{}\"", n.of->key.path,
                                      config::describe(n.of->key), value));
    }
    for (const std::string_view choice : choices) {
      if (!n.cases.contains(std::string(choice)) && !n.cases.contains("else"))
        return at(n.line, fmt::format("{} has no case for {}", n.name, choice));
    }
    if (std::find(choices.begin(), choices.end(), n.unknown) == choices.end())
      return at(n.line, fmt::format("{}.unknown must be {}", n.name, config::describe(n.of->key)));
    return {};
  }

  Status links() const {
    std::set<std::string> reached = {out_.nodes.front().name};
    for (const TreeNode& n : out_.nodes) {
      for (const std::string& next : n.next()) {
        if (out_.find(next) == nullptr)
          return at(n.line, fmt::format("{} leads to {}, which is not there", n.name, next));
        reached.insert(next);
      }
    }
    for (const TreeNode& n : out_.nodes) {
      if (!reached.contains(n.name)) return at(n.line, fmt::format("no node leads to {}", n.name));
    }
    return {};
  }

  Status no_circle() const {
    std::set<std::string> path, done;
    const std::function<Status(const TreeNode&)> visit = [&](const TreeNode& n) -> Status {
      if (done.contains(n.name)) return {};
      if (!path.insert(n.name).second)
        return at(n.line, fmt::format("{} leads back to itself", n.name));
      for (const std::string& next : n.next()) WEIR_TRY(visit(*out_.find(next)));
      path.erase(n.name);
      done.insert(n.name);
      return {};
    };
    for (const TreeNode& n : out_.nodes) WEIR_TRY(visit(n));
    return {};
  }

  Status one_case(const YamlNode& node) {
    TreeCase c;
    c.line = node.line;
    const YamlNode* set = node.find("set");
    const YamlNode* reach = node.find("reach");
    if (set == nullptr || reach == nullptr) return at(node.line, "a case needs set and reach");
    for (const Member& m : set->members) {
      const Status status = c.intake.set_text(m.key, m.value.text, Origin::kGiven, "");
      if (!status.ok()) return at(m.line, status.error().message);
    }
    for (const YamlNode& leaf : reach->items) {
      const TreeNode* n = out_.find(leaf.text);
      if (n == nullptr || !n->leaf) return at(leaf.line, fmt::format("{} is no leaf", leaf.text));
      c.reach.push_back(leaf.text);
    }
    out_.cases.push_back(std::move(c));
    return {};
  }

  std::string_view name_;
  Tree& out_;
};

}  // namespace

std::vector<std::string> TreeNode::next() const {
  std::vector<std::string> out = walk;
  if (condition) out.insert(out.end(), {yes, no});
  for (const auto& [value, target] : cases) out.push_back(target);
  return out;
}

const TreeNode* Tree::find(std::string_view node) const {
  const auto it =
      std::find_if(nodes.begin(), nodes.end(), [&](const TreeNode& n) { return n.name == node; });
  return it == nodes.end() ? nullptr : &*it;
}

Result<Tree> parse_tree(std::string_view text, std::string_view name) {
  WEIR_ASSIGN(const YamlNode root, config::parse_yaml(text, name));
  Tree tree;
  WEIR_TRY(TreeReader(name, tree).read(root));
  return tree;
}

Result<std::vector<Tree>> built_in_trees() {
  std::vector<Tree> out;
  for (const EmbeddedFile& file : embedded_files()) {
    if (!file.name.starts_with(kFolder)) continue;
    WEIR_ASSIGN(Tree tree, parse_tree(file.text, file.name));
    out.push_back(std::move(tree));
  }
  std::sort(out.begin(), out.end(), [](const Tree& a, const Tree& b) {
    return std::pair(a.name != kFirst, a.name) < std::pair(b.name != kFirst, b.name);
  });
  return out;
}

}  // namespace weir::ops
