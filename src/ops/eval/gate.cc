#include "ops/eval/gate.h"

#include <charconv>
#include <cmath>

#include "config/key.h"
#include "config/yaml.h"
#include "os/file.h"

namespace weir::ops {
namespace {

using config::Node;

constexpr size_t kMaxBytes = 1 << 20;
constexpr size_t kMaxRules = 256;

const std::vector<std::string> kKeys = {"confidence", "power", "correction",
                                        "resamples",  "seed",  "rules"};
const std::vector<std::string> kRuleKeys = {"task", "metric", "margin", "better", "min_items"};

class Reader {
 public:
  explicit Reader(std::string_view name) : name_(name) {}

  Error at(int line, std::string_view what) const {
    return make_error(ErrorCode::kCorrupt, "{}:{}: {}", name_, line, what);
  }

  Status known(const Node& map, const std::vector<std::string>& keys) const {
    for (const config::Member& m : map.members) {
      bool found = false;
      for (const std::string& key : keys) found = found || key == m.key;
      if (!found) {
        return at(m.line, fmt::format("unknown key \"{}\"; the nearest is \"{}\"", m.key,
                                      config::nearest(m.key, keys)));
      }
    }
    return {};
  }

  // Leaves `out` where the key is absent.
  Status number(const Node& map, std::string_view key, double min, double max, double& out) const {
    const Node* node = map.find(key);
    if (node == nullptr) return {};
    const char* end = node->text.data() + node->text.size();
    double value = 0;
    const auto [stop, error] = std::from_chars(node->text.data(), end, value);
    if (node->kind != Node::Kind::kScalar || error != std::errc() || stop != end ||
        !(value >= min && value <= max)) {
      return at(node->line, fmt::format("{} must be a number from {} to {}, not \"{}\"", key, min,
                                        max, shown(*node)));
    }
    out = value;
    return {};
  }

  template <typename T>
  Status integer(const Node& map, std::string_view key, double min, double max, T& out) const {
    auto value = static_cast<double>(out);
    WEIR_TRY(number(map, key, min, max, value));
    if (value != std::floor(value)) {
      return at(map.find(key)->line, fmt::format("{} must be an integer", key));
    }
    out = static_cast<T>(value);
    return {};
  }

  Status text(const Node& map, std::string_view key, std::string& out) const {
    const Node* node = map.find(key);
    if (node == nullptr) return {};
    if (node->kind != Node::Kind::kScalar || node->text.empty()) {
      return at(node->line, fmt::format("{} must be a text, not {}", key, node->kind_name()));
    }
    out = node->text;
    return {};
  }

  // One of two words; unset where the key is absent.
  Result<std::optional<bool>> choice(const Node& map, std::string_view key, std::string_view yes,
                                     std::string_view no) const {
    std::string word;
    WEIR_TRY(text(map, key, word));
    if (word.empty()) return std::optional<bool>();
    if (word != yes && word != no) {
      return at(map.find(key)->line,
                fmt::format("{} must be {} or {}, not \"{}\"", key, yes, no, word));
    }
    return std::optional<bool>(word == yes);
  }

 private:
  static std::string shown(const Node& node) {
    return node.kind == Node::Kind::kScalar ? node.text : std::string(node.kind_name());
  }
  std::string name_;
};

Result<GateRule> read_rule(const Reader& reader, const Node& node) {
  if (node.kind != Node::Kind::kMap) {
    return reader.at(node.line, fmt::format("a rule must be a map with task and margin, not {}",
                                            node.kind_name()));
  }
  WEIR_TRY(reader.known(node, kRuleKeys));
  GateRule rule;
  rule.line = node.line;
  WEIR_TRY(reader.text(node, "task", rule.task));
  WEIR_TRY(reader.text(node, "metric", rule.metric));
  WEIR_TRY(reader.number(node, "margin", 1e-9, 1e9, rule.margin));
  WEIR_TRY(reader.integer(node, "min_items", 2, 1e9, rule.min_items));
  WEIR_ASSIGN(rule.higher_is_better, reader.choice(node, "better", "higher", "lower"));
  if (rule.task.empty()) return reader.at(node.line, "the rule has no task");
  if (rule.margin <= 0) {
    return reader.at(node.line, fmt::format("the rule of {} has no margin (the largest loss that "
                                            "is tolerated, above 0)",
                                            rule.task));
  }
  return rule;
}

}  // namespace

Result<Gate> parse_gate(std::string_view text, std::string_view name) {
  WEIR_ASSIGN(const Node root, config::parse_yaml(text, name));
  const Reader reader(name);
  if (root.kind != Node::Kind::kMap) {
    return reader.at(std::max(root.line, 1),
                     fmt::format("a gate must be a map with rules, not {}", root.kind_name()));
  }
  WEIR_TRY(reader.known(root, kKeys));
  Gate gate;
  gate.name = name;
  WEIR_TRY(reader.number(root, "confidence", 0.5, 0.9999, gate.confidence));
  WEIR_TRY(reader.number(root, "power", 0.5, 0.9999, gate.power));
  WEIR_TRY(reader.integer(root, "resamples", 1000, 100'000, gate.resamples));
  WEIR_TRY(reader.integer(root, "seed", 0, 9e15, gate.seed));
  WEIR_ASSIGN(const std::optional<bool> holm, reader.choice(root, "correction", "holm", "none"));
  gate.holm = holm.value_or(true);
  const Node* rules = root.find("rules");
  if (rules == nullptr || rules->kind != Node::Kind::kList || rules->items.empty()) {
    return reader.at(rules == nullptr ? root.line : rules->line,
                     "rules must be a list of at least one rule");
  }
  if (rules->items.size() > kMaxRules) {
    return reader.at(rules->line, fmt::format("{} rules are over the limit of {}",
                                              rules->items.size(), kMaxRules));
  }
  for (const Node& item : rules->items) {
    WEIR_ASSIGN(GateRule rule, read_rule(reader, item));
    for (const GateRule& other : gate.rules) {
      if (other.task == rule.task && other.metric == rule.metric) {
        return reader.at(item.line, fmt::format("{} has a rule for this metric in line {} already",
                                                rule.task, other.line));
      }
    }
    gate.rules.push_back(std::move(rule));
  }
  return gate;
}

Result<Gate> read_gate(const std::string& path) {
  WEIR_ASSIGN(const std::string text, os::read_file(path, kMaxBytes));
  return parse_gate(text, path);
}

Gate default_gate(const EvalRun& base) {
  Gate gate;
  for (const EvalTask& task : base.tasks) {
    GateRule rule;
    rule.task = task.name;
    rule.margin = task.kind == "kl" || task.kind == "perplexity" ? 0.02 : 0.01;
    gate.rules.push_back(std::move(rule));
  }
  return gate;
}

}  // namespace weir::ops
