#include "http/response_writer.h"

#include <utility>

#include "http/exchange.h"

namespace weir::http {

std::string_view close_reason_name(CloseReason reason) {
  switch (reason) {
    case CloseReason::kPeerClosed:
      return "peer_closed";
    case CloseReason::kWriteTimeout:
      return "write_timeout";
    case CloseReason::kSlowReader:
      return "slow_reader";
    case CloseReason::kAborted:
      return "aborted";
    case CloseReason::kServerStopped:
      return "server_stopped";
  }
  return "unknown";
}

ResponseWriter::ResponseWriter(std::shared_ptr<Exchange> exchange)
    : exchange_(std::move(exchange)) {}
ResponseWriter::ResponseWriter(ResponseWriter&&) noexcept = default;
ResponseWriter& ResponseWriter::operator=(ResponseWriter&& other) noexcept {
  if (this != &other) {
    if (exchange_) exchange_->drop();
    exchange_ = std::move(other.exchange_);
  }
  return *this;
}
ResponseWriter::~ResponseWriter() {
  if (exchange_) exchange_->drop();
}

WriteStatus ResponseWriter::send(Response response) { return exchange_->send(std::move(response)); }
WriteStatus ResponseWriter::begin_stream(int status, Headers headers) {
  return exchange_->begin_stream(status, std::move(headers));
}
WriteStatus ResponseWriter::write(std::string_view data) { return exchange_->write(data); }
WriteStatus ResponseWriter::write_now(std::string_view data) { return exchange_->write_now(data); }
WriteStatus ResponseWriter::finish() { return exchange_->finish(); }
void ResponseWriter::abort() { exchange_->abort(); }
void ResponseWriter::hold_head(int status, Headers headers) {
  exchange_->hold_head(status, std::move(headers));
}
void ResponseWriter::keep_alive(std::chrono::milliseconds interval, std::string data) {
  exchange_->keep_alive(interval, std::move(data));
}
void ResponseWriter::on_closed(std::function<void(CloseReason)> callback) {
  exchange_->on_closed(std::move(callback));
}
void ResponseWriter::on_writable(std::function<void()> callback) {
  exchange_->on_writable(std::move(callback));
}
void ResponseWriter::note(const std::function<void(AnswerNotes&)>& change) {
  exchange_->note(change);
}
void ResponseWriter::set_headers(Headers headers) { exchange_->set_headers(std::move(headers)); }
void ResponseWriter::hold(std::shared_ptr<void> place) { exchange_->hold(std::move(place)); }
size_t ResponseWriter::buffered_bytes() const { return exchange_->buffered_bytes(); }
bool ResponseWriter::closed() const { return exchange_->closed(); }
bool ResponseWriter::started() const { return exchange_->started(); }
const std::string& ResponseWriter::request_id() const { return exchange_->request_id(); }

}  // namespace weir::http
