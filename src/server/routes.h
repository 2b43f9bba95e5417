// The routes of the server: from an HTTP request to an answer in the making.
#pragma once

#include <atomic>
#include <string>
#include <variant>
#include <vector>

#include "api/chat_completions.h"
#include "api/completions.h"
#include "api/embeddings.h"
#include "http/message.h"
#include "http/response_writer.h"
#include "http/router.h"
#include "server/answer.h"
#include "server/content_log.h"
#include "server/executor.h"
#include "server/instruments.h"
#include "server/server.h"

namespace weir::server {

// Members may be called from the I/O thread (handle) and the workers (the rest).
class Routes {
 public:
  Routes(const ServerConfig& config, const ServedModel& model, const Clock& clock,
         Instruments& instruments, telemetry::Logger& log);

  // Takes any request; on the I/O thread, never blocks.
  void handle(http::Request request, http::ResponseWriter writer);
  // /admin/trace?seconds=5: what the engine did, as a Chrome trace. Any thread, never blocks.
  void trace_page(const http::Request& request, http::ResponseWriter writer);
  void drain() { draining_.store(true, std::memory_order_relaxed); }

 private:
  using Route = void (Routes::*)(const http::Request&, http::ResponseWriter);
  void add_routes();
  // Runs the route on a worker, after the checks that cost nothing.
  void add_model_route(std::string_view pattern, Route route, bool computes);
  Status admit(const http::Request& request, bool computes) const;

  void chat_completions(const http::Request& request, http::ResponseWriter writer);
  void embeddings(const http::Request& request, http::ResponseWriter writer);
  void completions(const http::Request& request, http::ResponseWriter writer);
  void tokenize(const http::Request& request, http::ResponseWriter writer);
  void detokenize(const http::Request& request, http::ResponseWriter writer);
  void metrics_page(http::ResponseWriter writer);
  RequestReport make_report(const char* operation, const http::Request& request);

  Result<std::vector<int32_t>> chat_prompt(const text::Json& messages, const text::Json& tools,
                                           const text::Json& kwargs,
                                           bool add_generation_prompt) const;
  Result<std::vector<int32_t>> text_prompt(const api::Prompt& prompt) const;
  Result<engine::Request> embedding_request(const api::EmbeddingRequest& q,
                                            const http::Request& request) const;
  Status check_generates() const;
  Result<std::string> tokenize_body(const http::Request& request) const;
  Result<std::string> detokenize_body(const http::Request& request) const;
  Result<engine::Request> engine_request(const api::GenerationParams& p,
                                         std::vector<int32_t> prompt, const http::Request& request);
  void generate(bool chat, const api::GenerationParams& p,
                std::vector<std::vector<int32_t>> prompts, std::vector<std::string> echo,
                const http::Request& request, http::ResponseWriter writer);
  Status check_model(const std::string& name) const;
  void refuse(const Error& error, http::ResponseWriter& writer);
  api::ModelCard card() const;

  const ServerConfig config_;
  const ServedModel model_;
  const Clock& clock_;
  Instruments& instruments_;
  telemetry::EngineMetrics& metrics_;
  ContentLog content_;
  const int64_t started_unix_s_;
  std::atomic<bool> draining_{false};
  std::atomic<uint64_t> next_seed_{0};
  std::atomic<uint64_t> next_trace_{0};
  http::Router router_;
  Executor executor_;  // last: its threads use the others
};

}  // namespace weir::server
