// A connection after its upgrade: frames in, each message a request, answers out as messages.
#include <algorithm>
#include <utility>

#include "http/connection.h"

namespace weir::http {
namespace {

// The close code that says what a failed answer means for the connection; nullopt: it goes on.
std::optional<WebSocketClose> close_of(int status) {
  switch (status) {
    case 401:
    case 403:
      return WebSocketClose::kPolicy;
    case 500:
      return WebSocketClose::kInternal;
    case 503:
      return WebSocketClose::kOverloaded;
    default:
      return std::nullopt;
  }
}

// Browsers let any page open a WebSocket to any host, CORS does not apply: the Origin has to be
// checked here. Clients other than browsers send none.
bool is_foreign_origin(const Request& request, const std::vector<std::string>& allowed) {
  const auto origin = request.headers.find("origin");
  if (!origin) return false;
  for (const std::string& one : allowed) {
    if (one == "*" || iequals(one, *origin)) return false;
  }
  const size_t scheme = origin->find("://");
  return scheme == std::string_view::npos ||
         !iequals(origin->substr(scheme + 3), request.headers.find("host").value_or(""));
}

// Fields of the handshake that mean nothing to the request of a message.
bool is_of_handshake(std::string_view name) {
  return iequals(name, "upgrade") || iequals(name, "connection") || iequals(name, "x-request-id") ||
         iequals(name, "content-type") || iequals(name, "origin") ||
         iequals(name.substr(0, 14), "sec-websocket-");
}

}  // namespace

// False when the handshake was refused and answered.
bool Connection::begin_handshake(Request& request) {
  accept_.clear();
  if (!context_.options.websocket.on_message || !wants_websocket(request)) return true;
  auto accept = websocket_accept(request);
  if (!accept.ok()) {
    const bool version = request.headers.find("sec-websocket-version").value_or("13") != "13";
    Response response = context_.error_response(version ? 426 : 400, accept.error(), path_);
    if (version) response.headers.set("sec-websocket-version", "13");
    exchange_->send(std::move(response));
    return false;
  }
  accept_ = std::move(*accept);
  request.websocket = true;
  handshake_ = request;
  handshake_.headers = Headers();
  for (const auto& field : request.headers.all()) {
    if (!is_of_handshake(field.name)) handshake_.headers.add(field.name, field.value);
  }
  handshake_.headers.set("content-type", "application/json");
  handshake_.method = "POST";
  if (!is_foreign_origin(request, context_.options.cors_origins)) return true;
  exchange_->send(context_.error_response(
      403,
      make_error(ErrorCode::kPermissionDenied, "this server does not answer pages of that Origin"),
      path_));
  return false;
}

// What the handler says to a handshake; true when the connection is a WebSocket from now on.
bool Connection::take_handshake_answer(const Response& response) {
  if (accept_.empty()) return false;
  const auto close = close_of(response.status);
  if (response.status != 101 && !close) {
    accept_.clear();
    return false;
  }
  status_ = response.status;
  upgrade();
  if (close) {
    send_text(response.body);
    close_websocket(*close, "the handshake was refused; see the last message");
  } else {
    take_frames();  // the client need not have waited
    write();
    read();
  }
  return true;
}

void Connection::upgrade() {
  queued_ += "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n";
  queued_ += "sec-websocket-accept: " + accept_ + "\r\nx-request-id: " + exchange_->request_id() +
             "\r\n\r\n";
  end_exchange(std::nullopt)->complete();
  release_body();
  keep_connection_ = false;
  state_ = State::kWebSocket;
  frames_.emplace(context_.options.limits.body_bytes);
  heard_ns_ = context_.clock->now_ns();
  arm_websocket_tick();
}

void Connection::take_frames() {
  heard_ns_ = context_.clock->now_ns();
  size_t used = 0;
  while (state_ == State::kWebSocket && used < input_.size()) {
    std::optional<WebSocketParser::Event> event;
    used += frames_->feed(std::string_view(input_).substr(used), event);
    if (!frames_->in_message()) message_begun_ns_ = 0;
    if (frames_->in_message() && message_begun_ns_ == 0) message_begun_ns_ = heard_ns_;
    if (event) on_frame(std::move(*event));
  }
  input_.erase(0, std::min(used, input_.size()));
  if (state_ == State::kWebSocket && account_messages()) write();
}

void Connection::on_frame(WebSocketParser::Event event) {
  using Kind = WebSocketParser::Kind;
  switch (event.kind) {
    case Kind::kText:
      return on_message(std::move(event.data));
    case Kind::kPing:
      return append_frame(queued_, WebSocketOpcode::kPong, event.data);
    case Kind::kPong:
      return;
    case Kind::kClose:
      return close_websocket(
          event.code == 1005 ? WebSocketClose::kNormal : static_cast<WebSocketClose>(event.code),
          "");
    case Kind::kError: {
      const auto code = static_cast<WebSocketClose>(event.code);
      if (code == WebSocketClose::kTooBig) context_.observer->on_limit("body_bytes");
      return close_websocket(code, event.data);
    }
  }
}

void Connection::on_message(std::string message) {
  const WebSocketOptions& websocket = context_.options.websocket;
  const bool cancel = websocket.is_cancel && websocket.is_cancel(message);
  if (!exchange_ && cancel) return;  // it came too late
  if (exchange_ && !cancel) {
    return send_error(400, make_error(ErrorCode::kBadRequest,
                                      "a request is running on this connection: wait for its end, "
                                      "cancel it, or open another connection"));
  }
  if (cancel) {
    end_exchange(CloseReason::kPeerClosed)->fail(CloseReason::kPeerClosed);
    set_stream(false);
    message_bytes_ = 0;
    return send_text(R"({"type":"cancelled"})");
  }
  Request request = handshake_;
  request.request_id = context_.new_request_id();
  request.received_ns = request_ns_ = context_.clock->now_ns();
  method_ = request.method;
  status_ = 0;
  message_bytes_ = message.size();
  request.body = std::move(message);
  exchange_ = make_exchange(request.request_id);
  try {
    websocket.on_message(std::move(request), ResponseWriter(exchange_));
  } catch (...) {
    exchange_->drop();
  }
}

// The bytes of the running request and of the message that arrives count as bodies do.
bool Connection::account_messages() {
  const size_t size = message_bytes_ + frames_->buffered_bytes();
  context_.body_bytes += size - reserved_body_;
  reserved_body_ = size;
  if (context_.body_bytes <= context_.options.limits.total_body_bytes) return true;
  context_.observer->on_limit("total_body_bytes");
  close_websocket(WebSocketClose::kOverloaded, "too many request bodies at once; try again later");
  return false;
}

void Connection::on_websocket_wake() {
  Exchange::Outbox outbox = exchange_->take();
  if (outbox.abort) {
    if (*outbox.abort == CloseReason::kSlowReader) return close(*outbox.abort);
    return close_websocket(WebSocketClose::kInternal, "the answer broke off");
  }
  if (outbox.head && !outbox.stream) {
    take_answer(*outbox.head);
  } else if (outbox.head) {
    set_stream(true);
    status_ = outbox.head->status;
  } else if (outbox.finished && !stream_) {
    const Error error =
        make_error(ErrorCode::kInternal, "internal error; request {}", exchange_->request_id());
    take_answer(context_.error_response(500, error, path_));
  }
  if (state_ != State::kWebSocket) return;
  const bool last = take_events(outbox.data);
  if (outbox.finished || last) end_message();
  if (state_ != State::kWebSocket) return;
  if (exchange_) exchange_->set_unsent(unsent());
  write();
}

void Connection::take_answer(const Response& response) {
  status_ = response.status;
  send_text(response.body);
  if (response.status < 300) return send_text(R"({"type":"done"})");
  const auto code = close_of(response.status);
  if (!code) return;
  end_exchange(std::nullopt)->complete();
  close_websocket(*code, "see the last message");
}

// Whole server-sent events, one data line each: what http/sse.h appends of JSON. True after the
// last one of an answer: who has read it may ask the next thing at once, be the writer's finish()
// here or not.
bool Connection::take_events(std::string_view events) {
  constexpr std::string_view kData = "data: ";
  bool last = false;
  while (!events.empty()) {
    const size_t end = events.find("\n\n");
    std::string_view event = events.substr(0, end);
    events = end == std::string_view::npos ? std::string_view() : events.substr(end + 2);
    if (!event.starts_with(kData)) continue;  // a comment that keeps an HTTP connection alive
    event.remove_prefix(kData.size());
    last |= event == "[DONE]" || event.starts_with(R"({"error":)");
    send_text(event == "[DONE]" ? std::string_view(R"({"type":"done"})") : event);
  }
  return last;
}

// All of the answer is queued.
void Connection::end_message() {
  end_exchange(std::nullopt)->complete();
  set_stream(false);
  message_bytes_ = 0;
  if (!account_messages()) return;
  if (context_.draining) close_websocket(WebSocketClose::kGoingAway, "the server is shutting down");
}

// The handshake, or the request of a message, is over: what observers are told of it.
std::shared_ptr<Exchange> Connection::end_exchange(std::optional<CloseReason> disconnect) {
  if (!disconnect) {
    context_.observer->on_response(
        status_, static_cast<double>(context_.clock->now_ns() - request_ns_) * 1e-9);
  }
  report_end(disconnect);
  return std::exchange(exchange_, nullptr);
}

// Three times in idle_timeout: a ping, and whether the peer is still there.
void Connection::on_websocket_tick() {
  const auto& limits = context_.options.limits;
  const int64_t now_ns = context_.clock->now_ns();
  if (std::chrono::nanoseconds(now_ns - heard_ns_) >= limits.idle_timeout) {
    context_.observer->on_limit("idle_timeout");
    return close(CloseReason::kPeerClosed);
  }
  if (message_begun_ns_ != 0 &&
      std::chrono::nanoseconds(now_ns - message_begun_ns_) >= limits.body_timeout) {
    context_.observer->on_limit("body_timeout");
    return close_websocket(WebSocketClose::kPolicy, "a message that did not arrive in its time");
  }
  if (unsent() == 0) append_frame(queued_, WebSocketOpcode::kPing, "");
  write();
  arm_websocket_tick();
}

void Connection::arm_websocket_tick() {
  const auto& limits = context_.options.limits;
  arm_read_timer(std::max(std::min(limits.idle_timeout / 3, limits.body_timeout),
                          std::chrono::milliseconds(1)));
}

void Connection::send_text(std::string_view text) {
  append_frame(queued_, WebSocketOpcode::kText, text);
}

void Connection::send_error(int status, const Error& error) {
  send_text(context_.error_response(status, error, path_).body);
}

// The close frame goes out, then the end of the stream; what still comes is drained.
void Connection::close_websocket(WebSocketClose code, std::string_view reason) {
  if (state_ != State::kWebSocket) return;
  append_close(queued_, code, reason);
  state_ = State::kClosing;
  ++read_timer_round_;
  read_timer_.cancel();
  release_body();
  if (exchange_) end_exchange(CloseReason::kPeerClosed)->fail(CloseReason::kPeerClosed);
  response_queued_ = true;
  write();
}

}  // namespace weir::http
