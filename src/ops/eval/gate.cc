#include "ops/eval/gate.h"

#include "ops/eval/yaml_reader.h"
#include "os/file.h"

namespace weir::ops {
namespace {

using config::Node;

constexpr size_t kMaxBytes = 1 << 20;
constexpr size_t kMaxRules = 256;

const std::vector<std::string> kKeys = {"confidence", "power", "correction",
                                        "resamples",  "seed",  "rules"};
const std::vector<std::string> kRuleKeys = {"task", "metric", "margin", "better", "min_items"};

Result<GateRule> read_rule(const YamlReader& reader, const Node& node) {
  WEIR_TRY(reader.is_map(node, "a rule", "task and margin"));
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
  const YamlReader reader(name);
  WEIR_TRY(reader.is_map(root, "a gate", "rules"));
  WEIR_TRY(reader.known(root, kKeys));
  Gate gate;
  gate.name = name;
  WEIR_TRY(reader.number(root, "confidence", 0.5, 0.9999, gate.confidence));
  WEIR_TRY(reader.number(root, "power", 0.5, 0.9999, gate.power));
  WEIR_TRY(reader.integer(root, "resamples", 1000, 100'000, gate.resamples));
  WEIR_TRY(reader.integer(root, "seed", 0, 9e15, gate.seed));
  WEIR_ASSIGN(const std::optional<bool> holm, reader.choice(root, "correction", "holm", "none"));
  gate.holm = holm.value_or(true);
  WEIR_ASSIGN(const auto rules, reader.list(root, "rules", "rule", kMaxRules));
  for (const Node& item : rules) {
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
