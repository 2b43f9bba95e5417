#include "server/embeddings_answer.h"

#include <utility>

#include "api/replies.h"

namespace weir::server {

class EmbeddingsAnswer::Sink final : public engine::EventSink {
 public:
  explicit Sink(std::shared_ptr<EmbeddingsAnswer> answer) : answer_(std::move(answer)) {}
  void on_delivery(const engine::Delivery& delivery) override { answer_->on_delivery(delivery); }

 private:
  std::shared_ptr<EmbeddingsAnswer> answer_;  // shared with the connection's callback
};

EmbeddingsAnswer::EmbeddingsAnswer(const AnswerContext& context, os::Executor& executor,
                                   EmbeddingsSpec spec, http::ResponseWriter writer)
    : context_(context),
      executor_(executor),
      spec_(std::move(spec)),
      writer_(std::move(writer)),
      report_(spec_.report) {}

void EmbeddingsAnswer::submit(engine::Request request) {
  MutexLock lock(mutex_);
  vectors_.resize(request.texts.size());
  auto id = context_.engine.submit(std::move(request), std::make_unique<Sink>(shared_from_this()));
  if (!id.ok()) {
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
    context_.reporting.metrics.cancelled.with("client_gone").add();
    const Error gone = make_error(ErrorCode::kCancelled, "the client went away");
    report_.finish(context_.reporting, context_.clock, &gone, writer_);
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
  if (!delivery.done) return;
  over_ = true;
  observe_prediction(context_.reporting.metrics, delivery.timings);
  report_.add_prompt(delivery);
  executor_.run_first([self = shared_from_this()] { self->send(); });
}

void EmbeddingsAnswer::send() {
  MutexLock lock(mutex_);
  const int64_t begin_ns = context_.clock.now_ns();
  http::Response r = http::json_response(
      200, api::embedding_list(spec_.model, vectors_, spec_.encoding, report_.usage.prompt_tokens));
  const int64_t now_ns = context_.clock.now_ns();
  report_.write_ns = now_ns - begin_ns;
  context_.reporting.metrics.request_success.with("stop").add();
  r.headers.set("openai-processing-ms", std::to_string((now_ns - report_.received_ns) / 1'000'000));
  r.headers.set("server-timing", server_timing(report_.timings, report_.write_ms()));
  r.headers.set("traceparent", telemetry::format_traceparent(report_.trace.own));
  report_.finish(context_.reporting, context_.clock, nullptr, writer_);
  writer_.send(std::move(r));
}

void EmbeddingsAnswer::send_error(const Error& error) {
  over_ = true;
  count_error(error, context_.reporting.metrics);
  report_.finish(context_.reporting, context_.clock, &error, writer_);
  writer_.send(api::error_response(error, writer_.request_id()));
  if (id_ != 0) context_.engine.cancel(id_);
}

}  // namespace weir::server
