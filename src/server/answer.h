// One HTTP answer that engine requests fill: whole or as a stream of SSE chunks.
//
// Threads: deliveries come on the engine's thread, the client's disappearance on the I/O thread,
// requests are attached on a worker. A mutex orders them; it is never held while the engine
// computes.
#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "api/generation.h"
#include "api/responses.h"
#include "base/clock.h"
#include "base/thread_annotations.h"
#include "engine/engine.h"
#include "http/response_writer.h"
#include "os/executor.h"
#include "server/content_log.h"
#include "server/request_report.h"
#include "server/tenants.h"
#include "text/tokenizer.h"

namespace weir::server {

// How far from the truth admission's prediction of the first token was.
inline void observe_prediction(telemetry::EngineMetrics& metrics, const engine::Timings& t) {
  if (t.predicted_ttft_ms <= 0) return;
  metrics.predicted_ttft_error_s.observe(std::abs(t.queue_ms + t.prefill_ms - t.predicted_ttft_ms) *
                                         1e-3);
}

struct AnswerSpec {
  bool chat = false;
  api::AnswerMeta meta;
  api::GenerationParams generation;
  std::vector<std::string> echo;   // text before each prompt's choices, empty without echo
  RequestReport report;            // what is known of the request
  std::shared_ptr<Ticket> ticket;  // shared with the task that made the answer
};

// What an answer works with; all borrowed.
struct AnswerContext {
  engine::Engine& engine;
  const text::Tokenizer& tokenizer;
  const Clock& clock;
  Reporting reporting;
  ContentLog* content = nullptr;  // null: content is not logged
  // Writes answers with the log probabilities of prompts, which no step waits for; null: the
  // engine's thread does. Outlives that.
  os::Executor* executor = nullptr;
};

// Shared by the sinks of its requests and the writer's callbacks: its life ends with the last of
// them.
class Answer : public std::enable_shared_from_this<Answer> {
 public:
  Answer(const AnswerContext& context, AnswerSpec spec, http::ResponseWriter writer);

  // Submits every prompt; the first refusal becomes the answer and withdraws the others.
  void submit(std::vector<engine::Request> requests, std::chrono::milliseconds keep_alive_interval)
      WEIR_EXCLUDES(mutex_);

 private:
  static constexpr size_t kMaxLoggedBytes = 4096;  // more than the log keeps of a scrubbed text
  class Sink;
  struct Choice {
    api::AnswerChoice whole;      // without streaming: the choice so far
    bool started = false;         // a chunk was sent
    int64_t text_characters = 0;  // what was echoed and generated
    std::string logged;           // its text up to kMaxLoggedBytes, when content is logged
    int64_t last_token_ns = 0;
  };

  void on_delivery(size_t prompt, const engine::Delivery& delivery) WEIR_EXCLUDES(mutex_);
  void take_event(size_t prompt, const engine::Event& event, std::string& sse)
      WEIR_REQUIRES(mutex_);
  void finish_prompt(const engine::Delivery& delivery, std::string& sse) WEIR_REQUIRES(mutex_);
  http::Headers stream_headers() const;
  void begin_stream(const engine::Timings& timings) WEIR_REQUIRES(mutex_);
  void send_stream(const std::string& sse) WEIR_REQUIRES(mutex_);
  void send_whole() WEIR_REQUIRES(mutex_);
  void send_whole_later() WEIR_EXCLUDES(mutex_);
  void send_error(const Error& error) WEIR_REQUIRES(mutex_);
  void withdraw() WEIR_REQUIRES(mutex_);
  api::AnswerChoice make_choice(size_t prompt, const engine::Event& event,
                                const Choice& choice) const WEIR_REQUIRES(mutex_);
  void observe(Choice& choice, const engine::Event& event) WEIR_REQUIRES(mutex_);
  api::AnswerUsage usage() const WEIR_REQUIRES(mutex_);
  api::AnswerTimings timings() const WEIR_REQUIRES(mutex_);
  void on_writable() WEIR_EXCLUDES(mutex_);

  const AnswerContext context_;
  const AnswerSpec spec_;
  Mutex mutex_;
  http::ResponseWriter writer_ WEIR_GUARDED_BY(mutex_);
  std::vector<engine::RequestId> ids_ WEIR_GUARDED_BY(mutex_);
  std::vector<Choice> choices_ WEIR_GUARDED_BY(mutex_);
  // Without streaming: of each prompt, its tokens where their log probabilities are wanted.
  std::vector<std::vector<engine::TokenInfo>> prompts_ WEIR_GUARDED_BY(mutex_);
  RequestReport report_ WEIR_GUARDED_BY(mutex_);
  size_t open_prompts_ WEIR_GUARDED_BY(mutex_) = 0;
  bool over_ WEIR_GUARDED_BY(mutex_) = false;  // answered, failed or the client is gone
};

}  // namespace weir::server
