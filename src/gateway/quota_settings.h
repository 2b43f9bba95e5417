// What gateway.yaml says of quotas: the rules, where they are counted, and what is reserved for an
// answer whose length nobody knows. Values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gateway/state/quota_memory.h"
#include "gateway/state/quota_redis.h"
#include "gateway/state/quota_rules.h"
#include "http/tls_client.h"

namespace weir::gateway {

// What is reserved before anything is known but the request.
struct QuotaEstimateConfig {
  // Of an answer whose request says no max_tokens.
  int64_t output_tokens = 1024;
  // What a stream takes at a time when it goes beyond that; it asks while half of it is left.
  int64_t step_tokens = 256;
};

struct QuotaSettings {
  QuotaRules
      rules;  // none: nothing is asked of the store; one is there, since a reload may bring some
  QuotaEstimateConfig estimate;
  MemoryQuotaOptions memory;               // in use unless there is:
  std::optional<RedisQuotaOptions> redis;  // shared by replicas; address.tls is made of:
  std::optional<http::TlsClientOptions> redis_tls;
  std::vector<std::string> warnings;  // "FILE:LINE: …", for --check and the log

  // Where they are counted, for people.
  std::string store_name() const;
};

}  // namespace weir::gateway
