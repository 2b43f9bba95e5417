// What the files of an environment say to a review: engines with the findings of the rules,
// proxies, alerts, who may call. Pure: texts in. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

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

struct AlertUse {
  std::string file, name, expr;
};

struct EnvConfig {
  std::vector<EngineUse> engines;
  std::vector<ProxyUse> proxies;
  std::vector<AlertUse> alerts;
  std::vector<std::string> scrapes;           // files that collect metrics
  std::vector<std::string> network_policies;  // files
  std::vector<std::string> tls;               // files that set up TLS
  EnvPolicy policy;
  bool has_policy = false;
  std::vector<std::string> unread;  // "FILE: why": of what should have been read

  // What decides about the numbers that come out: engines, versions, types, images; a line each.
  std::string numerics() const;
};

EnvConfig read_env_config(std::span<const EnvFile> files);

// Parts of it. Internal to ops/review/.
std::optional<ProxyUse> read_proxy(const EnvFile& file);
// nullopt: it is no weir.yaml.
Result<std::optional<EngineUse>> read_weir_config(const EnvFile& file);

}  // namespace weir::ops
