#include <algorithm>
#include <ctime>
#include <iterator>
#include <utility>

#include "http/connection.h"

namespace weir::http {
namespace {

// RFC 9110 section 5.6.7: "Sun, 06 Nov 1994 08:49:37 GMT", whatever the locale.
std::string http_date(int64_t unix_s) {
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto time = static_cast<std::time_t>(unix_s);
  std::tm tm{};
  gmtime_r(&time, &tm);
  return fmt::format("{}, {:02} {} {} {:02}:{:02}:{:02} GMT", kDays[tm.tm_wday], tm.tm_mday,
                     kMonths[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

// Appends "name: value\r\n"; a field that would break the message is left out.
void append_field(std::string& out, std::string_view name, std::string_view value) {
  if (!is_token(name) || !is_field_value(value)) return;
  out += name;
  out += ": ";
  out += value;
  out += "\r\n";
}

// Fields that say how the message is delimited: the server's business.
bool is_framing(std::string_view name) {
  return iequals(name, "content-length") || iequals(name, "transfer-encoding") ||
         iequals(name, "connection");
}

// Sent buffers larger than this give their memory back.
constexpr size_t kKeepBufferBytes = 64 * 1024;
constexpr int64_t kGather_ns = 200'000;

}  // namespace

// What follows closely, as events that came in one read do, is gathered for one write.
bool Connection::take_now() {
  if (context_.clock->now_ns() - last_data_ns_ < kGather_ns) return false;
  on_wake();
  return true;
}

void Connection::on_wake() {
  if (state_ == State::kWebSocket && exchange_) return on_websocket_wake();
  if (state_ != State::kResponding || !exchange_) return;
  Exchange::Outbox outbox = exchange_->take();
  if (outbox.abort) return close(*outbox.abort);
  if (outbox.keep_alive) {
    keep_alive_interval_ = std::max(outbox.keep_alive->first, std::chrono::milliseconds(1));
    keep_alive_data_ = std::move(outbox.keep_alive->second);
    arm_keep_alive(keep_alive_interval_);
  }
  if (outbox.head && take_handshake_answer(*outbox.head)) return;
  if (outbox.head) {
    queue_head(*outbox.head, outbox.stream);
  } else if (outbox.finished && status_ == 0) {
    const Error error =
        make_error(ErrorCode::kInternal, "internal error; request {}", exchange_->request_id());
    queue_head(context_.error_response(500, error, path_), false);
  }
  if (!outbox.data.empty()) queue_data(outbox.data);
  if (outbox.finished) {
    if (stream_ && chunked_ && !drop_body_) queued_ += "0\r\n\r\n";
    response_queued_ = true;
  }
  write_at_once();
}

// Most answers fit into the socket's buffer: then there is nothing to wait for, and no timer. Only
// from on_wake(): the end of an answer begins the next request.
void Connection::write_at_once() {
  if (!writing_ && fill()) {
    const size_t bytes = transport_->try_write(std::string_view(sending_).substr(sent_));
    sent_ += bytes;
    if (bytes > 0) context_.observer->on_bytes(0, bytes);
  }
  exchange_->set_unsent(unsent());
  write();
}

void Connection::set_stream(bool stream) {
  if (stream && !stream_) context_.line->stream_begun();
  if (!stream && stream_) context_.line->stream_ended();
  stream_ = stream;
}

void Connection::queue_head(const Response& response, bool stream) {
  status_ = response.status;
  const bool bodiless = status_ == 204 || status_ == 304;
  set_stream(stream);
  drop_body_ = head_request_ || bodiless;
  if (context_.draining || response.headers.has_token("connection", "close"))
    keep_connection_ = false;
  if (stream && !chunked_ && !drop_body_)
    keep_connection_ = false;  // HTTP/1.0: the end is the close

  std::string& out = queued_;
  fmt::format_to(std::back_inserter(out), "HTTP/1.1 {} {}\r\n", status_, reason_phrase(status_));
  append_field(out, "date", http_date(context_.clock->unix_s()));
  for (const auto& field : response.headers.all()) {
    if (!is_framing(field.name)) append_field(out, field.name, field.value);
  }
  if (exchange_ && !response.headers.contains("x-request-id")) {
    append_field(out, "x-request-id", exchange_->request_id());
  }
  if (!origin_.empty()) {
    append_field(out, "access-control-allow-origin", origin_);
    append_field(out, "vary", "origin");
    append_field(out, "access-control-expose-headers", "x-request-id, retry-after");
  }
  if (stream && chunked_ && !bodiless) {
    append_field(out, "transfer-encoding", "chunked");
  } else if (!stream && !bodiless) {
    append_field(out, "content-length", std::to_string(response.body.size()));
  }
  append_field(out, "connection", keep_connection_ ? "keep-alive" : "close");
  out += "\r\n";
  if (!stream && !drop_body_) out += response.body;
  last_data_ns_ = context_.clock->now_ns();
}

// All that was written since the last look is one chunk.
void Connection::queue_data(std::string_view data) {
  last_data_ns_ = context_.clock->now_ns();
  if (drop_body_) return;
  if (!chunked_) {
    queued_ += data;
    return;
  }
  fmt::format_to(std::back_inserter(queued_), "{:x}\r\n", data.size());
  queued_ += data;
  queued_ += "\r\n";
}

void Connection::arm_keep_alive(std::chrono::milliseconds delay) {
  keep_alive_timer_.expires_after(delay);
  keep_alive_timer_.async_wait(
      [weak = weak_from_this(), exchange = exchange_](const boost::system::error_code& error) {
        const auto self = weak.lock();
        if (error || !self || self->state_ != State::kResponding || self->exchange_ != exchange)
          return;
        const auto silence =
            std::chrono::nanoseconds(self->context_.clock->now_ns() - self->last_data_ns_);
        auto next = self->keep_alive_interval_;
        if (silence < next) {
          next -= std::chrono::duration_cast<std::chrono::milliseconds>(silence);
        } else if (self->stream_ && !self->response_queued_ && self->unsent() == 0) {
          self->queue_data(self->keep_alive_data_);
          self->write();
        } else if (self->status_ == 0) {
          exchange->open_held_stream(self->keep_alive_data_);
        }
        self->arm_keep_alive(next);
      });
}

// Whether there is something to send; it is in sending_ then.
bool Connection::fill() {
  if (sent_ == sending_.size()) {
    sending_.clear();
    sent_ = 0;
    if (sending_.capacity() > kKeepBufferBytes) sending_.shrink_to_fit();
    std::swap(sending_, queued_);
  }
  return !sending_.empty();
}

void Connection::write() {
  if (writing_ || state_ == State::kClosed) return;
  if (!fill()) {
    if (response_queued_) finish_response();
    return;
  }
  writing_ = true;
  const uint64_t round = ++write_timer_round_;
  write_timer_.expires_after(context_.options.limits.write_timeout);
  write_timer_.async_wait([weak = weak_from_this(), round](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (error || !self || round != self->write_timer_round_) return;
    self->context_.observer->on_limit("write_timeout");
    self->close(CloseReason::kWriteTimeout);
  });
  transport_->write_some(std::string_view(sending_).substr(sent_),
                         [self = shared_from_this()](std::error_code error, size_t bytes) {
                           self->on_written(error, bytes);
                         });
}

void Connection::on_written(std::error_code error, size_t bytes) {
  writing_ = false;
  ++write_timer_round_;
  write_timer_.cancel();
  if (state_ == State::kClosed) return;
  if (error) return close(CloseReason::kPeerClosed);
  sent_ += bytes;
  context_.observer->on_bytes(0, bytes);
  if (exchange_) exchange_->set_unsent(unsent());
  write();
  if (state_ == State::kWebSocket) read();  // it may have paused
}

// The last byte of an answer has gone out.
void Connection::finish_response() {
  response_queued_ = false;
  if (!frames_) {
    context_.observer->on_response(
        status_, static_cast<double>(context_.clock->now_ns() - request_ns_) * 1e-9);
    report_end(std::nullopt);
  }  // of a WebSocket each message was reported by itself
  if (exchange_) {
    exchange_->complete();
    exchange_.reset();
  }
  keep_alive_timer_.cancel();
  set_stream(false);
  release_body();
  if (state_ == State::kClosing || !keep_connection_) return begin_closing();

  state_ = State::kReading;
  parser_ = RequestParser(parser_.limits());
  read_timeout_ = {};
  update_read_timer(RequestParser::Phase::kDone);
  parse();  // a pipelined request may be there already
  read();
}

void Connection::report_end(std::optional<CloseReason> disconnect) {
  RequestRecord record;
  record.request_id = exchange_ ? std::string_view(exchange_->request_id()) : refused_id_;
  record.method = method_;
  record.path = path_;
  const std::string remote = transport_->remote();
  record.remote = remote;
  record.status = status_;
  record.seconds = static_cast<double>(context_.clock->now_ns() - request_ns_) * 1e-9;
  if (exchange_) record.notes = exchange_->notes();
  if (!exchange_) record.limit = refused_by_;
  record.disconnect = disconnect;
  context_.observer->on_request_end(record);
}

// Ends the stream, then drains what the peer still sends: closing with unread input would reset the
// connection and destroy the answer on its way (RFC 9112 section 9.6).
void Connection::begin_closing() {
  state_ = State::kClosing;
  input_ = std::string();
  transport_->shutdown_send();
  read_timeout_ = "linger_timeout";
  arm_read_timer(context_.options.limits.linger_timeout);
  read();
}

void Connection::close(CloseReason reason) {
  if (state_ == State::kClosed) return;
  const auto keep = shared_from_this();
  state_ = State::kClosed;
  ++read_timer_round_;
  ++write_timer_round_;
  read_timer_.cancel();
  write_timer_.cancel();
  keep_alive_timer_.cancel();
  set_stream(false);
  release_body();
  if (exchange_) {
    context_.observer->on_disconnect(reason);
    if (reason == CloseReason::kSlowReader) context_.observer->on_limit("write_buffer_bytes");
    exchange_->fail(reason);  // its callback may still say what became of the request
    report_end(reason);
    exchange_.reset();
  }
  transport_->close();
  context_.on_connection_end(*this);
}

}  // namespace weir::http
