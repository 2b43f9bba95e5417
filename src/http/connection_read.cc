#include <algorithm>
#include <utility>

#include "base/rng.h"
#include "http/connection.h"

namespace weir::http {
namespace {

constexpr size_t kReadBytes = 16 * 1024;

// How long an idle connection stays when the server drains: a request may be on its way.
constexpr std::chrono::milliseconds kDrainGrace{50};
constexpr size_t kMaxRequestIdBytes = 128;

ParserLimits parser_limits(const ServerLimits& limits) {
  ParserLimits out;
  out.header_bytes = limits.header_bytes;
  out.header_fields = limits.header_fields;
  out.target_bytes = limits.target_bytes;
  out.body_bytes = limits.body_bytes;
  return out;
}

bool valid_request_id(std::string_view id) {
  return !id.empty() && id.size() <= kMaxRequestIdBytes &&
         std::all_of(id.begin(), id.end(), [](char c) { return c > 0x20 && c < 0x7F; });
}

// "example.org:80" → "example.org", "[::1]:80" → "[::1]".
std::string_view host_name(std::string_view host) {
  const size_t bracket = host.rfind(']');
  const size_t colon = host.find(':', bracket == std::string_view::npos ? 0 : bracket);
  return host.substr(0, colon);
}

bool lists(const std::vector<std::string>& names, std::string_view name) {
  return std::any_of(names.begin(), names.end(),
                     [&](const std::string& one) { return one == "*" || iequals(one, name); });
}

}  // namespace

std::string ServerContext::new_request_id() {
  const uint64_t n = next_request_id++;
  return fmt::format("req_{:016x}{:016x}", random_u64(options.request_id_seed, 1, 2 * n),
                     random_u64(options.request_id_seed, 1, 2 * n + 1));
}

Response ServerContext::error_response(int status, const Error& error,
                                       std::string_view path) const {
  try {
    if (render_error) return render_error(status, error, path);
  } catch (...) {  // an error that cannot be rendered still gets an answer
  }
  return json_response(status, fmt::format("{{\"error\":{{\"message\":\"{}\",\"code\":\"{}\"}}}}",
                                           reason_phrase(status), error_code_name(error.code)));
}

Connection::Connection(ServerContext& context, const boost::asio::any_io_executor& executor,
                       std::unique_ptr<Transport> transport)
    : context_(context),
      executor_(executor),
      transport_(std::move(transport)),
      read_buffer_(kReadBytes),
      parser_(parser_limits(context.options.limits)),
      read_timer_(executor),
      keep_alive_timer_(executor),
      write_timer_(executor) {}

void Connection::start() {
  update_read_timer(RequestParser::Phase::kDone);
  read();
}

void Connection::start_rejected() {
  rejected_ = true;
  const auto& options = context_.options;
  Error error =
      make_error(ErrorCode::kServerOverloaded, "the server has reached its limit of {} connections",
                 options.limits.max_connections);
  error.retry_after_s = options.overload_retry_after_s;
  fail_request(503, error, "max_connections");
  read();
}

void Connection::drain() {
  if (state_ == State::kWebSocket && !exchange_)
    return close_websocket(WebSocketClose::kGoingAway, "the server is shutting down");
  if (state_ == State::kReading) update_read_timer(RequestParser::Phase::kDone);
}

void Connection::refuse_unread() {
  if (state_ != State::kReading || parser_.phase() == RequestParser::Phase::kIdle) return;
  Error error = make_error(ErrorCode::kServerOverloaded,
                           "the server is shutting down, and the request was not whole in time");
  error.retry_after_s = context_.options.overload_retry_after_s;
  fail_request(503, error, {});
}

void Connection::read() {
  if (reading_ || state_ == State::kClosed) return;
  // While an answer is pending reading goes on, so that a vanished client is noticed, but only so
  // far.
  if (state_ == State::kResponding && input_.size() >= context_.options.limits.pipeline_bytes)
    return;
  if (state_ == State::kWebSocket && unsent() > context_.options.limits.write_buffer_bytes)
    return;  // who does not read is not listened to
  reading_ = true;
  transport_->read_some(read_buffer_,
                        [self = shared_from_this()](std::error_code error, size_t bytes) {
                          self->on_read(error, bytes);
                        });
}

void Connection::on_read(std::error_code error, size_t bytes) {
  reading_ = false;
  if (state_ == State::kClosed) return;
  if (error) return on_read_end();
  context_.observer->on_bytes(bytes, 0);
  if (state_ != State::kClosing) {  // there input is only drained
    input_.append(read_buffer_.data(), bytes);
    if (state_ == State::kReading) parse();
    if (state_ == State::kWebSocket) take_frames();
  }
  read();
}

// The peer has closed or half-closed. A client that half-closes and still waits gets an answer that
// is already there; one that is still being made is given up, as its client is most likely gone.
void Connection::on_read_end() {
  if (state_ == State::kResponding && exchange_ && exchange_->finished()) {
    keep_connection_ = false;
    return;
  }
  if (state_ == State::kClosing && unsent() > 0) return;
  if (in_line_) {  // as if it had been begun before
    input_ended_ = true;
    return;
  }
  close(CloseReason::kPeerClosed);
}

void Connection::parse() {
  size_t used = 0;
  while (state_ == State::kReading && used < input_.size()) {
    if (!feed(input_, used)) break;
  }
  input_.erase(0, std::min(used, input_.size()));  // a refused request has emptied it
  if (input_.empty() && input_.capacity() > kReadBytes) input_.shrink_to_fit();
}

// One step of the parser; false when the request is whole or refused.
bool Connection::feed(std::string_view bytes, size_t& used) {
  using Phase = RequestParser::Phase;
  const Phase before = parser_.phase();
  const bool in_head = before == Phase::kIdle || before == Phase::kHead;
  used += parser_.feed(bytes.substr(used));
  const Phase now = parser_.phase();
  if (now == Phase::kError) {
    fail_request(parser_.status(), parser_.error(), parser_.limit());
    return false;
  }
  if (in_head && (now == Phase::kBody || now == Phase::kDone)) {
    if (!check_request(parser_.request())) return false;
    if (parser_.expects_continue() && used == bytes.size()) {
      queued_ += "HTTP/1.1 100 Continue\r\n\r\n";
      write();
    }
  }
  if (!reserve_body()) return false;
  if (now == Phase::kDone) {
    dispatch();
    return false;
  }
  if (now != before) update_read_timer(before);
  return true;
}

void Connection::update_read_timer(RequestParser::Phase before) {
  const auto& limits = context_.options.limits;
  switch (parser_.phase()) {
    case RequestParser::Phase::kIdle:
      if (before == RequestParser::Phase::kHead)
        return;  // an empty line before the request buys no time
      if (context_.draining) {
        read_timeout_ = "drain_grace";
        return arm_read_timer(kDrainGrace);
      }
      read_timeout_ = "idle_timeout";
      // A new connection that says nothing gets no longer than one that says too little.
      arm_read_timer(first_request_ ? std::min(limits.header_timeout, limits.idle_timeout)
                                    : limits.idle_timeout);
      return;
    case RequestParser::Phase::kHead:
      if (read_timeout_ == "header_timeout") return;
      read_timeout_ = "header_timeout";
      arm_read_timer(limits.header_timeout);
      return;
    case RequestParser::Phase::kBody:
      read_timeout_ = "body_timeout";
      arm_read_timer(limits.body_timeout);
      return;
    case RequestParser::Phase::kDone:
    case RequestParser::Phase::kError:
      return;
  }
}

void Connection::arm_read_timer(std::chrono::milliseconds timeout) {
  const uint64_t round = ++read_timer_round_;
  read_timer_.expires_after(timeout);
  read_timer_.async_wait(
      [self = shared_from_this(), round](const boost::system::error_code& error) {
        if (!error && round == self->read_timer_round_) self->on_read_timeout();
      });
}

void Connection::on_read_timeout() {
  if (state_ == State::kClosing) return close(CloseReason::kPeerClosed);  // lingered long enough
  if (state_ == State::kWebSocket) return on_websocket_tick();
  if (state_ != State::kReading) return;
  if (read_timeout_ == "drain_grace") return close(CloseReason::kServerStopped);
  if (read_timeout_ == "idle_timeout") {
    context_.observer->on_limit(read_timeout_);
    return close(CloseReason::kPeerClosed);
  }
  const auto& limits = context_.options.limits;
  const bool head = read_timeout_ == "header_timeout";
  fail_request(408,
               make_error(ErrorCode::kRequestTimeout, "the request {} did not arrive within {} ms",
                          head ? "head" : "body",
                          (head ? limits.header_timeout : limits.body_timeout).count()),
               read_timeout_);
}

// Accounts for the body bytes that have arrived; false (and 503) when all connections together hold
// too many.
bool Connection::reserve_body() {
  const size_t size = parser_.request().body.size();
  context_.body_bytes += size - reserved_body_;
  reserved_body_ = size;
  if (context_.body_bytes <= context_.options.limits.total_body_bytes) return true;
  Error error =
      make_error(ErrorCode::kServerOverloaded, "too many request bodies at once; try again later");
  error.retry_after_s = context_.options.overload_retry_after_s;
  fail_request(503, error, "total_body_bytes");
  return false;
}

void Connection::release_body() {
  context_.body_bytes -= reserved_body_;
  reserved_body_ = 0;
}

// Checks that need the options; false when an error was answered.
bool Connection::check_request(const Request& request) {
  const auto& hosts = context_.options.allowed_hosts;
  const auto host = request.headers.find("host");
  if (!hosts.empty() && !lists(hosts, host_name(host.value_or("")))) {
    fail_request(
        403, make_error(ErrorCode::kPermissionDenied, "this server does not answer to that Host"),
        "allowed_hosts");
    return false;
  }
  return true;
}

bool Connection::answer_preflight(const Request& request) {
  if (origin_.empty() || request.method != "OPTIONS" ||
      !request.headers.contains("access-control-request-method")) {
    return false;
  }
  Response response{204, {}, {}};
  response.headers.add("access-control-allow-methods", "GET, HEAD, POST, DELETE, OPTIONS");
  if (const auto wanted = request.headers.find("access-control-request-headers")) {
    response.headers.add("access-control-allow-headers", *wanted);
  }
  response.headers.add("access-control-max-age", "600");
  exchange_->send(std::move(response));
  return true;
}

std::shared_ptr<Exchange> Connection::make_exchange(const std::string& request_id) {
  // Posting under the exchange's lock is safe: post never runs its function in place.
  return std::make_shared<Exchange>(
      request_id, context_.options.limits.write_buffer_bytes,
      [executor = executor_, weak = weak_from_this()] {
        boost::asio::post(executor, [weak] {
          if (const auto self = weak.lock()) self->on_wake();
        });
      },
      weak_from_this());
}

void Connection::dispatch() {
  ++read_timer_round_;
  read_timer_.cancel();
  state_ = State::kResponding;
  first_request_ = false;
  request_ns_ = context_.clock->now_ns();
  if (context_.line->at_once()) return begin_request();
  in_line_ = true;
  context_.line->add([weak = weak_from_this()] {
    const auto self = weak.lock();  // weak: the server's end does not wait for the line
    if (!self || self->state_ != State::kResponding) return;
    self->in_line_ = false;
    self->begin_request();
    if (self->input_ended_) self->on_read_end();
  });
}

void Connection::begin_request() {
  Request request = std::move(parser_.request());
  request.received_ns = request_ns_;
  request.remote = transport_->remote();
  method_ = request.method;
  path_ = request.path;
  const auto id = request.headers.find("x-request-id");
  request.request_id = id && valid_request_id(*id) ? std::string(*id) : context_.new_request_id();
  const auto origin = request.headers.find("origin");
  origin_ = origin && lists(context_.options.cors_origins, *origin) ? std::string(*origin)
                                                                    : std::string();

  head_request_ = request.method == "HEAD";
  chunked_ = request.version == 11;
  keep_connection_ = parser_.keep_alive();
  response_queued_ = drop_body_ = false;
  set_stream(false);
  keep_alive_interval_ = std::chrono::milliseconds(0);
  status_ = 0;
  exchange_ = make_exchange(request.request_id);
  if (answer_preflight(request) || !begin_handshake(request)) return;
  try {
    // The writer's destructor answers 500 when the handler throws.
    context_.handler(std::move(request), ResponseWriter(exchange_));
  } catch (...) {
    exchange_->drop();
  }
}

// Answers what http/ itself refuses, then closes: the position in the input is no longer known.
void Connection::fail_request(int status, const Error& error, std::string_view limit) {
  if (!limit.empty()) context_.observer->on_limit(limit);
  ++read_timer_round_;
  read_timer_.cancel();
  const Request& request = parser_.request();
  request_ns_ = context_.clock->now_ns();
  method_ = request.method;
  path_ = request.path;
  refused_by_ = limit;
  head_request_ = request.method == "HEAD";
  keep_connection_ = false;
  Response response = context_.error_response(status, error, request.path);
  if (error.retry_after_s > 0 && !response.headers.contains("retry-after")) {
    const auto seconds = static_cast<int64_t>(error.retry_after_s);
    response.headers.set(
        "retry-after",
        std::to_string(seconds + (static_cast<double>(seconds) < error.retry_after_s ? 1 : 0)));
  }
  refused_id_ = context_.new_request_id();
  if (!response.headers.contains("x-request-id")) response.headers.set("x-request-id", refused_id_);
  state_ = State::kClosing;
  queue_head(response, false);
  input_.clear();
  release_body();
  response_queued_ = true;
  write();
}

}  // namespace weir::http
