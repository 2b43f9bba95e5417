// The HTTP answer to an embeddings request: one engine request, whose texts finish in any order.
//
// Threads: as server/answer.h; the whole answer is written on a worker, for it may have tens of
// megabytes and no step waits for that.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "api/embeddings.h"
#include "base/thread_annotations.h"
#include "engine/engine.h"
#include "http/response_writer.h"
#include "os/executor.h"
#include "server/answer.h"

namespace weir::server {

struct EmbeddingsSpec {
  std::string model;
  api::VectorEncoding encoding = api::VectorEncoding::kNumbers;
  RequestReport report;
  std::shared_ptr<Ticket> ticket;
};

// Shared by its sink and the writer's callback: its life ends with the last of them.
class EmbeddingsAnswer : public std::enable_shared_from_this<EmbeddingsAnswer> {
 public:
  // executor: of the server; borrowed, and outlives the engine's thread.
  EmbeddingsAnswer(const AnswerContext& context, os::Executor& executor, EmbeddingsSpec spec,
                   http::ResponseWriter writer);

  // A refusal becomes the answer.
  void submit(engine::Request request) WEIR_EXCLUDES(mutex_);

 private:
  class Sink;

  void on_delivery(const engine::Delivery& delivery) WEIR_EXCLUDES(mutex_);
  void send() WEIR_EXCLUDES(mutex_);
  void send_error(const Error& error) WEIR_REQUIRES(mutex_);

  const AnswerContext context_;
  os::Executor& executor_;
  const EmbeddingsSpec spec_;
  Mutex mutex_;
  http::ResponseWriter writer_ WEIR_GUARDED_BY(mutex_);
  engine::RequestId id_ WEIR_GUARDED_BY(mutex_) = 0;
  std::vector<std::vector<float>> vectors_ WEIR_GUARDED_BY(mutex_);  // [texts][dim]
  RequestReport report_ WEIR_GUARDED_BY(mutex_);
  bool over_ WEIR_GUARDED_BY(mutex_) = false;  // answered, failed or the client is gone
};

}  // namespace weir::server
