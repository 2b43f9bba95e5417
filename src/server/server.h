// weir serve: one model behind the OpenAI API, /tokenize, health and metrics.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "engine/engine.h"
#include "kv/cache_events.h"
#include "server/options.h"
#include "telemetry/log.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace weir::server {

// The model that a server serves. All borrowed, until stop() has returned.
struct ServedModel {
  engine::Engine& engine;  // started
  const text::Tokenizer& tokenizer;
  const text::ChatTemplate& chat_template;
  int32_t kv_page_tokens = 0;
  uint64_t kv_bytes_per_page = 0;
  std::string kv_type = "f16";              // as /metrics names it
  bool prefix_caching = false;              // whether the engine reuses prefixes
  kv::CacheEvents* cache_events = nullptr;  // for /admin/kv-events
};

// What is wrong with a configuration as far as that can be known without a model: keys file,
// addresses beyond loopback without keys, admin listener without a token, TLS files, the
// collector's endpoint. Errors as of Server::start; those of read_keys. Reads files, changes
// nothing.
[[nodiscard]] Status check_config(const ServerConfig& config);

class Server {
 public:
  // Binds, before there is a model: until serve() /health says that the process is alive, and all
  // else gets 503 with Retry-After, on the admin listener too. clock and log outlive the server.
  // Errors: kUsage for binding beyond loopback without keys, or for an admin listener without a
  // token; kIo when a port is taken or not permitted, with the remedy.
  static Result<std::unique_ptr<Server>> listen(const ServerConfig& config, const Clock& clock,
                                                telemetry::Logger& log);
  // From now on requests reach the model. Once, by the thread that called listen().
  void serve(const ServedModel& model);
  // Both.
  static Result<std::unique_ptr<Server>> start(const ServerConfig& config, const ServedModel& model,
                                               const Clock& clock, telemetry::Logger& log);
  // stop().
  ~Server();

  uint16_t port() const;
  uint16_t admin_port() const;  // 0: no admin listener

  // Takes over what may change while it runs: keys, limits of tenants, allowed_hosts, cors_origins,
  // api.strict, metrics_require_key, and what the TLS files hold now. All or nothing: on an error
  // (those of read_keys; kUsage for no key beyond loopback) all stays as it was. One call at a
  // time.
  Status reload(const ServerConfig& config);

  // From now on /ready and new requests get 503; what is in flight goes on. Any thread.
  void drain();
  // Waits until every connection has its answer, at most `timeout`; whether it was enough.
  bool wait_drained(std::chrono::milliseconds timeout);
  // When that was not enough: 503 for requests that are still being read. What the engine has is
  // ended by stopping it.
  void refuse_unread();
  // Closes what is left, and lets go of the model. Requests in flight deliver to the server: stop
  // the engine first. By the thread that called listen(); a second call does nothing.
  void stop();

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::server
