// weir.yaml as an engine among others. Its own schema is weir config check's; here its keys are
// facts for the rules.
#include <fmt/format.h>

#include <algorithm>

#include "config/yaml.h"
#include "ops/deploy/listen_address.h"
#include "ops/review/env_config.h"

namespace weir::ops {
namespace {

using config::Node;

constexpr int kMaxDepth = 8;

void add_keys(const Node& node, const std::string& path, int depth, FactSet& facts) {
  if (depth > kMaxDepth) return;
  if (node.kind == Node::Kind::kScalar) facts.set(path, node.text, node.line, true);
  if (node.kind == Node::Kind::kList && !node.items.empty())
    facts.set(path, fmt::format("{} items", node.items.size()), node.line, true);
  for (const config::Member& m : node.members)
    add_keys(m.value, path.empty() ? m.key : path + "." + m.key, depth + 1, facts);
}

bool is_weir_path(std::string_view path) {
  const size_t slash = path.rfind('/');
  const std::string_view name = slash == std::string_view::npos ? path : path.substr(slash + 1);
  return name.starts_with("weir") && (name.ends_with(".yaml") || name.ends_with(".yml"));
}

}  // namespace

Result<std::optional<EngineUse>> read_weir_config(const EnvFile& file) {
  if (!is_weir_path(file.path)) return std::optional<EngineUse>();
  WEIR_ASSIGN(const Node root, config::parse_yaml(file.text, file.path));
  // A manifest or a Compose file of that name is read as such.
  if (root.kind != Node::Kind::kMap || root.find("apiVersion") != nullptr ||
      root.find("services") != nullptr || root.find("groups") != nullptr ||
      root.find("scrape_configs") != nullptr)
    return std::optional<EngineUse>();
  EngineUse use;
  use.file = file.path;
  use.call.engine = "weir";
  use.call.workload = "weir serve";
  use.call.line = 1;
  FactSet& facts = use.call.facts;
  add_keys(root, "", 0, facts);
  facts.set("engine", "weir");
  facts.set("role", "server");
  // Queues have a bound unless the file says another one.
  const Fact* queued = facts.find("limits.max_queued_requests");
  facts.set("max_queued", queued == nullptr ? "default" : queued->text);
  const Fact* host = facts.find("host");
  facts.set_flag("exposed", host != nullptr && !is_loopback(host->text));
  for (const char* name : {"api_keys", "keys_file", "tls.client_ca"}) {
    const Fact* key = facts.find(name);
    if (key != nullptr && !key->text.empty()) facts.set("api_key", name, key->line, true);
  }
  use.call.findings = LintRules::built_in().evaluate(facts, 1);
  return std::optional<EngineUse>(std::move(use));
}

}  // namespace weir::ops
