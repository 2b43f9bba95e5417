#include "ops/deploy/other_form.h"

#include <algorithm>
#include <vector>

#include "ops/deploy/read.h"

namespace weir::ops {
namespace {

using config::Node;

bool has_rules(const Node& groups) {
  return std::any_of(groups.items.begin(), groups.items.end(),
                     [](const Node& g) { return g.find("rules") != nullptr; });
}

std::string form_of_map(const Node& root) {
  if (root.find("scrape_configs") != nullptr) return "a scrape configuration of Prometheus";
  if (const Node* groups = root.find("groups"); groups != nullptr && has_rules(*groups))
    return "rules of Prometheus";
  if (root.find("panels") != nullptr && root.find("schemaVersion") != nullptr)
    return "a dashboard of Grafana";
  return "";
}

// "Kubernetes objects (Service, NetworkPolicy)"; "" where one of the documents is none.
std::string kinds_of(const std::vector<Node>& documents) {
  std::vector<std::string> kinds;
  for (const Node& d : documents) {
    const Node* kind = d.find("kind");
    if (kind == nullptr || kind->text.empty() || d.find("apiVersion") == nullptr) return "";
    if (std::find(kinds.begin(), kinds.end(), kind->text) == kinds.end())
      kinds.push_back(kind->text);
  }
  std::string all;
  for (const std::string& k : kinds) all += (all.empty() ? "" : ", ") + k;
  return all.empty() ? "" : "Kubernetes objects (" + all + ") that start no engine";
}

bool has_line(std::string_view text, std::string_view beginning) {
  return text.starts_with(beginning) ||
         text.find("\n" + std::string(beginning)) != std::string_view::npos;
}

}  // namespace

std::string other_form(std::string_view text, std::string_view name) {
  if (name.ends_with("nginx.conf") || (has_line(text, "http {") && has_line(text, "events {")))
    return "a configuration of nginx";
  if (name.ends_with("haproxy.cfg") || (has_line(text, "frontend ") && has_line(text, "backend ")))
    return "a configuration of haproxy";
  if (name.ends_with(".md")) return "a text for people";
  if (!name.ends_with(".yaml") && !name.ends_with(".yml") && !name.ends_with(".json")) return "";
  const auto documents = parse_documents(text, name);
  if (!documents.ok() || documents->empty()) return "";
  const std::string form = form_of_map(documents->front());
  return form.empty() ? kinds_of(*documents) : form;
}

}  // namespace weir::ops
