// weir serve: one model behind the OpenAI API, /tokenize, health and metrics.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "engine/engine.h"
#include "server/options.h"
#include "telemetry/log.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace weir::server {

// The model that a server serves. All borrowed; they outlive the server.
struct ServedModel {
  engine::Engine& engine;  // started
  const text::Tokenizer& tokenizer;
  const text::ChatTemplate& chat_template;
  int32_t kv_page_tokens = 0;
  uint64_t kv_bytes_per_page = 0;
  std::string kv_type = "f16";  // as /metrics names it
  bool prefix_caching = false;  // whether the engine reuses prefixes
};

class Server {
 public:
  // Binds and serves. Errors: kUsage for binding beyond loopback without keys, or for an admin
  // listener without a token; kIo when a port is taken or not permitted, with the remedy.
  static Result<std::unique_ptr<Server>> start(const ServerConfig& config, const ServedModel& model,
                                               const Clock& clock, telemetry::Logger& log);
  // Stops at once. Requests in flight deliver to the server: stop the engine first.
  ~Server();

  uint16_t port() const;
  uint16_t admin_port() const;  // 0: no admin listener

  // Reads certificate, key and client CA again (SIGHUP), all or nothing: after an error the old
  // ones stay. Nothing without TLS. Any thread.
  Status reload_tls(const Clock& clock);

  // From now on /ready and new requests get 503; what is in flight goes on. Any thread.
  void drain();
  // Waits until every connection has its answer, at most `timeout`; whether it was enough.
  bool wait_drained(std::chrono::milliseconds timeout);
  // Closes what is left.
  void stop();

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::server
