// One connection of the client: connects, shakes hands where it speaks TLS, carries one request
// after the other, keeps their timeouts. Internal to http/. Everything here runs on the client's
// I/O thread.
//
//   connect ──► busy ──answer whole──► idle ──next request──► busy
//      │ failure   │ failure, cancel     │ closed by the peer, idle too long
//      └──────────►└──────► closed ◄─────┘
#pragma once

#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>
#include <string>

#include "http/client.h"
#include "http/resolver.h"
#include "http/transport.h"

namespace weir::http {

class ClientConnection;

// A request on its way. Held by the client's table, by a queue or by a connection: shared, since a
// cancel reaches it in each of these places.
struct ClientJob {
  Client::RequestId id = 0;
  ClientRequest request;
  std::string key;  // of the connections that may carry it
  std::unique_ptr<ResponseHandler> handler;
  std::chrono::steady_clock::time_point deadline;         // of timeouts.total; max() for none
  std::weak_ptr<ClientConnection> connection;             // that carries it
  std::unique_ptr<boost::asio::steady_timer> wait_timer;  // while it waits for a connection
  bool waits = false;                                     // it does
  bool replayed = false;
  bool ended = false;
};

// Shared with its own pending operations, as Asio demands.
class ClientConnection : public std::enable_shared_from_this<ClientConnection> {
 public:
  // What the client is told; each may destroy the last outside reference to the connection.
  struct Owner {
    virtual ~Owner() = default;
    // The answer is whole. reusable: the connection is idle now and take() may be called.
    virtual void on_done(ClientConnection& connection, std::shared_ptr<ClientJob> job,
                         bool reusable) = 0;
    // The connection is closed. job: null when it was idle. stale: the peer had closed a kept-alive
    // connection before it saw the request.
    virtual void on_failed(ClientConnection& connection, std::shared_ptr<ClientJob> job,
                           Failure failure, bool stale) = 0;
    // done: on the I/O thread, where the client is still there.
    virtual void resolve(const std::string& name, Resolver::Done done) = 0;
  };

  // owner and options are not used once the connection is closed. trust: null without TLS.
  ClientConnection(Owner& owner, const ClientOptions& options, boost::asio::io_context& io,
                   std::string key, std::shared_ptr<const TlsClientContext> trust);

  // Connects, then carries the job.
  void connect(std::shared_ptr<ClientJob> job);
  // Precondition: idle.
  void take(std::shared_ptr<ClientJob> job);
  // Closes; the owner is told.
  void fail(FailureKind kind, std::string message, bool stale = false);
  // Closes without a word; the owner has let go of it.
  void close();
  void resume();
  const std::string& key() const { return key_; }

 private:
  using TimePoint = std::chrono::steady_clock::time_point;

  void on_resolved(const Result<Resolver::Addresses>& found);
  void on_connected(const boost::system::error_code& error);
  void on_secured(std::error_code error);
  void on_ready();
  void write_request();
  void write();
  void read();
  void on_read(std::error_code error, size_t bytes);
  void parse(std::string_view bytes);
  void on_answer_done(bool leftover);
  void expire_at(TimePoint when, const char* what);
  void arm_timer();
  void on_timer();

  Owner& owner_;
  const ClientOptions& options_;
  std::string key_;
  std::shared_ptr<const TlsClientContext> trust_;  // shared: the key means it as long as this lives
  boost::asio::ip::tcp::socket socket_;            // until it is connected; then transport_ has it
  std::unique_ptr<Transport> transport_;
  std::shared_ptr<ClientJob> job_;
  ResponseParser parser_;
  bool closed_ = false;
  bool ready_ = false;   // connected, and secured where it has to be
  bool reused_ = false;  // job_ is not the first
  bool head_told_ = false;
  bool any_byte_ = false;  // of the answer
  bool reading_ = false;
  bool paused_ = false;
  std::array<char, 16 * 1024> buffer_;
  std::string out_;
  size_t out_sent_ = 0;
  bool writing_ = false;

  // One timer, armed for the nearest deadline and re-armed only when that comes closer: a deadline
  // that moves away costs nothing until the timer fires.
  boost::asio::steady_timer timer_;
  TimePoint deadline_ = TimePoint::max();
  const char* deadline_name_ = "";
  TimePoint armed_ = TimePoint::max();
  uint64_t timer_round_ = 0;
};

}  // namespace weir::http
