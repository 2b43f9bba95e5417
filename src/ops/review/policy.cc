#include "ops/review/policy.h"

#include <algorithm>

#include "config/yaml.h"
#include "ops/eval/yaml_reader.h"

namespace weir::ops {
namespace {

Result<CachePolicy> cache_of(const config::Node& node, const YamlReader& reader) {
  WEIR_TRY(reader.is_map(node, "a cache", "name"));
  WEIR_TRY(reader.known(node, {"name", "key", "ttl_s", "flush"}));
  CachePolicy out;
  WEIR_TRY(reader.text(node, "name", out.name));
  WEIR_TRY(reader.text(node, "key", out.key));
  WEIR_TRY(reader.number(node, "ttl_s", 0.001, 1e9, out.ttl_s));
  WEIR_TRY(reader.text(node, "flush", out.flush));
  if (out.name.empty() || out.key.empty() || (out.ttl_s == 0 && out.flush.empty()))
    return reader.at(node.line, "a cache needs name, key, and ttl_s or flush");
  return out;
}

}  // namespace

const CachePolicy* EnvPolicy::cache(std::string_view name) const {
  const auto it = std::find_if(caches.begin(), caches.end(),
                               [&](const CachePolicy& c) { return c.name == name; });
  return it == caches.end() ? nullptr : &*it;
}

Result<EnvPolicy> parse_policy(std::string_view text, std::string_view name) {
  WEIR_ASSIGN(const config::Node root, config::parse_yaml(text, name));
  const YamlReader reader(name);
  WEIR_TRY(reader.is_map(root, "the file", "retries"));
  WEIR_TRY(reader.known(root, {"version", "retries", "caches"}));
  EnvPolicy out;
  if (const config::Node* node = root.find("retries")) {
    WEIR_TRY(reader.is_map(*node, "retries", "max_attempts"));
    WEIR_TRY(reader.known(*node, {"max_attempts", "budget_share"}));
    ConfiguredRetries retries;
    WEIR_TRY(reader.integer(*node, "max_attempts", 1, 1000, retries.max_attempts));
    WEIR_TRY(reader.number(*node, "budget_share", 0, 1, retries.budget_share));
    if (retries.max_attempts == 0) return reader.at(node->line, "retries need max_attempts");
    if (retries.max_attempts > 1 && node->find("budget_share") == nullptr)
      return reader.at(node->line,
                       "retries need budget_share, the share of requests that they may be");
    out.retries = retries;
  }
  if (root.find("caches") == nullptr) return out;
  WEIR_ASSIGN(const auto caches, reader.list(root, "caches", "cache", 100));
  out.caches.reserve(caches.size());
  for (const config::Node& node : caches) {
    WEIR_ASSIGN(CachePolicy cache, cache_of(node, reader));
    if (out.cache(cache.name) != nullptr)
      return reader.at(node.line, fmt::format("the cache \"{}\" stands twice", cache.name));
    out.caches.push_back(std::move(cache));
  }
  return out;
}

}  // namespace weir::ops
