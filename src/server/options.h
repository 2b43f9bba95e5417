// What an operator decides about a server.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/generation.h"
#include "base/result.h"
#include "http/server.h"
#include "server/otlp.h"
#include "telemetry/scrubber.h"

namespace weir::server {

// The admin listener: own address, own token.
struct AdminConfig {
  std::string host = "127.0.0.1";
  int32_t port = -1;  // 0: any free one; -1: no admin listener
  std::string token;  // needed when there is a listener
  // What whoever keeps the configuration offers; empty: nothing. Called on the admin thread.
  std::function<std::string()> show_config;     // JSON, secrets masked
  std::function<Result<std::string>()> reload;  // JSON: what changed
};

struct ServerConfig {
  std::string host = "127.0.0.1";
  uint16_t port = 8080;  // 0: any free one
  std::string model_name;
  std::vector<std::string> api_keys;       // empty: none asked for
  std::string keys_file;                   // of tenants and their keys; empty: none
  bool metrics_require_key = false;        // /metrics asks for a key with that right
  bool allow_remote_without_keys = false;  // otherwise binding beyond loopback needs api_keys
  std::vector<std::string> allowed_hosts;  // of the Host header; empty: all on loopback
  std::vector<std::string> cors_origins;
  AdminConfig admin;
  api::Limits api;
  http::ServerLimits http;
  int32_t workers = 1;                 // threads that parse, render and tokenize requests
  int32_t max_pending_requests = 512;  // handed to them and not yet submitted; beyond: 503
  std::chrono::milliseconds keep_alive_interval{15'000};  // SSE comments while nothing is sent
  OtlpConfig otlp;
  bool log_content = false;                             // prompts and outputs, through the scrubber
  std::shared_ptr<const telemetry::Scrubber> scrubber;  // null: content is logged as it is
  uint64_t seed = 0;  // from outside randomness: request ids, seeds of requests without one
};

}  // namespace weir::server
