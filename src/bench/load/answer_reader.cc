#include "bench/load/answer_reader.h"

#include <algorithm>
#include <charconv>

namespace weir::bench {

using text::Json;

namespace {

constexpr size_t kMaxErrorBytes = 200;       // of a record; enough for the first sentence
constexpr size_t kMaxWholeBytes = 16 << 20;  // of an answer that is no stream
constexpr size_t kMaxTextBytes = 4 << 20;    // of an answer that the next turn repeats

double number_or(std::string_view text, double otherwise) {
  double value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  return ec == std::errc() ? value : otherwise;
}

// "queue;dur=1.5, prefill;dur=20" → 1.5; -1 without it.
double queue_ms(std::string_view timing) {
  constexpr std::string_view kName = "queue;dur=";
  const size_t at = timing.find(kName);
  return at == std::string_view::npos ? -1 : number_or(timing.substr(at + kName.size()), -1);
}

int32_t count_or(const Json* value, int32_t otherwise) {
  if (value == nullptr || !value->is_int()) return otherwise;
  return static_cast<int32_t>(std::clamp<int64_t>(value->as_int(), 0, INT32_MAX));
}

std::string_view message_of(const Json& error) {
  if (error.is_string()) return error.as_string();
  const Json* message = error.find("message");
  return message != nullptr && message->is_string() ? std::string_view(message->as_string())
                                                    : std::string_view("an error without message");
}

Outcome outcome_of(const http::Failure& failure) {
  switch (failure.kind) {
    case http::FailureKind::kTimeout:
      return Outcome::kTimeout;
    case http::FailureKind::kLimit:
    case http::FailureKind::kProtocol:
      return Outcome::kBadResponse;
    default:
      return Outcome::kConnection;
  }
}

}  // namespace

void AnswerReader::on_head(const http::Response& head) {
  record_.status = head.status;
  const http::Headers& h = head.headers;
  sse_ = head.status == 200 && h.find("content-type").value_or("").starts_with("text/event-stream");
  if (const auto timing = h.find("server-timing")) record_.queue_ms = queue_ms(*timing);
  if (const auto retry = h.find("retry-after")) record_.retry_after_s = number_or(*retry, -1);
}

void AnswerReader::on_body(std::string_view piece, double now_s) {
  if (!sse_) {
    body_.append(piece.substr(0, kMaxWholeBytes - std::min(kMaxWholeBytes, body_.size())));
    return;
  }
  const Status ok =
      events_.feed(piece, [&](const http::SseEvent& event) { on_event(event.data, now_s); });
  if (!ok.ok()) fail(Outcome::kBadResponse, ok.error().message);
}

void AnswerReader::on_event(std::string_view data, double now_s) {
  if (data == "[DONE]") {
    done_ = true;
    return;
  }
  const Result<Json> event = Json::parse(data);
  if (!event.ok()) return fail(Outcome::kBadResponse, event.error().message);
  if (const Json* error = event->find("error"); error != nullptr && !error->is_null())
    return fail(Outcome::kServerError, message_of(*error));
  if (const Json* choices = event->find("choices"); choices != nullptr && choices->is_array())
    on_choices(*choices, now_s);
  if (const Json* usage = event->find("usage"); usage != nullptr && usage->is_object())
    on_usage(*usage);
}

// A piece counts when it has text, or is empty but not the one that only says why it ended:
// tokens that end inside a character come as empty pieces from some servers.
void AnswerReader::on_choices(const Json& choices, double now_s) {
  for (const Json& choice : choices.items()) {
    const Json* text = choice.find("text");
    if (const Json* delta = choice.find("delta")) {
      text = delta->find("content");
      const Json* role = delta->find("role");
      const bool opening =
          role != nullptr && text != nullptr && text->is_string() && text->size() == 0;
      if (opening) continue;
      if (text == nullptr || !text->is_string()) text = delta->find("reasoning_content");
      if (text == nullptr || !text->is_string()) text = delta->find("reasoning");
    }
    if (text == nullptr || !text->is_string()) continue;
    const Json* finish = choice.find("finish_reason");
    if (text->size() > 0 || finish == nullptr || finish->is_null())
      on_piece(text->as_string(), now_s);
  }
}

void AnswerReader::on_piece(std::string_view text, double now_s) {
  ++pieces_;
  if (record_.first_token_s < 0) {
    record_.first_token_s = now_s;
  } else {
    record_.gaps_ms.push_back(static_cast<float>((now_s - last_s_) * 1e3));
  }
  last_s_ = now_s;
  if (keep_text_ && text_.size() + text.size() <= kMaxTextBytes) text_ += text;
}

void AnswerReader::on_usage(const Json& usage) {
  usage_ = true;
  record_.prompt_tokens = count_or(usage.find("prompt_tokens"), record_.prompt_tokens);
  record_.output_tokens = count_or(usage.find("completion_tokens"), 0);
  if (const Json* details = usage.find("prompt_tokens_details"))
    record_.cached_tokens = count_or(details->find("cached_tokens"), 0);
}

// An answer in one piece tells of no first token.
void AnswerReader::on_whole(double now_s) {
  const Result<Json> answer = Json::parse(body_);
  if (!answer.ok()) return fail(Outcome::kBadResponse, answer.error().message);
  const Json* choices = answer->find("choices");
  if (choices == nullptr || !choices->is_array() || choices->size() == 0)
    return fail(Outcome::kBadResponse, "the answer has no choices");
  if (const Json* usage = answer->find("usage"); usage != nullptr && usage->is_object())
    on_usage(*usage);
  const Json& choice = choices->items().front();
  const Json* text = choice.find("text");
  if (const Json* message = choice.find("message")) text = message->find("content");
  if (keep_text_ && text != nullptr && text->is_string()) text_ = text->as_string();
  record_.end_s = now_s;
}

void AnswerReader::on_refusal() {
  const Result<Json> answer = Json::parse(body_);
  const Json* error = answer.ok() ? answer->find("error") : nullptr;
  const std::string_view why = error != nullptr ? message_of(*error) : std::string_view(body_);
  const int status = record_.status;
  if (status == 429 || status == 503) return fail(Outcome::kRejected, why);
  if (status >= 400 && status < 500) return fail(Outcome::kClientError, why);
  if (status >= 500) return fail(Outcome::kServerError, why);
  fail(Outcome::kBadResponse, "a status that is neither 200 nor an error");
}

void AnswerReader::on_end(const http::Failure* failure, double now_s) {
  record_.end_s = now_s;
  if (failure != nullptr) {
    fail(outcome_of(*failure), failure->message);
  } else if (record_.status != 200) {
    on_refusal();
  } else if (!sse_) {
    on_whole(now_s);
  } else if (!done_) {
    fail(Outcome::kBadResponse, "the stream ended without [DONE]");
  }
  if (!usage_) record_.output_tokens = pieces_;
}

// The first failure stands.
void AnswerReader::fail(Outcome outcome, std::string_view why) {
  if (failed_) return;
  failed_ = true;
  record_.outcome = outcome;
  record_.error = std::string(why.substr(0, kMaxErrorBytes));
}

}  // namespace weir::bench
