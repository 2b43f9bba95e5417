// TLS for a server: certificate, key and rules, loaded from files and replaced while it runs.
//
// TLS 1.2 and 1.3, no renegotiation, no compression, no early data; session tickets without a
// cache, under keys that change with every load. ALPN offers http/1.1.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/thread_annotations.h"

struct ssl_st;
struct ssl_ctx_st;

namespace weir::http {

struct TlsFiles {
  std::string certificate;  // PEM: the server's, then the chain
  std::string key;          // PEM, not encrypted
  std::string client_ca;    // PEM; not empty: clients need a certificate that these have signed
  friend bool operator==(const TlsFiles&, const TlsFiles&) = default;
};

// What errors call the three: flags, or keys of a file.
struct TlsNames {
  std::string certificate = "--tls-cert";
  std::string key = "--tls-key";
  std::string client_ca = "--tls-client-ca";
};

// Any thread. Shared by the server, its connections and who reloads it.
class TlsContext {
 public:
  // Errors name the file, by `names` who named it, and OpenSSL's reason: kIo (not readable),
  // kCorrupt (no certificate or key in it), kUsage (the key is not that of the certificate, or one
  // of the two is missing).
  static Result<std::shared_ptr<TlsContext>> load(TlsFiles files, TlsNames names = {});
  // Reads the files again, all or nothing: after an error the old ones stay in use. Connections
  // that are open keep theirs.
  Status reload();
  // What is legal and will not work, by the clock of `unix_s`: a certificate that has expired, is
  // not yet valid, or ends within two weeks.
  std::vector<std::string> warnings(int64_t unix_s) const;

  // For http/: a new session of the current certificate; owned by the caller, who frees it with
  // SSL_free. nullptr when memory is short.
  ssl_st* new_session() const;
  std::atomic<size_t>& handshakes() { return handshakes_; }  // that are going on

 private:
  TlsContext(TlsFiles files, TlsNames names) : files_(std::move(files)), names_(std::move(names)) {}
  Result<std::shared_ptr<ssl_ctx_st>> make() const;

  const TlsFiles files_;
  const TlsNames names_;
  std::atomic<size_t> handshakes_{0};
  mutable Mutex mutex_;
  // shared: a session made from it may outlive the next reload.
  std::shared_ptr<ssl_ctx_st> context_ WEIR_GUARDED_BY(mutex_);
};

}  // namespace weir::http
