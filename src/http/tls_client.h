// TLS for a client: whom it believes, and what it shows of itself.
//
// TLS 1.2 and 1.3, no renegotiation, no compression, no early data; ALPN offers http/1.1. A server
// is believed when an authority has signed its certificate, the date is right and one of its
// subject alternative names is the one asked for (RFC 9525: the common name does not count, and a
// wildcard stands for a whole label).
#pragma once

#include <memory>
#include <string>

#include "base/result.h"

struct ssl_st;
struct ssl_ctx_st;

namespace weir::http {

struct TlsClientOptions {
  std::string ca_file;  // PEM: these authorities alone; empty: the system's
  // PEM, both or neither: for a server that wants to know who asks. The key is not encrypted.
  std::string certificate;
  std::string key;
  // The name to ask for and to check in place of the URL's host: for an address that serves under
  // the certificate of its name.
  std::string server_name;
  // Believes whoever answers: who stands on the way reads and changes everything, keys included.
  // For a test on one machine.
  bool insecure_believe_anyone = false;
};

// Whom a session talks to, and why that failed. Written by the handshake, on the I/O thread.
struct TlsPeer {
  std::string name;     // that was asked for
  std::string problem;  // for a user; empty: none, or one of the network
};

// Immutable; any thread. Shared by clients, requests and kept-alive connections, which must go on
// meaning the same authorities.
class TlsClientContext {
 public:
  // Errors name the file: kIo (not readable), kCorrupt (no certificate or key in it), kUsage (the
  // key is not that of the certificate, or one of the two is missing).
  static Result<std::shared_ptr<const TlsClientContext>> load(const TlsClientOptions& options);

  // For http/: a new session with `host`, a name or an address; owned by the caller, who frees it
  // with SSL_free before `peer` goes. nullptr when memory is short.
  ssl_st* new_session(const std::string& host, TlsPeer& peer) const;

 private:
  TlsClientContext(std::shared_ptr<ssl_ctx_st> context, std::string server_name)
      : context_(std::move(context)), server_name_(std::move(server_name)) {}
  std::shared_ptr<ssl_ctx_st> context_;  // for its deleter
  std::string server_name_;
};

// The innermost reason that OpenSSL gives for what went wrong on this thread; empties its queue.
std::string openssl_reason();

}  // namespace weir::http
