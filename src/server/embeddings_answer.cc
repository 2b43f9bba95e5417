#include "server/embeddings_answer.h"

#include <utility>

#include "api/error_table.h"
#include "server/replies.h"

namespace weir::server {

class EmbeddingsAnswer::Sink final : public engine::EventSink {
 public:
  explicit Sink(std::shared_ptr<EmbeddingsAnswer> answer) : answer_(std::move(answer)) {}
  void on_delivery(const engine::Delivery& delivery) override { answer_->on_delivery(delivery); }

 private:
  std::shared_ptr<EmbeddingsAnswer> answer_;  // shared with the connection's callback
};

EmbeddingsAnswer::EmbeddingsAnswer(const AnswerContext& context, EmbeddingsSpec spec,
                                   http::ResponseWriter writer)
    : context_(context), spec_(std::move(spec)), writer_(std::move(writer)) {}

void EmbeddingsAnswer::submit(engine::Request request) {
  MutexLock lock(mutex_);
  vectors_.resize(request.texts.size());
  auto id = context_.engine.submit(std::move(request), std::make_unique<Sink>(shared_from_this()));
  if (!id.ok()) {
    if (id.error().code == ErrorCode::kServerOverloaded)
      context_.metrics.rejections.with(id.error().bound).add();
    send_error(id.error());
    return;
  }
  id_ = *id;
  writer_.on_closed(
      [engine = &context_.engine, id = id_](http::CloseReason) { engine->cancel(id); });
}

void EmbeddingsAnswer::on_delivery(const engine::Delivery& delivery) {
  spec_.ticket->on_delivery(delivery);
  MutexLock lock(mutex_);
  if (over_) return;
  if (writer_.closed()) {
    over_ = true;
    context_.metrics.cancelled.with("client_gone").add();
    context_.engine.cancel(delivery.id);
    return;
  }
  for (const engine::Event& e : delivery.events) {
    if (e.error.has_value()) return send_error(*e.error);
    if (e.finish == engine::FinishReason::kCancelled) {
      return send_error(make_error(ErrorCode::kServerOverloaded,
                                   "the server stopped before the answer was complete"));
    }
    vectors_[static_cast<size_t>(e.choice)] = e.embedding;
  }
  if (delivery.done) send(delivery);
}

void EmbeddingsAnswer::send(const engine::Delivery& d) {
  over_ = true;
  const double total_s = static_cast<double>(context_.clock.now_ns() - spec_.received_ns) * 1e-9;
  context_.metrics.prompt_tokens.add(d.usage.prompt_tokens);
  context_.metrics.queue_time_s.observe(d.timings.queue_ms * 1e-3);
  observe_prediction(context_.metrics, d.timings);
  context_.metrics.e2e_latency_s.observe(total_s);
  context_.metrics.request_success.with("stop").add();
  http::Response r = http::json_response(
      200, api::embedding_list(spec_.model, vectors_, spec_.encoding, d.usage.prompt_tokens));
  r.headers.set("openai-processing-ms", std::to_string(static_cast<int64_t>(total_s * 1e3)));
  r.headers.set("server-timing", fmt::format("queue;dur={:.1f}, prefill;dur={:.1f}",
                                             d.timings.queue_ms, d.timings.prefill_ms));
  writer_.send(std::move(r));
}

void EmbeddingsAnswer::send_error(const Error& error) {
  over_ = true;
  context_.metrics.errors.with(api::error_row(error.code).openai_code).add();
  writer_.send(error_response(error, writer_.request_id()));
  if (id_ != 0) context_.engine.cancel(id_);
}

}  // namespace weir::server
