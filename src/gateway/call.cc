#include "gateway/call.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "api/replies.h"
#include "gateway/json_member.h"
#include "text/json.h"

namespace weir::gateway {
namespace {

constexpr int64_t kMs = 1'000'000;
constexpr std::string_view kStreamEnd = "data: [DONE]";
constexpr size_t kTailBytes = 64;
constexpr std::string_view kDeadlineHeader = "x-weir-deadline-ms";

double seconds(int64_t from_ns, int64_t to_ns) {
  return static_cast<double>(to_ns - from_ns) * 1e-9;
}

// The client's own limit in milliseconds; 0: none.
int64_t wanted_deadline_ms(const http::Headers& headers) {
  const auto field = headers.find(kDeadlineHeader);
  int64_t ms = 0;
  if (field.has_value()) std::from_chars(field->data(), field->data() + field->size(), ms);
  return std::max<int64_t>(ms, 0);
}

// Counts of "usage" in an answer's body; zeros where there are none.
Usage usage_of(std::string_view body) {
  const auto at = member_value(body, "usage");
  if (!at.has_value()) return {};
  const auto usage = text::Json::parse(body.substr(at->begin, at->size));
  if (!usage.ok()) return {};
  const auto count = [&](std::string_view name, std::string_view other) {
    const text::Json* v = usage->find(name);
    if (v == nullptr) v = usage->find(other);
    return v != nullptr && v->is_int() ? std::max<int64_t>(v->as_int(), 0) : 0;
  };
  Usage u{count("prompt_tokens", "input_tokens"), 0, count("completion_tokens", "output_tokens")};
  if (const text::Json* details = usage->find("prompt_tokens_details")) {
    const text::Json* cached = details->find("cached_tokens");
    if (cached != nullptr && cached->is_int()) u.cached_tokens = cached->as_int();
  }
  return u;
}

}  // namespace

Call::Call(Proxy& proxy, http::Request request, http::ResponseWriter writer,
           std::unique_ptr<Place> place)
    : proxy_(proxy),
      request_(std::move(request)),
      writer_(std::move(writer)),
      place_(std::move(place)) {
  proxy_.instruments().in_flight.add(1);
}

void Call::begin() {
  auto read = read_incoming(request_.path, request_.body);
  if (!read.ok()) return refuse(read.error());
  incoming_ = std::move(*read);
  model_ = proxy_.model(incoming_.model);
  if (model_ == nullptr)
    return refuse(param_error(ErrorCode::kModelNotFound, "model",
                              "there is no model \"{}\": GET /v1/models lists them",
                              incoming_.model.substr(0, 100)));
  if (place_ != nullptr)
    if (const Status ok = place_->reserve(incoming_); !ok.ok()) return refuse(ok.error());
  int64_t total_ms = model_->timeouts.total_ms;
  const int64_t wanted_ms = wanted_deadline_ms(request_.headers);
  if (wanted_ms > 0) total_ms = total_ms == 0 ? wanted_ms : std::min(total_ms, wanted_ms);
  if (total_ms > 0) deadline_ns_ = request_.received_ns + total_ms * kMs;
  writer_.on_closed([weak = weak_from_this(), &client = proxy_.client()](http::CloseReason) {
    client.post([weak] {
      if (const auto call = weak.lock()) call->on_client_gone();
    });
  });
  const Proxy::Choice choice = proxy_.choose(*model_, tried_);
  if (choice.endpoint == nullptr) return fail(AttemptEnd::kConnect, 0);
  attempt(choice);
}

void Call::refuse(const Error& error) {
  writer_.note([&](http::AnswerNotes& n) { n.error_code = error_code_name(error.code); });
  writer_.send(api::error_response(error, writer_.request_id()));
  over("refused");
}

int64_t Call::left_ms() const {
  if (deadline_ns_ == 0) return INT64_MAX / kMs;
  return std::max<int64_t>(0, (deadline_ns_ - proxy_.clock().now_ns()) / kMs);
}

void Call::attempt(const Proxy::Choice& choice) {
  tried_.push_back(choice.endpoint);
  auto made = std::make_unique<Attempt>(shared_from_this(), choice);
  live_ = made.get();
  live_id_ = proxy_.client().send(upstream_request(choice), std::move(made));
}

http::ClientRequest Call::upstream_request(const Proxy::Choice& choice) const {
  const UpstreamConfig& u = *choice.endpoint->upstream;
  const TimeoutConfig& t = model_->timeouts;
  http::ClientRequest r;
  r.url = choice.endpoint->config->to;
  r.tls = choice.endpoint->tls;
  r.method = "POST";
  r.target = request_.path;
  const std::string& name = choice.target->model;
  r.body = name.empty() || name == incoming_.model
               ? request_.body
               : with_member(request_.body, "model", text::json_quote(name));
  r.headers.add("Content-Type", "application/json");
  r.headers.add("Accept", incoming_.stream ? "text/event-stream" : "application/json");
  r.headers.add("x-request-id", writer_.request_id());
  if (u.protocol == "anthropic") {
    if (!u.key.empty()) r.headers.add("x-api-key", u.key);
    r.headers.add("anthropic-version", "2023-06-01");
  } else if (!u.key.empty()) {
    r.headers.add("Authorization", "Bearer " + u.key);
  }
  if (const auto trace = request_.headers.find("traceparent")) r.headers.add("traceparent", *trace);
  using std::chrono::milliseconds;
  r.timeouts.connect = milliseconds(t.connect_ms);
  r.timeouts.first_byte = milliseconds(t.first_byte_ms);
  r.timeouts.idle = milliseconds(t.idle_ms);
  if (deadline_ns_ != 0) {
    r.timeouts.total = milliseconds(std::max<int64_t>(left_ms(), 1));
    r.headers.add(kDeadlineHeader, std::to_string(r.timeouts.total.count()));
  }
  r.replay_stale = true;  // a connection that was closed while idle: nothing was computed
  return r;
}

void Call::on_sent() {
  if (std::exchange(sent_, true)) return;
  proxy_.instruments().overhead_s.observe(seconds(request_.received_ns, proxy_.clock().now_ns()));
}

http::Headers Call::client_headers(const Attempt& attempt) const {
  http::Headers headers;
  for (const std::string_view name : {"content-type", "openai-processing-ms", "server-timing"})
    if (const auto value = attempt.answer().headers.find(name)) headers.add(name, *value);
  headers.add("x-weir-upstream", attempt.choice().endpoint->upstream->name);
  headers.add("x-weir-attempts", std::to_string(tried_.size()));
  return headers;
}

void Call::on_first_piece(Attempt& attempt) {
  streaming_ = true;
  proxy_.instruments().first_byte_s.observe(seconds(request_.received_ns, proxy_.clock().now_ns()));
  writer_.on_writable([&client = proxy_.client(), id = live_id_] { client.resume(id); });
  http::Headers headers = client_headers(attempt);
  headers.set("Cache-Control", "no-cache");
  writer_.begin_stream(200, std::move(headers));
}

bool Call::on_piece(std::string_view piece) {
  tail_.append(piece.substr(piece.size() - std::min(piece.size(), kTailBytes)));
  if (tail_.size() > kTailBytes) tail_.erase(0, tail_.size() - kTailBytes);
  return writer_.write(piece) != http::WriteStatus::kSlow;
}

bool Call::may_retry(AttemptEnd end) const {
  return !streaming_ && end != AttemptEnd::kAnswered && end != AttemptEnd::kCancelled &&
         static_cast<int32_t>(tried_.size()) < model_->retries.max_attempts && left_ms() > 0;
}

void Call::on_end(Attempt& ended, AttemptEnd end) {
  live_ = nullptr;
  if (over_) return;
  if (streaming_) return end_stream(end);
  if (end == AttemptEnd::kAnswered) return answer_whole(ended);
  const Proxy::Choice next = may_retry(end) ? proxy_.choose(*model_, tried_) : Proxy::Choice{};
  if (next.endpoint != nullptr) {
    if (proxy_.take_retry(*model_)) {
      proxy_.instruments().retries.add();
      return attempt(next);
    }
    proxy_.instruments().retries_denied.add();
  }
  fail(end, ended.retry_after_s());
}

void Call::answer_whole(Attempt& attempt) {
  http::Response& answer = attempt.answer();
  proxy_.instruments().first_byte_s.observe(seconds(request_.received_ns, proxy_.clock().now_ns()));
  note_usage(usage_of(answer.body));
  http::Response r;
  r.status = answer.status;
  r.headers = client_headers(attempt);
  r.body = std::move(answer.body);
  writer_.send(std::move(r));
  over(answer.status < 400 ? "answered" : "upstream_refused");
}

void Call::note_usage(const Usage& usage) {
  if (usage.input_tokens == 0 && usage.output_tokens == 0) return;
  writer_.note([&](http::AnswerNotes& n) {
    n.prompt_tokens = usage.input_tokens;
    n.cached_tokens = usage.cached_tokens;
    n.completion_tokens = usage.output_tokens;
  });
  if (place_ != nullptr) place_->use(usage.input_tokens, usage.output_tokens);
}

void Call::end_stream(AttemptEnd end) {
  if (end == AttemptEnd::kAnswered && tail_.find(kStreamEnd) == std::string::npos)
    end = AttemptEnd::kCut;
  if (end != AttemptEnd::kAnswered) {
    writer_.note([&](http::AnswerNotes& n) { n.error_code = attempt_end_name(end); });
    writer_.write("\n\n" + upstream_failure_event(end, request_.path == "/v1/messages"));
  }
  writer_.finish();
  over(end == AttemptEnd::kAnswered ? "answered" : attempt_end_name(end));
}

void Call::fail(AttemptEnd end, double retry_after_s) {
  writer_.note([&](http::AnswerNotes& n) { n.error_code = attempt_end_name(end); });
  http::Response r = upstream_failure(end, static_cast<int>(tried_.size()), retry_after_s,
                                      request_.path == "/v1/messages");
  r.headers.set("x-weir-attempts", std::to_string(tried_.size()));
  writer_.send(std::move(r));
  over(attempt_end_name(end));
}

void Call::on_client_gone() {
  if (over_) return;
  if (live_ != nullptr) {
    live_->let_go();
    proxy_.client().cancel(live_id_);
  }
  over("client_gone");
}

void Call::over(std::string_view how) {
  over_ = true;
  place_.reset();
  Instruments& i = proxy_.instruments();
  i.in_flight.add(-1);
  i.requests.with(how).add();
  i.request_s.observe(seconds(request_.received_ns, proxy_.clock().now_ns()));
}

}  // namespace weir::gateway
