#include "ops/review/env_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "config/yaml.h"
#include "ops/deploy/read.h"

namespace weir::ops {
namespace {

using config::Node;

constexpr const char* kPolicyFile = "policy.yaml";
constexpr int kMaxDepth = 32;

bool is_yaml(std::string_view path) { return path.ends_with(".yaml") || path.ends_with(".yml"); }

std::string text_of(const Node* node) {
  return node != nullptr && node->kind == Node::Kind::kScalar ? node->text : "";
}

void add_alerts(const Node& groups, const std::string& file, EnvConfig& out) {
  for (const Node& group : groups.items) {
    const Node* rules = group.find("rules");
    if (rules == nullptr) continue;
    for (const Node& rule : rules->items) {
      const std::string name = text_of(rule.find("alert"));
      if (!name.empty()) out.alerts.push_back({file, name, text_of(rule.find("expr"))});
    }
  }
}

// Whether a map below `node` has the key, with something in it.
bool has_key(const Node& node, std::string_view key, int depth = 0) {
  if (depth > kMaxDepth) return false;
  for (const config::Member& m : node.members) {
    if (m.key == key &&
        (!m.value.text.empty() || !m.value.items.empty() || !m.value.members.empty()))
      return true;
    if (has_key(m.value, key, depth + 1)) return true;
  }
  return std::any_of(node.items.begin(), node.items.end(),
                     [&](const Node& item) { return has_key(item, key, depth + 1); });
}

// True: it was something that a review knows.
bool add_document(const Node& document, const std::string& file, EnvConfig& out) {
  const std::string kind = text_of(document.find("kind"));
  if (kind == "List") {
    const Node* items = document.find("items");
    bool known = false;
    for (const Node& item : items == nullptr ? std::vector<Node>() : items->items)
      known = add_document(item, file, out) || known;
    return known;
  }
  const Node* spec = document.find("spec");
  if (const Node* groups = document.find("groups")) add_alerts(*groups, file, out);
  if (kind == "PrometheusRule" && spec != nullptr && spec->find("groups") != nullptr)
    add_alerts(*spec->find("groups"), file, out);
  const bool scrapes = document.find("scrape_configs") != nullptr || kind == "ServiceMonitor" ||
                       kind == "PodMonitor" || has_key(document, "prometheus.io/scrape");
  if (scrapes) out.scrapes.push_back(file);
  const bool network = add_network(document, file, out);
  return scrapes || network || kind == "PrometheusRule" || document.find("groups") != nullptr;
}

bool add_documents(const EnvFile& file, EnvConfig& out) {
  const auto documents = parse_documents(file.text, file.path);
  if (!documents.ok()) {
    out.unread.push_back(documents.error().message);
    return true;
  }
  bool known = false;
  for (const Node& document : *documents) known = add_document(document, file.path, out) || known;
  return known;
}

void add_engines(const EnvFile& file, bool known, EnvConfig& out) {
  auto report = lint_text(file.text, file.path, {});
  if (report.ok()) {
    for (CheckedCall& call : report->calls) out.engines.push_back({file.path, std::move(call)});
  } else if (!known && report.error().code != ErrorCode::kUnsupported) {
    out.unread.push_back(report.error().message);
  }
}

void add_file(const EnvFile& file, EnvConfig& out) {
  if (file.path == kPolicyFile) {
    auto policy = parse_policy(file.text, file.path);
    out.has_policy = policy.ok();
    if (policy.ok()) {
      out.policy = std::move(*policy);
    } else {
      out.unread.push_back(policy.error().message);
    }
    return;
  }
  if (auto proxy = read_proxy(file)) {
    if (proxy->tls) out.tls_proxies.push_back(file.path);
    out.proxies.push_back(*std::move(proxy));
    return;
  }
  auto own = read_weir_config(file);
  if (!own.ok()) return out.unread.push_back(own.error().message);
  if (*own) {
    out.engines.push_back(**std::move(own));
    return;
  }
  // Neither dashboards nor notes start engines.
  if (file.path.ends_with(".md") || file.path.ends_with(".json")) return;
  const bool known = is_yaml(file.path) && add_documents(file, out);
  add_engines(file, known, out);
}

// A command that reads a file of keys: what either says of host and key holds for both.
void join(EngineUse& command, EngineUse& keys) {
  FactSet& c = command.call.facts;
  FactSet& k = keys.call.facts;
  const auto given = [](const FactSet& facts) {
    const Fact* host = facts.find("host");
    return host != nullptr && host->given;
  };
  if (given(c) || !given(k)) {
    k.set_flag("exposed", c.is("exposed", "true"));
  } else if (k.is("exposed", "false")) {
    c.set_flag("exposed", false);
  }
  for (const auto& [from, to] : {std::pair(&c, &k), std::pair(&k, &c)}) {
    if (const Fact* key = from->find("api_key"); key != nullptr && to->find("api_key") == nullptr)
      to->set("api_key", key->text);
  }
  for (EngineUse* use : {&command, &keys}) {
    const FactSet& facts = use->call.facts;
    if (facts.is("exposed", "true") && facts.find("api_key") == nullptr) continue;
    std::erase_if(use->call.findings, [](const Finding& f) { return f.rule == "api-key-missing"; });
  }
}

void join_key_files(std::span<const EnvFile> files, EnvConfig& out) {
  const auto text_of_file = [&](const std::string& path) -> std::string_view {
    for (const EnvFile& f : files) {
      if (f.path == path) return f.text;
    }
    return "";
  };
  for (EngineUse& keys : out.engines) {
    if (!keys.call.facts.is("form", "keys")) continue;
    const std::string name = keys.file.substr(keys.file.rfind('/') + 1);
    for (EngineUse& command : out.engines) {
      if (command.call.engine == keys.call.engine && !command.call.facts.is("form", "keys") &&
          text_of_file(command.file).find(name) != std::string_view::npos)
        join(command, keys);
    }
  }
}

}  // namespace

std::string EnvConfig::numerics() const {
  std::set<std::string> lines;
  for (const EngineUse& use : engines) {
    const CheckedCall& c = use.call;
    std::string line =
        fmt::format("{} {}", c.engine, c.asked_version.empty() ? c.version : c.asked_version);
    for (const char* name : {"quantization", "kv_dtype", "container.tag", "eager", "kv.type",
                             "kv.type_k", "kv.type_v", "load_type"}) {
      if (const Fact* f = c.facts.find(name)) line += fmt::format(" {}={}", name, f->text);
    }
    lines.insert(std::move(line));
  }
  return fmt::format("{}", fmt::join(lines, "\n"));
}

EnvConfig read_env_config(std::span<const EnvFile> files) {
  EnvConfig out;
  for (const EnvFile& file : files) add_file(file, out);
  join_key_files(files, out);
  return out;
}

}  // namespace weir::ops
