// HTTP/1.1 server on one Asio thread of its own. Strict by choice: what RFC 9112 lets a server
// refuse is refused (bare LF, obs-fold, Content-Length beside Transfer-Encoding, …), each with an
// answer and a close.
//
// Threads: the handler, all callbacks and the Observer run on the I/O thread and must not block.
// Server's methods and ResponseWriter's may be called from any thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "http/message.h"
#include "http/response_writer.h"
#include "http/tls.h"

namespace boost::asio {
class io_context;
}

namespace weir::http {

// The bounds of a server, by name; the name is what Observer::on_limit reports.
struct ServerLimits {
  size_t header_bytes = 32 * 1024;       // start line and fields → 431
  size_t header_fields = 128;            // → 431
  size_t target_bytes = 8 * 1024;        // → 414
  size_t body_bytes = 16 * 1024 * 1024;  // → 413, from Content-Length before the body is read
  size_t total_body_bytes =
      256 * 1024 * 1024;  // request bodies held at once by all connections → 503
  size_t pipeline_bytes =
      64 * 1024;  // read ahead while a response is pending; beyond, reading pauses
  size_t write_buffer_bytes =
      256 * 1024;  // per stream: above, the writer says kSlow; above 4 times this it is cut
  size_t max_connections = 1024;  // beyond: 503 with Retry-After and close
  // TLS handshakes going on at once, a millisecond of the I/O thread each; beyond: closed without a
  // word. One takes at most header_timeout.
  size_t max_tls_handshakes = 256;

  std::chrono::milliseconds header_timeout{10'000};  // first byte to end of head → 408
  std::chrono::milliseconds body_timeout{60'000};    // end of head to end of body → 408
  std::chrono::milliseconds idle_timeout{
      75'000};  // no byte of a (next) request → closed without a word
  std::chrono::milliseconds write_timeout{30'000};  // no byte taken by the peer → cut
  std::chrono::milliseconds linger_timeout{
      2'000};  // after an error answer: how long unread input is drained
};

// WebSocket (RFC 6455): a handler that answers 101 to a Request with `websocket` set upgrades the
// connection. Then each text message is a request to on_message, with the fields of the handshake
// and the message as its body, one at a time; the answer goes out as text messages: the body of
// send(), or the data of each server-sent event of a stream, then {"type":"done"} unless it failed.
// An answer of 401 or 403 closes with 1008, 503 with 1013, 500 with 1011, also to the handshake: a
// browser cannot read the status of a refused one.
struct WebSocketOptions {
  std::function<void(Request request, ResponseWriter writer)> on_message;  // empty: no WebSocket
  // Whether a message withdraws the request that runs; answered with {"type":"cancelled"}.
  std::function<bool(std::string_view message)> is_cancel;
};

struct ServerOptions {
  std::string host = "127.0.0.1";  // address or name
  uint16_t port = 0;               // 0: any free one, see Server::port()
  ServerLimits limits;
  std::vector<std::string>
      allowed_hosts;  // names (without port) accepted in Host; empty: all. Else 403
  std::vector<std::string>
      cors_origins;  // origins answered with CORS headers; "*" for all; empty: none
  WebSocketOptions websocket;
  std::shared_ptr<TlsContext> tls;  // null: plain TCP. Shared with who reloads it
  uint64_t request_id_seed = 0;     // from outside randomness; ids are made from it by counter
  double overload_retry_after_s =
      1.0;  // Retry-After of the 503 of max_connections and total_body_bytes
  int socket_send_buffer_bytes = 0;  // SO_SNDBUF; 0: the system's
};

// A request that is over. Borrowed for the call.
struct RequestRecord {
  std::string_view request_id;
  std::string_view method;  // "" when the request line was not understood
  std::string_view path;    // as the client sent it, without the query
  std::string_view remote;
  int status = 0;      // 0: the client went before it had one
  double seconds = 0;  // from the last byte of the request to the last of the answer
  AnswerNotes notes;
  std::string_view limit;                 // the bound that refused it, as in on_limit
  std::optional<CloseReason> disconnect;  // why the answer was cut short
};

// What a server tells about itself, on the I/O thread. Owned by the caller, outlives the server.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void on_connection_opened() {}
  virtual void on_connection_closed() {}
  // A request was answered in full. received and sent count bytes on the wire.
  virtual void on_response(int /*status*/, double /*seconds*/) {}
  // Every request with an answer, or an end. Of a WebSocket the handshake (status 101, or that of
  // its refusal) and each message, whose path is the handshake's and whose method is POST.
  virtual void on_request_end(const RequestRecord& /*request*/) {}
  virtual void on_bytes(size_t /*received*/, size_t /*sent*/) {}
  // A bound was hit: the name of its member in ServerLimits or ServerOptions, "accept_fds" when the
  // process has no file descriptor left to accept with, "callback_exception" when a callback of the
  // caller threw.
  virtual void on_limit(std::string_view /*limit*/) {}
  // A response could not be delivered in full.
  virtual void on_disconnect(CloseReason /*reason*/) {}
};

// Answers one request through the writer, now or later; both may be moved to another thread. A
// writer destroyed without an answer gives 500. An exception that leaves the handler gives 500.
using Handler = std::function<void(Request request, ResponseWriter writer)>;

// Makes the response for an error that http/ itself finds. `path` chooses the protocol's shape and
// is empty when the request line was not understood. Empty function: {"error":{…}} as the README
// describes it, without type.
using ErrorRenderer =
    std::function<Response(int status, const Error& error, std::string_view path)>;

class Server {
 public:
  // Listens and starts the I/O thread. Error kIo that names host:port and the remedy when the port
  // is taken, not permitted, or the name does not resolve. clock and observer (may be null) outlive
  // the server.
  [[nodiscard]] static Result<std::unique_ptr<Server>> start(ServerOptions options, Handler handler,
                                                             ErrorRenderer render_error,
                                                             const Clock& clock,
                                                             Observer* observer = nullptr);
  ~Server();  // stop()
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  uint16_t port() const;
  size_t connections() const;

  // The lists of ServerOptions, for requests that come after the I/O thread has taken them in.
  void set_access(std::vector<std::string> allowed_hosts, std::vector<std::string> cors_origins);

  // Closes the listening socket. Connections go on.
  void stop_accepting();
  // Closes idle connections and lets the others finish the request they have begun. New ones are
  // still taken, for one request each, so that the handler can say that it is leaving: /ready has
  // an answer until the end. Returns at once.
  void drain();
  // For when drain() has taken long enough: 503 with Retry-After for requests that have begun and
  // are not whole, which no handler knows of. Returns at once.
  void refuse_unread();
  // Waits until a drain() before it has begun and no connection is left, but for those that came
  // since; false if that took longer than timeout. Not from the I/O thread.
  bool wait_drained(std::chrono::milliseconds timeout);
  // Closes everything (pending writers see kServerStopped) and joins the I/O thread. Not from the
  // I/O thread.
  void stop();

  // Runs fn on the I/O thread soon, or after a delay; dropped when the server stops first. False:
  // it has stopped.
  bool post(std::function<void()> fn);
  void post_after(std::chrono::nanoseconds delay, std::function<void()> fn);
  // For http/: of the I/O thread.
  boost::asio::io_context& io_context();

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::http
