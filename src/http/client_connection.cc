#include "http/client_connection.h"

#include <fmt/format.h>

#include <boost/asio/connect.hpp>
#include <utility>
#include <vector>

#include "http/tcp_transport.h"
#include "http/tls_transport.h"

namespace weir::http {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::steady_clock;

namespace {

std::string head_of(const ClientRequest& r) {
  std::string out;
  out.reserve(512 + r.body.size());
  out += r.method;
  out += ' ';
  out += r.url.path;
  out += r.target;
  out += " HTTP/1.1\r\nHost: ";
  out += r.url.authority();
  out += "\r\n";
  for (const auto& field : r.headers.all()) {
    out += field.name;
    out += ": ";
    out += field.value;
    out += "\r\n";
  }
  if (!r.body.empty() || r.method == "POST" || r.method == "PUT") {
    out += "Content-Length: ";
    out += std::to_string(r.body.size());
    out += "\r\n";
  }
  out += "\r\n";
  return out;
}

FailureKind kind_of(const Error& error) {
  if (error.code == ErrorCode::kLimit) return FailureKind::kLimit;
  return error.code == ErrorCode::kIo ? FailureKind::kClosed : FailureKind::kProtocol;
}

}  // namespace

ClientConnection::ClientConnection(Owner& owner, const ClientOptions& options, asio::io_context& io,
                                   std::string key, std::shared_ptr<const TlsClientContext> trust)
    : owner_(owner),
      options_(options),
      key_(std::move(key)),
      trust_(std::move(trust)),
      socket_(io),
      parser_(options.response),
      timer_(io) {}

void ClientConnection::connect(std::shared_ptr<ClientJob> job) {
  job_ = std::move(job);
  job_->connection = weak_from_this();
  const ClientTimeouts& timeouts = job_->request.timeouts;
  expire_at(
      timeouts.connect.count() > 0 ? steady_clock::now() + timeouts.connect : TimePoint::max(),
      "connect");
  const Url& url = job_->request.url;
  error_code not_literal;
  const auto address = asio::ip::make_address(url.host, not_literal);
  if (!not_literal) return on_resolved(Resolver::Addresses{address});
  // Weakly: names may take longer than anybody waits.
  owner_.resolve(url.host, [weak = weak_from_this()](const Result<Resolver::Addresses>& found) {
    if (const auto self = weak.lock()) self->on_resolved(found);
  });
}

void ClientConnection::on_resolved(const Result<Resolver::Addresses>& found) {
  if (closed_) return;
  const Url& url = job_->request.url;
  if (!found.ok()) {
    return fail(FailureKind::kConnect,
                fmt::format("the name {} does not resolve: {}", url.host, found.error().message));
  }
  std::vector<tcp::endpoint> endpoints;
  for (const asio::ip::address& address : *found) endpoints.emplace_back(address, url.port);
  asio::async_connect(socket_, endpoints,
                      [self = shared_from_this()](const error_code& failed, const tcp::endpoint&) {
                        self->on_connected(failed);
                      });
}

void ClientConnection::on_connected(const error_code& error) {
  if (closed_) return;
  if (error) {
    return fail(FailureKind::kConnect, fmt::format("cannot connect to {}: {}",
                                                   job_->request.url.authority(), error.message()));
  }
  error_code ignored;
  socket_.set_option(tcp::no_delay(true), ignored);
  const auto executor = socket_.get_executor();
  transport_ = std::make_unique<TcpTransport>(std::move(socket_));
  if (!trust_) return on_ready();
  const std::string& host = job_->request.url.host;
  auto secured = make_tls_client_transport(std::move(transport_), *trust_, host, executor);
  if (!secured) return fail(FailureKind::kTls, fmt::format("TLS cannot ask for the name {}", host));
  TlsClientTransport& session = *secured;
  transport_ = std::move(secured);
  session.handshake([self = shared_from_this()](std::error_code failed, size_t) {
    if (!self->closed_) self->on_secured(failed);
  });
}

void ClientConnection::on_secured(std::error_code error) {
  if (!error) return on_ready();
  const std::string name = job_->request.url.authority();
  const std::string problem = transport_->problem();
  if (!problem.empty()) return fail(FailureKind::kTls, fmt::format("{}: {}", name, problem));
  fail(FailureKind::kConnect,
       fmt::format("{}: the connection ended during the TLS handshake: {}", name, error.message()));
}

void ClientConnection::on_ready() {
  ready_ = true;
  read();
  write_request();
}

void ClientConnection::take(std::shared_ptr<ClientJob> job) {
  job_ = std::move(job);
  job_->connection = weak_from_this();
  reused_ = true;
  write_request();
}

void ClientConnection::write_request() {
  const ClientTimeouts& timeouts = job_->request.timeouts;
  parser_ = ResponseParser(options_.response, job_->request.method == "HEAD");
  head_told_ = any_byte_ = paused_ = false;
  expire_at(timeouts.first_byte.count() > 0 ? steady_clock::now() + timeouts.first_byte
                                            : TimePoint::max(),
            "first_byte");
  out_ = head_of(job_->request);
  out_ += job_->request.body;
  out_sent_ = 0;
  writing_ = true;
  job_->handler->on_sent();
  if (closed_) return;  // cancelled by its own handler
  write();
}

void ClientConnection::write() {
  transport_->write_some(std::string_view(out_).substr(out_sent_),
                         [self = shared_from_this()](std::error_code error, size_t bytes) {
                           if (self->closed_) return;
                           // A server may answer and close before it has read everything: what it
                           // said is read first, and the read tells of the end.
                           if (error) return;
                           self->out_sent_ += bytes;
                           if (self->out_sent_ < self->out_.size()) return self->write();
                           self->writing_ = false;
                         });
}

void ClientConnection::read() {
  if (reading_ || closed_) return;
  reading_ = true;
  transport_->read_some(buffer_, [self = shared_from_this()](std::error_code error, size_t bytes) {
    self->reading_ = false;
    if (!self->closed_) self->on_read(error, bytes);
  });
}

void ClientConnection::on_read(std::error_code error, size_t bytes) {
  if (!job_) {
    return fail(FailureKind::kClosed, error ? "closed while idle" : "bytes without a request");
  }
  if (error) {
    const bool ended = error == std::error_code(error_code(asio::error::eof));
    if (ended) parser_.finish();
    if (ended && parser_.phase() == ResponseParser::Phase::kDone) return on_answer_done(true);
    const std::string problem = transport_->problem();
    return fail(FailureKind::kClosed,
                ended ? parser_.error().message
                      : fmt::format("the connection broke: {}",
                                    problem.empty() ? error.message() : problem),
                reused_ && !any_byte_);
  }
  any_byte_ = true;
  const ClientTimeouts& timeouts = job_->request.timeouts;
  expire_at(timeouts.idle.count() > 0 ? steady_clock::now() + timeouts.idle : TimePoint::max(),
            "idle");
  parse({buffer_.data(), bytes});
}

void ClientConnection::parse(std::string_view bytes) {
  const auto self = shared_from_this();  // a handler may cancel
  const auto sink = [this](std::string_view piece) {
    if (!closed_ && !job_->handler->on_body(piece)) paused_ = true;
  };
  while (!bytes.empty() && parser_.phase() != ResponseParser::Phase::kDone &&
         parser_.phase() != ResponseParser::Phase::kError) {
    bytes.remove_prefix(parser_.feed(bytes, sink));
    if (closed_) return;
    if (parser_.head_done() && !head_told_) {
      head_told_ = true;
      job_->handler->on_head(parser_.head());
      if (closed_) return;
    }
  }
  if (parser_.phase() == ResponseParser::Phase::kError)
    return fail(kind_of(parser_.error()), parser_.error().message);
  if (parser_.phase() == ResponseParser::Phase::kDone) return on_answer_done(!bytes.empty());
  if (paused_) {
    expire_at(TimePoint::max(), "idle");  // it is our side that rests
  } else {
    read();
  }
}

void ClientConnection::on_answer_done(bool leftover) {
  const auto self = shared_from_this();
  const bool reusable = parser_.keep_alive() && !writing_ && !leftover;
  std::shared_ptr<ClientJob> job = std::move(job_);
  job_.reset();
  if (reusable) {
    expire_at(steady_clock::now() + options_.idle_timeout, "idle_timeout");
    read();  // sees the peer close
  } else {
    close();
  }
  owner_.on_done(*this, std::move(job), reusable);
}

void ClientConnection::resume() {
  if (!paused_ || closed_ || !job_) return;
  paused_ = false;
  const ClientTimeouts& timeouts = job_->request.timeouts;
  expire_at(timeouts.idle.count() > 0 ? steady_clock::now() + timeouts.idle : TimePoint::max(),
            "idle");
  read();
}

void ClientConnection::fail(FailureKind kind, std::string message, bool stale) {
  if (closed_) return;
  const auto self = shared_from_this();
  const bool sent = ready_;
  close();
  std::shared_ptr<ClientJob> job = std::move(job_);
  job_.reset();
  owner_.on_failed(*this, std::move(job), Failure{kind, std::move(message), sent}, stale);
}

void ClientConnection::close() {
  if (closed_) return;
  closed_ = true;
  ++timer_round_;
  timer_.cancel();
  error_code ignored;
  socket_.close(ignored);
  if (transport_) transport_->close();
}

// The nearer of `when` and the deadline of the whole request.
void ClientConnection::expire_at(TimePoint when, const char* what) {
  deadline_ = when;
  deadline_name_ = what;
  if (job_ && job_->deadline < when) {
    deadline_ = job_->deadline;
    deadline_name_ = "total";
  }
  if (deadline_ < armed_) arm_timer();
}

void ClientConnection::arm_timer() {
  armed_ = deadline_;
  timer_.expires_at(deadline_);
  timer_.async_wait([weak = weak_from_this(), round = ++timer_round_](const error_code& error) {
    const auto self = weak.lock();
    if (!error && self && !self->closed_ && self->timer_round_ == round) self->on_timer();
  });
}

void ClientConnection::on_timer() {
  armed_ = TimePoint::max();
  if (deadline_ == TimePoint::max()) return;
  if (steady_clock::now() < deadline_) return arm_timer();
  if (!job_) return fail(FailureKind::kTimeout, "idle");
  fail(FailureKind::kTimeout, fmt::format("no answer from {} within the {} timeout",
                                          job_->request.url.authority(), deadline_name_));
}

}  // namespace weir::http
