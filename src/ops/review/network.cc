// Who reaches pods, and whether in clear: NetworkPolicies, and the way through Ingress or Gateway
// to a Service. https://kubernetes.io/docs/concepts/services-networking/network-policies/
#include <fmt/format.h>

#include <algorithm>

#include "ops/deploy/node_path.h"
#include "ops/review/env_config.h"

namespace weir::ops {
namespace {

using config::Node;

const std::vector<Node>& items_of(const Node* node) {
  static const std::vector<Node> none;
  return node == nullptr ? none : node->items;
}

bool is_empty(const Node* node) {
  return node == nullptr || (node->text.empty() && node->items.empty() && node->members.empty());
}

// Namespaces that no file names are those of kubectl or helm; "default" is what they are then.
std::string namespace_of(const Node& document) {
  const std::string name = text_at(document, "metadata.namespace");
  return name == "default" ? "" : name;
}

PodChoice selector_of(const Node& document, const Node* selector) {
  PodChoice out;
  out.name_space = namespace_of(document);
  if (selector == nullptr) return out;
  for (const Node& rule : items_of(selector->find("matchExpressions"))) {
    LabelRule& r =
        out.rules.emplace_back(LabelRule{text_at(rule, "key"), text_at(rule, "operator"), {}});
    for (const Node& value : items_of(rule.find("values"))) r.values.push_back(value.text);
  }
  const Node* labels = selector->find("matchLabels");
  // Of a Service the labels themselves stand there.
  if (labels == nullptr && selector->find("matchExpressions") == nullptr) labels = selector;
  if (labels == nullptr) return out;
  for (const config::Member& m : labels->members) out.labels[m.key] = m.value.text;
  return out;
}

// A sender of a rule that is everyone, or every pod of the cluster.
bool is_everyone(const Node& peer) {
  if (is_empty(&peer)) return true;
  if (const Node* block = peer.find("ipBlock")) return text_at(*block, "cidr").ends_with("/0");
  const Node* spaces = peer.find("namespaceSelector");
  return spaces != nullptr && is_empty(spaces) && is_empty(peer.find("podSelector"));
}

void add_policy(const Node& document, const std::string& file, EnvConfig& out) {
  const Node* types = at_path(document, "spec.policyTypes");
  const auto& kinds = items_of(types);
  const bool ingress = kinds.empty() || std::any_of(kinds.begin(), kinds.end(), [](const Node& n) {
                         return n.text == "Ingress";
                       });
  if (!ingress) return;
  NetworkPolicyUse use;
  use.file = file;
  use.pods = selector_of(document, at_path(document, "spec.podSelector"));
  for (const Node& rule : items_of(at_path(document, "spec.ingress"))) {
    const auto& from = items_of(rule.find("from"));
    use.open = use.open || from.empty() || std::any_of(from.begin(), from.end(), is_everyone);
  }
  out.network_policies.push_back(std::move(use));
}

void add_ingress(const Node& document, const std::string& file, EnvConfig& out) {
  RouteUse use;
  use.file = file;
  use.name_space = namespace_of(document);
  use.tls = !is_empty(at_path(document, "spec.tls"));
  const auto add = [&](const Node* backend) {
    if (backend == nullptr) return;
    if (std::string name = text_at(*backend, "service.name"); !name.empty())
      use.services.push_back(std::move(name));
  };
  add(at_path(document, "spec.defaultBackend"));
  for (const Node& rule : items_of(at_path(document, "spec.rules"))) {
    for (const Node& path : items_of(at_path(rule, "http.paths"))) add(path.find("backend"));
  }
  out.routes.push_back(std::move(use));
}

void add_gateway(const Node& document, EnvConfig& out) {
  const auto& listeners = items_of(at_path(document, "spec.listeners"));
  if (std::any_of(listeners.begin(), listeners.end(),
                  [](const Node& n) { return !is_empty(n.find("tls")); }))
    out.tls_gateways.push_back(text_at(document, "metadata.name"));
}

void add_retry(const Node& retry, const std::string& file, EnvConfig& out) {
  ProxyUse use;
  use.file = file;
  use.kind = "HTTPRoute";
  const std::string attempts = text_at(retry, "attempts");
  if (!attempts.empty() && attempts.size() < 9 &&
      attempts.find_first_not_of("0123456789") == std::string::npos) {
    use.attempts = std::stoll(attempts) + 1;  // it counts the retries
  } else {
    use.unbounded_retries = true;
  }
  out.proxies.push_back(std::move(use));
}

void add_route(const Node& document, const std::string& file, EnvConfig& out) {
  RouteUse use;
  use.file = file;
  use.name_space = namespace_of(document);
  for (const Node& parent : items_of(at_path(document, "spec.parentRefs")))
    use.gateways.push_back(text_at(parent, "name"));
  for (const Node& rule : items_of(at_path(document, "spec.rules"))) {
    for (const Node& backend : items_of(rule.find("backendRefs")))
      use.services.push_back(text_at(backend, "name"));
    if (const Node* retry = rule.find("retry")) add_retry(*retry, file, out);
  }
  out.routes.push_back(std::move(use));
}

std::string space_of(const CheckedCall& call) {
  return call.name_space == "default" ? "" : call.name_space;
}

}  // namespace

bool LabelRule::holds(const std::map<std::string, std::string>& labels) const {
  const auto it = labels.find(key);
  const bool there = it != labels.end();
  const bool listed = there && std::find(values.begin(), values.end(), it->second) != values.end();
  if (op == "In") return listed;
  if (op == "NotIn") return !listed;
  if (op == "Exists") return there;
  return op == "DoesNotExist" && !there;
}

bool PodChoice::selects(const CheckedCall& call) const {
  if (name_space != space_of(call)) return false;
  return std::all_of(labels.begin(), labels.end(),
                     [&](const auto& label) {
                       const auto it = call.labels.find(label.first);
                       return it != call.labels.end() && it->second == label.second;
                     }) &&
         std::all_of(rules.begin(), rules.end(),
                     [&](const LabelRule& rule) { return rule.holds(call.labels); });
}

std::string EnvConfig::tls_of(const EngineUse& use) const {
  if (const Fact* own = use.call.facts.find("tls.cert"); own != nullptr && !own->text.empty())
    return use.file;
  if (!use.call.facts.is("in_cluster", "true"))
    return tls_proxies.empty() ? "" : tls_proxies.front();
  for (const RouteUse& route : routes) {
    const bool tls =
        route.tls || std::any_of(route.gateways.begin(), route.gateways.end(), [&](const auto& g) {
          return std::find(tls_gateways.begin(), tls_gateways.end(), g) != tls_gateways.end();
        });
    if (!tls || route.name_space != space_of(use.call)) continue;
    for (const ServiceUse& service : services) {
      const bool led = std::find(route.services.begin(), route.services.end(), service.name) !=
                       route.services.end();
      // A Service without a selector chooses no pods.
      if (led && !service.pods.labels.empty() && service.pods.selects(use.call)) return route.file;
    }
  }
  return "";
}

std::string EnvConfig::closed_by(const EngineUse& use, std::string& why) const {
  why = "no NetworkPolicy";
  if (!use.call.facts.is("in_cluster", "true")) return "";
  std::string out;
  for (const NetworkPolicyUse& one : network_policies) {
    if (!one.pods.selects(use.call)) {
      if (out.empty() && why == "no NetworkPolicy")
        why = fmt::format("the NetworkPolicy of {} selects other pods, by namespace or labels",
                          one.file);
      continue;
    }
    if (one.open) {
      why = fmt::format("the NetworkPolicy of {} lets everyone in", one.file);
      return "";
    }
    if (out.empty()) out = one.file;
  }
  return out;
}

bool add_network(const Node& document, const std::string& file, EnvConfig& out) {
  const std::string kind = text_at(document, "kind");
  if (kind == "NetworkPolicy") {
    add_policy(document, file, out);
  } else if (kind == "Service" || kind == "InferencePool") {
    out.services.push_back({text_at(document, "metadata.name"),
                            selector_of(document, at_path(document, "spec.selector"))});
  } else if (kind == "Ingress") {
    add_ingress(document, file, out);
  } else if (kind == "Gateway") {
    add_gateway(document, out);
  } else if (kind == "HTTPRoute") {
    add_route(document, file, out);
  } else {
    return false;
  }
  return true;
}

}  // namespace weir::ops
