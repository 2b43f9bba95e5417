// The routes of the server: from an HTTP request to an answer in the making.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "api/chat_completions.h"
#include "api/completions.h"
#include "api/embeddings.h"
#include "http/message.h"
#include "http/response_writer.h"
#include "http/router.h"
#include "os/executor.h"
#include "server/answer.h"
#include "server/content_log.h"
#include "server/instruments.h"
#include "server/server.h"
#include "server/tenants.h"

namespace weir::server {

// A request with what its tenant may take.
struct Call : http::Request {
  std::shared_ptr<Ticket> ticket;  // shared with the answer
};

// What may change while the server runs.
struct LiveOptions {
  api::Limits api;
  bool metrics_require_key = false;
};

// Members may be called from the I/O thread (handle) and the workers (the rest).
class Routes {
 public:
  Routes(const ServerConfig& config, const ServedModel& model, const Clock& clock,
         Instruments& instruments, Tenants& tenants, telemetry::Logger& log);

  // Takes any request; on the I/O thread, never blocks.
  void handle(http::Request request, http::ResponseWriter writer);
  // /admin/trace?seconds=5: what the engine did, as a Chrome trace. Any thread, never blocks.
  void trace_page(const http::Request& request, http::ResponseWriter writer);
  void set_live(LiveOptions live) WEIR_EXCLUDES(live_mutex_);
  // Takes a message of the WebSocket /v1/stream; the same.
  void handle_message(http::Request request, http::ResponseWriter writer);
  void drain() { draining_.store(true, std::memory_order_relaxed); }

 private:
  using Route = void (Routes::*)(const Call&, http::ResponseWriter);
  using Guarded = std::function<void(const Access&, http::Request, http::ResponseWriter)>;
  void add_routes();
  // Runs the route on a worker, after the checks that cost nothing.
  void add_model_route(std::string_view pattern, Route route, bool computes);
  // A route for whoever has a key with that right; asks on a worker where that takes time.
  http::Router::Route guard(Right right, Guarded next);
  void begin_call(const Access& access, Route route, http::Request request,
                  http::ResponseWriter writer);
  // On a worker, or 503 when too many wait.
  void run(std::function<void()> task, http::ResponseWriter& writer);
  void add_model_list();
  Status check_running() const;

  void chat_completions(const Call& request, http::ResponseWriter writer);
  void embeddings(const Call& request, http::ResponseWriter writer);
  void completions(const Call& request, http::ResponseWriter writer);
  void tokenize(const Call& request, http::ResponseWriter writer);
  void detokenize(const Call& request, http::ResponseWriter writer);
  void metrics_page(http::ResponseWriter writer);
  RequestReport make_report(const char* operation, const http::Request& request);

  Result<std::vector<int32_t>> chat_prompt(const text::Json& messages, const text::Json& tools,
                                           const text::Json& kwargs, bool add_generation_prompt,
                                           const std::optional<std::string>& begun = {}) const;
  Result<std::vector<int32_t>> text_prompt(const api::Prompt& prompt) const;
  Result<engine::Request> embedding_request(const api::EmbeddingRequest& q,
                                            const Call& request) const;
  Status check_generates() const;
  Result<std::string> tokenize_body(const Call& request) const;
  Result<std::string> detokenize_body(const Call& request) const;
  Result<engine::Request> engine_request(const api::GenerationParams& p,
                                         std::vector<int32_t> prompt, const Call& request);
  void generate(bool chat, const api::GenerationParams& p,
                std::vector<std::vector<int32_t>> prompts, std::vector<std::string> echo,
                const Call& request, http::ResponseWriter writer);
  Status check_model(const std::string& name, const TenantSpec& tenant) const;
  std::shared_ptr<const LiveOptions> live() const WEIR_EXCLUDES(live_mutex_);
  void refuse(const Error& error, http::ResponseWriter& writer);
  api::ModelCard card() const;

  const ServerConfig config_;
  const ServedModel model_;
  const Clock& clock_;
  Instruments& instruments_;
  telemetry::EngineMetrics& metrics_;
  ContentLog content_;
  Tenants& tenants_;
  const int64_t started_unix_s_;
  mutable Mutex live_mutex_;
  // shared: a request keeps what it began with.
  std::shared_ptr<const LiveOptions> live_ WEIR_GUARDED_BY(live_mutex_);
  std::atomic<bool> draining_{false};
  std::atomic<uint64_t> next_seed_{0};
  std::atomic<uint64_t> next_trace_{0};
  http::Router router_;
  os::Executor executor_;  // last: its threads use the others
};

}  // namespace weir::server
