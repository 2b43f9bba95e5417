#include "http/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "http/tls_client.h"

namespace weir::http {
namespace {

constexpr int64_t kWarnSeconds = 14 * 86'400;

Status check_readable(const std::string& path, std::string_view name) {
  errno = 0;
  std::ifstream file(path);
  if (file.good() && file.peek() != std::ifstream::traits_type::eof()) return {};
  return make_error(ErrorCode::kIo, "{}: cannot read {}: {}", name, path,
                    errno != 0 ? std::strerror(errno) : "the file is empty");
}

int select_protocol(SSL* /*ssl*/, const unsigned char** out, unsigned char* out_size,
                    const unsigned char* in, unsigned in_size, void* /*unused*/) {
  static constexpr unsigned char kHttp11[] = "\x08http/1.1";
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, kHttp11, sizeof(kHttp11) - 1, in, in_size) !=
      OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

void set_rules(SSL_CTX* c) {
  SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
  SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                             SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  // Forward secrecy and AEAD only; TLS 1.3 has its own list, which is fine as it is.
  SSL_CTX_set_cipher_list(c, "ECDHE+AESGCM:ECDHE+CHACHA20");
  SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);  // idle connections hold no buffers
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  static constexpr unsigned char kSessionContext[] = "weir";  // tickets are bound to it
  SSL_CTX_set_session_id_context(c, kSessionContext, sizeof(kSessionContext) - 1);
  SSL_CTX_set_alpn_select_cb(c, select_protocol, nullptr);
}

int64_t unix_time(const ASN1_TIME* time) {
  std::tm tm{};
  if (ASN1_TIME_to_tm(time, &tm) != 1) return 0;
  return timegm(&tm);
}

}  // namespace

Result<std::shared_ptr<ssl_ctx_st>> TlsContext::make() const {
  WEIR_TRY(check_readable(files_.certificate, names_.certificate));
  WEIR_TRY(check_readable(files_.key, names_.key));
  if (!files_.client_ca.empty()) WEIR_TRY(check_readable(files_.client_ca, names_.client_ca));
  std::shared_ptr<SSL_CTX> c(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  if (!c) return make_error(ErrorCode::kOutOfMemory, "TLS: {}", openssl_reason());
  set_rules(c.get());
  ERR_clear_error();
  if (SSL_CTX_use_certificate_chain_file(c.get(), files_.certificate.c_str()) != 1) {
    return make_error(ErrorCode::kCorrupt, "{}: {} holds no certificate in PEM: {}",
                      names_.certificate, files_.certificate, openssl_reason());
  }
  // Without a terminal nobody can be asked: an encrypted key is an error, not a prompt.
  SSL_CTX_set_default_passwd_cb(c.get(), [](char*, int, int, void*) { return -1; });
  if (SSL_CTX_use_PrivateKey_file(c.get(), files_.key.c_str(), SSL_FILETYPE_PEM) != 1) {
    const unsigned long code = ERR_peek_last_error();
    if (ERR_GET_LIB(code) == ERR_LIB_X509 && ERR_GET_REASON(code) == X509_R_KEY_VALUES_MISMATCH) {
      ERR_clear_error();
      return make_error(ErrorCode::kUsage, "{}: the key in {} is not that of {}", names_.key,
                        files_.key, files_.certificate);
    }
    return make_error(ErrorCode::kCorrupt,
                      "{}: {} holds no private key in PEM without a password: {}", names_.key,
                      files_.key, openssl_reason());
  }
  if (SSL_CTX_check_private_key(c.get()) != 1) {
    ERR_clear_error();
    return make_error(ErrorCode::kUsage, "{}: the key in {} is not that of {}", names_.key,
                      files_.key, files_.certificate);
  }
  if (files_.client_ca.empty()) return c;
  STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(files_.client_ca.c_str());
  if (names == nullptr ||
      SSL_CTX_load_verify_locations(c.get(), files_.client_ca.c_str(), nullptr) != 1) {
    sk_X509_NAME_pop_free(names, X509_NAME_free);
    return make_error(ErrorCode::kCorrupt, "{}: {} holds no certificate in PEM: {}",
                      names_.client_ca, files_.client_ca, openssl_reason());
  }
  SSL_CTX_set_client_CA_list(c.get(), names);
  SSL_CTX_set_verify(c.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  return c;
}

Result<std::shared_ptr<TlsContext>> TlsContext::load(TlsFiles files, TlsNames names) {
  if (files.certificate.empty() || files.key.empty()) {
    return make_error(ErrorCode::kUsage, "TLS needs both {} and {}; {} is missing",
                      names.certificate, names.key,
                      files.certificate.empty() ? names.certificate : names.key);
  }
  std::shared_ptr<TlsContext> context(new TlsContext(std::move(files), std::move(names)));
  WEIR_TRY(context->reload());
  return context;
}

Status TlsContext::reload() {
  WEIR_ASSIGN(auto fresh, make());
  MutexLock lock(mutex_);
  context_ = std::move(fresh);
  return {};
}

std::vector<std::string> TlsContext::warnings(int64_t unix_s) const {
  MutexLock lock(mutex_);
  const X509* certificate = SSL_CTX_get0_certificate(context_.get());
  std::vector<std::string> all;
  if (certificate == nullptr) return all;
  const int64_t begin = unix_time(X509_get0_notBefore(certificate));
  const int64_t end = unix_time(X509_get0_notAfter(certificate));
  if (unix_s < begin) {
    all.push_back(fmt::format("the certificate in {} is not valid yet", files_.certificate));
  } else if (unix_s >= end) {
    all.push_back(fmt::format("the certificate in {} expired {} days ago", files_.certificate,
                              (unix_s - end) / 86'400));
  } else if (end - unix_s < kWarnSeconds) {
    all.push_back(fmt::format("the certificate in {} expires in {} days", files_.certificate,
                              (end - unix_s) / 86'400));
  }
  return all;
}

ssl_st* TlsContext::new_session() const {
  MutexLock lock(mutex_);
  return SSL_new(context_.get());
}

}  // namespace weir::http
