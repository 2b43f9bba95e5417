// HTTP/1.1 client on one Asio thread of its own: kept-alive connections by host, answers as they
// stream in, a bound and a timeout for everything.
//
// Threads: all ResponseHandler calls and posted functions run on the client's I/O thread and must
// not block. Client's methods may be called from any thread, also from a handler.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/message.h"
#include "http/response_parser.h"
#include "http/tls_client.h"
#include "http/url.h"

namespace weir::http {

class Server;

struct ClientOptions {
  ResponseLimits response;
  size_t max_connections_per_host = 1024;  // beyond: a request waits for one
  size_t max_waiting_per_host = 65536;     // beyond: it fails with kTooMany
  // An idle connection is closed after this; servers close theirs after a minute or more, and
  // closing first avoids the race with a request.
  std::chrono::milliseconds idle_timeout{30'000};
  // Whom https URLs believe; null: a request to one fails with kTls unless it brings its own.
  // Shared with who made it.
  std::shared_ptr<const TlsClientContext> tls;
  std::string thread_name = "http-client";
};

// Zero: none.
struct ClientTimeouts {
  std::chrono::milliseconds connect{5'000};       // look-up, connection, TLS handshake
  std::chrono::milliseconds first_byte{600'000};  // request handed to the socket to first byte
  std::chrono::milliseconds idle{120'000};        // between two reads of an answer
  std::chrono::milliseconds total{0};             // from send() to the last byte
};

struct ClientRequest {
  Url url;  // host, port, and the path that stands before `target`
  std::string method = "GET";
  std::string target = "/";  // as RFC 9112's origin-form
  Headers headers;           // Host and Content-Length are added
  std::string body;
  ClientTimeouts timeouts;
  // In place of ClientOptions::tls. Connections are kept apart by it.
  std::shared_ptr<const TlsClientContext> tls;
  // Send once more when a kept-alive connection turns out to be closed before any byte of an
  // answer. The server may have seen the first: only for requests that may run twice.
  bool replay_stale = false;
};

enum class FailureKind {
  kConnect,    // no such host, refused, unreachable, closed during the TLS handshake
  kTls,        // the certificate is not believed, or what answers speaks no TLS that we do
  kTimeout,    // one of ClientTimeouts
  kClosed,     // reset, or closed before the answer was whole
  kProtocol,   // the bytes are no HTTP answer
  kLimit,      // one of ResponseLimits
  kTooMany,    // max_waiting_per_host
  kCancelled,  // cancel()
  kStopped,    // the client was destroyed
};
std::string_view failure_kind_name(FailureKind kind);

struct Failure {
  FailureKind kind = FailureKind::kClosed;
  std::string message;  // what and which bound, fit for a user
  bool sent = false;    // the server may have seen the request
};

// What becomes of one request. Owned by the client from send() on; destroyed on its I/O thread
// after on_end, which is called exactly once.
class ResponseHandler {
 public:
  virtual ~ResponseHandler() = default;
  // The first byte is handed to the socket. Again when a request is replayed.
  virtual void on_sent() {}
  virtual void on_head(const Response& /*head: status and headers*/) {}
  // A piece of the body, unframed. False: no more until Client::resume; what the connection has
  // read already (at most 16 KiB) still comes.
  virtual bool on_body(std::string_view /*piece*/) { return true; }
  // failure: null when the answer is whole, of whatever status.
  virtual void on_end(const Failure* failure) = 0;
};

class Client {
 public:
  using RequestId = uint64_t;

  [[nodiscard]] static Result<std::unique_ptr<Client>> start(ClientOptions options);
  // On the I/O thread of a server, so that a request that is passed on crosses no thread. The
  // client goes before the server, and not while Server::stop runs; after it, what is left ends on
  // the thread of the destructor.
  [[nodiscard]] static Result<std::unique_ptr<Client>> start_on(Server& server,
                                                                ClientOptions options);
  ~Client();  // ends every request with kStopped and joins the thread; not from the I/O thread
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  RequestId send(ClientRequest request, std::unique_ptr<ResponseHandler> handler);
  // Ends the request with kCancelled and closes its connection; nothing if it has ended.
  void cancel(RequestId id);
  // After on_body has said false.
  void resume(RequestId id);

  // Runs fn on the I/O thread soon, or at a time of the steady clock; not when the client is
  // destroyed first.
  void post(std::function<void()> fn);
  void post_at(std::chrono::steady_clock::time_point when, std::function<void()> fn);

  // The addresses of a name, IPv4 before IPv6, without blocking the I/O thread, on which fn runs;
  // not when the client is destroyed first. Error: kIo with the reason.
  using Resolved = std::function<void(Result<std::vector<std::string>>)>;
  void resolve(const std::string& name, Resolved fn);

  // Connections now open, idle ones included.
  size_t connections() const;

 private:
  struct Impl;
  explicit Client(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;  // operations that outlive it on a server's thread see that it went
};

// One whole answer, for control requests: blocks the calling thread, which is not the I/O thread.
// Error: kIo with the failure's message.
Result<Response> fetch(Client& client, ClientRequest request);

}  // namespace weir::http
