#include "gateway/visit.h"

#include <chrono>
#include <utility>

#include "gateway/routing.h"
#include "gateway/upstream_error.h"
#include "http/sse.h"
#include "text/json.h"

namespace weir::gateway {
namespace {

constexpr std::string_view kMessages = "/v1/messages";

}  // namespace

Visit::Visit(Proxy& proxy, http::Request request, http::ResponseWriter writer,
             std::unique_ptr<Place> place)
    : proxy_(proxy),
      writer_(std::move(writer)),
      place_(std::move(place)),
      received_ns_(request.received_ns) {
  asked_.path = std::move(request.path);
  asked_.body = std::move(request.body);
  asked_.headers = std::move(request.headers);
  asked_.received_ns = received_ns_;
  asked_.request_id = writer_.request_id();
  if (asked_.path.starts_with(kMessages)) asked_.protocol = Protocol::kAnthropic;
  if (place_ != nullptr) {
    asked_.tenant = place_->spec().name;
    asked_.key_id = place_->key_id();
  }
  proxy_.instruments().in_flight.add(1);
}

Visit::~Visit() = default;

Status Visit::read() {
  WEIR_ASSIGN(const text::Json body, text::Json::parse(asked_.body));
  WEIR_ASSIGN(asked_.incoming, read_incoming(asked_.path, body));
  const Incoming& in = asked_.incoming;
  asked_.model = proxy_.model(in.model);
  if (asked_.model == nullptr)
    return param_error(ErrorCode::kModelNotFound, "model",
                       "there is no model \"{}\": GET /v1/models lists them",
                       in.model.substr(0, 100));
  if (place_ != nullptr) WEIR_TRY(place_->reserve(in));
  WEIR_TRY(proxy_.routing().route(asked_, body));
  WEIR_ASSIGN(const std::optional<int64_t> wanted_ms, client_deadline_ms(asked_.headers));
  asked_.deadline = request_deadline(wanted_ms, asked_.model->timeouts, received_ns_);
  if (proxy_.dispatcher().wants_blocks(*asked_.model))
    asked_.blocks = prompt_blocks(body, asked_.tenant, proxy_.dispatcher().prompt_key());
  return {};
}

void Visit::begin() {
  if (const Status ok = read(); !ok.ok()) return refuse(ok.error());
  writer_.on_closed([weak = weak_from_this(), &client = proxy_.client()](http::CloseReason) {
    client.post([weak] {
      if (const auto visit = weak.lock()) visit->on_client_gone();
    });
  });
  ask();
}

void Visit::ask() {
  // Held here as well: it may end, and the visit with it, before begin() returns.
  const auto call = proxy_.routing().ask(std::move(asked_), shared_from_this());
  call_ = call;
  call->begin();
}

void Visit::refuse(const Error& error) {
  writer_.note([&](http::AnswerNotes& n) { n.error_code = error_code_name(error.code); });
  writer_.send(refusal(error, asked_.protocol, writer_.request_id()));
  over("refused");
}

void Visit::hold(const http::Headers& head, int64_t keep_alive_ms) {
  writer_.hold_head(200, head);
  writer_.keep_alive(std::chrono::milliseconds(keep_alive_ms), std::string(http::kSseKeepAlive));
}

// Sent when it is known what it took: notes belong before the last byte.
void Visit::answer(http::Response response) { answer_ = std::move(response); }

void Visit::begin_stream(http::Headers headers) {
  streaming_ = true;
  writer_.on_writable([weak = std::weak_ptr<Asking>(call_)] {
    if (const auto call = weak.lock()) call->resume();
  });
  writer_.begin_stream(200, std::move(headers));
}

bool Visit::piece(std::string_view events) {
  return writer_.write(events) != http::WriteStatus::kSlow;
}

void Visit::ended(CallEnd end) {
  writer_.note([&](http::AnswerNotes& n) {
    n.error_code = end.error_code;
    n.prompt_tokens = end.input_tokens;
    n.cached_tokens = end.cached_tokens;
    n.completion_tokens = end.output_tokens;
  });
  if (place_ != nullptr && end.computed) place_->use(end.input_tokens, end.output_tokens);
  if (streaming_) {
    writer_.finish();
  } else if (answer_.has_value()) {
    send_answer();
  }
  if (end.row.has_value() && proxy_.ledger() != nullptr) proxy_.ledger()->add(std::move(*end.row));
  over(end.how);
}

void Visit::send_answer() {
  if (!writer_.started()) {
    writer_.send(std::move(*answer_));
    return;
  }
  // A comment that kept the client waiting has begun a stream: an error event ends it.
  std::string event;
  if (asked_.protocol == Protocol::kAnthropic) {
    http::append_sse_event(event, "error", answer_->body);
  } else {
    http::append_sse_data(event, answer_->body);
  }
  writer_.write(event);
  writer_.finish();
}

void Visit::on_client_gone() {
  if (over_) return;
  if (const auto call = call_) return call->cancel();
  over("client_gone");
}

void Visit::over(std::string_view how) {
  over_ = true;
  place_.reset();
  Instruments& i = proxy_.instruments();
  i.in_flight.add(-1);
  i.requests.with(how).add();
  i.request_s.observe(static_cast<double>(proxy_.clock().now_ns() - received_ns_) * 1e-9);
}

}  // namespace weir::gateway
