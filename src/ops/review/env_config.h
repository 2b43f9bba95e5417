// What the files of an environment say to a review: engines with the findings of the rules,
// proxies, alerts, who may call. Pure: texts in. Any thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/yaml.h"
#include "ops/lint/lint.h"
#include "ops/review/policy.h"

namespace weir::ops {

struct EnvFile {
  std::string path;  // below envs/ENV: "vllm/serve.sh"
  std::string text;
};

// An engine that a file starts. Of weir.yaml the facts are its keys, by their paths.
struct EngineUse {
  std::string file;
  CheckedCall call;
};

// nginx, HAProxy or an HTTPRoute in front of engines.
struct ProxyUse {
  std::string file;
  std::string kind;              // "nginx", "haproxy", "HTTPRoute"
  bool bounds_requests = false;  // limit_conn, limit_req, max_conns; maxconn
  bool tls = false;
  std::optional<int64_t> attempts;  // of a request, the first among them; nullopt: not said
  bool unbounded_retries = false;   // nginx: proxy_next_upstream without its tries
  bool caches = false;              // proxy_cache
  bool cache_expires = false;       // proxy_cache_valid
};

// One of a selector's matchExpressions. NotIn holds of pods without the label too.
struct LabelRule {
  std::string key, op;  // In, NotIn, Exists, DoesNotExist; no other holds of any pod
  std::vector<std::string> values;

  bool holds(const std::map<std::string, std::string>& labels) const;
};

// Pods by their labels, as NetworkPolicies, Services and InferencePools choose them: all of labels
// and rules must hold; none: every pod.
struct PodChoice {
  std::string name_space;  // empty: the file does not say
  std::map<std::string, std::string> labels;
  std::vector<LabelRule> rules;

  bool selects(const CheckedCall& call) const;
};

struct NetworkPolicyUse {
  std::string file;
  PodChoice pods;
  bool open = false;  // one of its rules lets everyone in
};

// A Service or an InferencePool.
struct ServiceUse {
  std::string name;
  PodChoice pods;
};

// What leads to Services: an Ingress, or an HTTPRoute of Gateways.
struct RouteUse {
  std::string file;
  std::string name_space;
  bool tls = false;                   // of an Ingress
  std::vector<std::string> gateways;  // of an HTTPRoute, by name
  std::vector<std::string> services;
};

struct AlertUse {
  std::string file, name, expr;
};

struct EnvConfig {
  std::vector<EngineUse> engines;
  std::vector<ProxyUse> proxies;
  std::vector<AlertUse> alerts;
  std::vector<std::string> scrapes;  // files that collect metrics
  std::vector<NetworkPolicyUse> network_policies;
  std::vector<ServiceUse> services;
  std::vector<RouteUse> routes;
  std::vector<std::string> tls_gateways;  // names
  std::vector<std::string> tls_proxies;   // files of nginx and HAProxy
  EnvPolicy policy;
  bool has_policy = false;
  std::vector<std::string> unread;  // "FILE: why": of what should have been read

  // What decides about the numbers that come out: engines, versions, types, images; a line each.
  std::string numerics() const;
  // The file that ends TLS before the engine or in it: for pods an Ingress or a Gateway that leads
  // to a Service of theirs, else a proxy; "" without one.
  std::string tls_of(const EngineUse& use) const;
  // The file of a NetworkPolicy that says from where its pods are reached; "" without one. Policies
  // add up: one that lets everyone in undoes the others. why: then says so.
  std::string closed_by(const EngineUse& use, std::string& why) const;
};

EnvConfig read_env_config(std::span<const EnvFile> files);

// Parts of it. Internal to ops/review/.
// True: the document is one of NetworkPolicy, Service, InferencePool, Ingress, Gateway, HTTPRoute.
bool add_network(const config::Node& document, const std::string& file, EnvConfig& out);
std::optional<ProxyUse> read_proxy(const EnvFile& file);
// nullopt: it is no weir.yaml.
Result<std::optional<EngineUse>> read_weir_config(const EnvFile& file);

}  // namespace weir::ops
