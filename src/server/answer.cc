#include "server/answer.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "api/error_table.h"
#include "api/replies.h"
#include "http/sse.h"
#include "server/logprob_entries.h"
#include "text/utf8.h"

namespace weir::server {
namespace {

std::string_view finish_name(engine::FinishReason reason) {
  switch (reason) {
    case engine::FinishReason::kStop:
      return "stop";
    case engine::FinishReason::kLength:
      return "length";
    case engine::FinishReason::kCancelled:
    case engine::FinishReason::kError:
      break;
  }
  return "abort";
}

}  // namespace

class Answer::Sink final : public engine::EventSink {
 public:
  Sink(std::shared_ptr<Answer> answer, size_t prompt)
      : answer_(std::move(answer)), prompt_(prompt) {}
  void on_delivery(const engine::Delivery& delivery) override {
    answer_->on_delivery(prompt_, delivery);
  }

 private:
  std::shared_ptr<Answer> answer_;  // shared with the other prompts and the connection's callbacks
  size_t prompt_;
};

Answer::Answer(const AnswerContext& context, AnswerSpec spec, http::ResponseWriter writer)
    : context_(context),
      spec_(std::move(spec)),
      writer_(std::move(writer)),
      report_(spec_.report) {}

http::Headers Answer::stream_headers() const {
  return {{"Content-Type", std::string(http::kSseContentType)},
          {"Cache-Control", "no-cache"},
          {"X-Accel-Buffering", "no"},
          {"traceparent", telemetry::format_traceparent(spec_.report.trace.own)}};
}

void Answer::submit(std::vector<engine::Request> requests,
                    std::chrono::milliseconds keep_alive_interval) {
  const auto n = static_cast<size_t>(spec_.generation.n);
  MutexLock lock(mutex_);
  choices_.resize(requests.size() * n);
  for (size_t i = 0; i < choices_.size(); ++i) {
    choices_[i].whole.index = static_cast<int32_t>(i);
    choices_[i].whole.with_logprobs = spec_.generation.logprobs >= 0;
    if (spec_.generation.return_token_ids) choices_[i].whole.token_ids.emplace();
    if (spec_.echo.empty()) continue;
    choices_[i].whole.text = spec_.echo[i / n];
    choices_[i].text_characters = static_cast<int64_t>(text::count_characters(spec_.echo[i / n]));
  }
  prompts_.resize(requests.size());
  open_prompts_ = requests.size();
  for (size_t prompt = 0; prompt < requests.size(); ++prompt) {
    auto id = context_.engine.submit(std::move(requests[prompt]),
                                     std::make_unique<Sink>(shared_from_this(), prompt));
    if (!id.ok()) {
      send_error(id.error());
      return;
    }
    ids_.push_back(*id);
  }
  if (spec_.generation.stream) {
    // The head goes out with the first piece, which knows the times; earlier if the wait is long.
    writer_.hold_head(200, stream_headers());
    writer_.keep_alive(keep_alive_interval, std::string(http::kSseKeepAlive));
  }
  // weak: the connection must not keep alive an answer that the engine has finished.
  writer_.on_writable([weak = weak_from_this()] {
    if (auto self = weak.lock()) self->on_writable();
  });
  // The client went away, now or already: the engine's last delivery then finds the writer closed.
  writer_.on_closed([engine = &context_.engine, ids = ids_](http::CloseReason) {
    for (const engine::RequestId id : ids) engine->cancel(id);
  });
}

void Answer::on_writable() {
  MutexLock lock(mutex_);
  for (const engine::RequestId id : ids_) context_.engine.resume(id);
}

void Answer::withdraw() {
  for (const engine::RequestId id : ids_) context_.engine.cancel(id);
}

void Answer::send_error(const Error& error) {
  over_ = true;
  count_error(error, context_.reporting.metrics);
  report_.finish(context_.reporting, context_.clock, &error, writer_);
  http::Response r = api::error_response(error, writer_.request_id());
  r.headers.set("traceparent", telemetry::format_traceparent(spec_.report.trace.own));
  // A stream that has begun, by us or by a keep-alive: an error event, no [DONE].
  if (writer_.send(std::move(r)) == http::WriteStatus::kClosed) {
    writer_.write(http::sse_data(api::render_error(error, writer_.request_id())));
    writer_.finish();
  }
  withdraw();
}

api::AnswerChoice Answer::make_choice(size_t prompt, const engine::Event& event,
                                      const Choice& choice) const {
  api::AnswerChoice c;
  c.index = static_cast<int32_t>(prompt) * spec_.generation.n + event.choice;
  c.text = event.text;
  c.text_offset = choice.text_characters;
  if (event.finish.has_value()) c.finish_reason = finish_name(*event.finish);
  c.with_logprobs = spec_.generation.logprobs >= 0;
  if (spec_.generation.return_token_ids) c.token_ids.emplace();
  for (const engine::TokenInfo& t : event.tokens) {
    if (c.token_ids.has_value()) c.token_ids->push_back(t.id);
    if (c.with_logprobs) c.logprobs.push_back(logprob_entry(context_.tokenizer, t));
  }
  // Whoever counts tokens from the end of an echoed prompt (lm-evaluation-harness does) counts this
  // one too.
  if (spec_.generation.prompt_logprobs && event.end_token.has_value()) {
    c.logprobs.push_back(logprob_entry(context_.tokenizer, *event.end_token));
    c.logprobs.back().shown_characters = 0;
  }
  return c;
}

void Answer::observe(Choice& choice, const engine::Event& event) {
  const int64_t now = context_.clock.now_ns();
  telemetry::EngineMetrics& metrics = context_.reporting.metrics;
  metrics.generation_tokens.add(static_cast<double>(event.tokens.size()));
  if (event.tokens.empty()) return;
  report_.last_token_ns = now;
  if (report_.first_token_ns == 0) {
    report_.first_token_ns = now;
    metrics.time_to_first_token_s.observe(seconds(report_.received_ns, now));
  }
  if (choice.last_token_ns != 0)
    metrics.inter_token_latency_s.observe(seconds(choice.last_token_ns, now));
  choice.last_token_ns = now;
}

void Answer::take_event(size_t prompt, const engine::Event& event, std::string& sse) {
  const size_t index =
      prompt * static_cast<size_t>(spec_.generation.n) + static_cast<size_t>(event.choice);
  Choice& choice = choices_[index];
  observe(choice, event);
  api::AnswerChoice piece = make_choice(prompt, event, choice);
  choice.text_characters += static_cast<int64_t>(text::count_characters(event.text));
  if (context_.content != nullptr) {
    if (choice.logged.size() < kMaxLoggedBytes) choice.logged += event.text;
    if (event.finish.has_value())
      context_.content->write(writer_.request_id(), "output", choice.logged);
  }
  if (event.finish.has_value()) {
    context_.reporting.metrics.request_success.with(*piece.finish_reason).add();
    report_.finish_reasons.emplace_back(*piece.finish_reason);
  }
  if (!spec_.generation.stream) {
    if (!event.prompt.empty()) prompts_[prompt] = event.prompt;
    api::AnswerChoice& whole = choice.whole;
    whole.text += piece.text;
    if (piece.finish_reason.has_value()) whole.finish_reason = piece.finish_reason;
    for (api::TokenLogprob& t : piece.logprobs) whole.logprobs.push_back(std::move(t));
    if (piece.token_ids.has_value())
      whole.token_ids->insert(whole.token_ids->end(), piece.token_ids->begin(),
                              piece.token_ids->end());
    return;
  }
  if (!choice.started && !spec_.echo.empty()) piece.text = spec_.echo[prompt] + piece.text;
  if (!event.prompt.empty()) {
    std::vector<api::TokenLogprob> entries =
        prompt_entries(context_.tokenizer, spec_.echo[prompt], event.prompt);
    piece.logprobs.insert(piece.logprobs.begin(), std::make_move_iterator(entries.begin()),
                          std::make_move_iterator(entries.end()));
    piece.text_offset = 0;
  }
  const bool first = !choice.started;
  choice.started = true;
  // Text held back for a stop string makes an empty piece; it is sent only when it says something
  // else.
  if (!first && piece.text.empty() && !piece.finish_reason.has_value() && piece.logprobs.empty() &&
      !piece.token_ids.has_value())
    return;
  if (!spec_.chat) {
    http::append_sse_data(sse, api::text_chunk(spec_.meta, piece));
    return;
  }
  // The reason to finish travels alone in the last chunk, as OpenAI sends it.
  const auto reason = std::exchange(piece.finish_reason, std::nullopt);
  if (first || !piece.text.empty() || !piece.logprobs.empty() || !reason.has_value()) {
    http::append_sse_data(sse, api::chat_chunk(spec_.meta, piece, first));
  }
  if (!reason.has_value()) return;
  api::AnswerChoice end;
  end.index = piece.index;
  end.finish_reason = reason;
  http::append_sse_data(sse, api::chat_chunk(spec_.meta, end, false));
}

void Answer::finish_prompt(const engine::Delivery& d, std::string& sse) {
  report_.add_prompt(d);
  observe_prediction(context_.reporting.metrics, d.timings);
  if (--open_prompts_ > 0) return;
  over_ = true;
  if (!spec_.generation.stream && spec_.generation.prompt_logprobs &&
      context_.executor != nullptr) {
    context_.executor->run_first([self = shared_from_this()] { self->send_whole_later(); });
    return;
  }
  if (!spec_.generation.stream) return send_whole();
  if (spec_.generation.include_usage)
    http::append_sse_data(sse, api::usage_chunk(spec_.meta, spec_.chat, usage(), timings()));
  sse += http::kSseDone;
}

api::AnswerUsage Answer::usage() const {
  const engine::Usage& u = report_.usage;
  return {u.prompt_tokens, u.completion_tokens, u.cached_tokens, u.accepted_prediction_tokens,
          u.rejected_prediction_tokens};
}

api::AnswerTimings Answer::timings() const {
  const engine::Timings& t = report_.timings;
  return {t.queue_ms,         t.prefill_ms,
          t.decode_ms,        t.detokenize_ms,
          report_.write_ms(), seconds(report_.received_ns, context_.clock.now_ns()) * 1e3};
}

void Answer::send_whole() {
  const int64_t begin_ns = context_.clock.now_ns();
  std::vector<api::AnswerChoice> choices;
  for (size_t i = 0; i < choices_.size(); ++i) {
    const size_t prompt = i / static_cast<size_t>(spec_.generation.n);
    api::AnswerChoice& c = choices.emplace_back(std::move(choices_[i].whole));
    if (prompts_[prompt].empty()) continue;
    std::vector<api::TokenLogprob> entries =
        prompt_entries(context_.tokenizer, spec_.echo[prompt], prompts_[prompt]);
    std::move(c.logprobs.begin(), c.logprobs.end(), std::back_inserter(entries));
    c.logprobs = std::move(entries);
  }
  http::Response r =
      http::json_response(200, spec_.chat ? api::chat_completion(spec_.meta, choices, usage())
                                          : api::text_completion(spec_.meta, choices, usage()));
  const int64_t now_ns = context_.clock.now_ns();
  report_.write_ns += now_ns - begin_ns;
  r.headers.set("openai-processing-ms",
                std::to_string(static_cast<int64_t>(seconds(report_.received_ns, now_ns) * 1e3)));
  r.headers.set("server-timing", server_timing(report_.timings, report_.write_ms()));
  r.headers.set("traceparent", telemetry::format_traceparent(report_.trace.own));
  report_.finish(context_.reporting, context_.clock, nullptr, writer_);
  writer_.send(std::move(r));
}

void Answer::send_whole_later() {
  MutexLock lock(mutex_);
  send_whole();
}

void Answer::on_delivery(size_t prompt, const engine::Delivery& delivery) {
  spec_.ticket->on_delivery(delivery);
  MutexLock lock(mutex_);
  if (over_) return;
  if (writer_.closed()) {
    over_ = true;
    context_.reporting.metrics.cancelled.with("client_gone").add();
    const Error gone = make_error(ErrorCode::kCancelled, "the client went away");
    report_.finish(context_.reporting, context_.clock, &gone, writer_);
    withdraw();
    return;
  }
  const int64_t begin_ns = context_.clock.now_ns();
  std::string sse;
  for (const engine::Event& e : delivery.events) {
    const bool failed = e.error.has_value();
    if (failed || e.finish == engine::FinishReason::kCancelled) {
      if (!sse.empty()) {
        begin_stream(delivery.timings);
        writer_.write(sse);
      }
      send_error(failed ? *e.error
                        : make_error(ErrorCode::kServerOverloaded,
                                     "the server stopped before the answer was complete"));
      return;
    }
    take_event(prompt, e, sse);
  }
  report_.write_ns += context_.clock.now_ns() - begin_ns;
  if (delivery.done) finish_prompt(delivery, sse);
  if (sse.empty()) return;
  begin_stream(delivery.timings);
  send_stream(sse);
}

void Answer::begin_stream(const engine::Timings& timings) {
  if (writer_.started()) return;
  http::Headers headers = stream_headers();
  headers.set("server-timing", server_timing(timings));
  writer_.begin_stream(200, std::move(headers));  // a keep-alive may have been first: no harm
}

void Answer::send_stream(const std::string& sse) {
  const int64_t begin_ns = context_.clock.now_ns();
  // A WebSocket's answer is over, and logged, as soon as its last event is out.
  if (over_) report_.note("", writer_);
  const http::WriteStatus status = writer_.write(sse);
  report_.write_ns += context_.clock.now_ns() - begin_ns;
  if (over_) {
    report_.finish(context_.reporting, context_.clock, nullptr, writer_);
    writer_.finish();
  } else if (status == http::WriteStatus::kSlow) {
    for (const engine::RequestId id : ids_) context_.engine.pause(id);
  }
}

}  // namespace weir::server
