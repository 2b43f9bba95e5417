// envs/ENV/policy.yaml: what no engine's configuration says: how callers retry, and how caches that
// outlive a process are emptied.
//
//   version: 1
//   retries: {max_attempts: 2, budget_share: 0.1}   # attempts with the first; share of requests
//   caches:
//     - {name: responses, key: "model, tenant, prompt", ttl_s: 3600}
//     - {name: snapshot, key: "model file", flush: "POST /admin/cache/flush"}
//
// Taken for hostile. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::ops {

struct ConfiguredRetries {
  int64_t max_attempts = 0;  // of a request, the first one among them; 1: no retries
  double budget_share = 0;   // retries may be this share of requests
};

struct CachePolicy {
  std::string name;
  std::string key;    // what tells entries apart
  double ttl_s = 0;   // 0: none
  std::string flush;  // how it is emptied; may be empty where there is a ttl
};

struct EnvPolicy {
  std::optional<ConfiguredRetries> retries;
  std::vector<CachePolicy> caches;

  const CachePolicy* cache(std::string_view name) const;
};

// Error kCorrupt: "NAME:LINE: …"; a cache without key, or without both ttl_s and flush.
Result<EnvPolicy> parse_policy(std::string_view text, std::string_view name);

}  // namespace weir::ops
