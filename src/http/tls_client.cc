#include "http/tls_client.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <boost/asio/ip/address.hpp>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <fstream>
#include <utility>

namespace weir::http {
namespace {

constexpr int kMaxNamesShown = 4;

Status check_readable(const std::string& path, std::string_view what) {
  errno = 0;
  std::ifstream file(path);
  if (file.good() && file.peek() != std::ifstream::traits_type::eof()) return {};
  return make_error(ErrorCode::kIo, "{}: cannot read {}: {}", what, path,
                    errno != 0 ? std::strerror(errno) : "the file is empty");
}

std::string date_of(const ASN1_TIME* time) {
  std::tm tm{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &tm) != 1) return "an unreadable date";
  return fmt::format("{:04}-{:02}-{:02}", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
}

std::string name_of(const X509_NAME* name) {
  char text[256] = {};
  if (X509_NAME_oneline(name, text, sizeof text) == nullptr) return "an unnamed authority";
  return text;
}

// What the certificate says that it is for: "a.example, 10.0.0.1".
std::string names_of(const X509* certificate) {
  const std::unique_ptr<GENERAL_NAMES, void (*)(GENERAL_NAMES*)> names(
      static_cast<GENERAL_NAMES*>(
          X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)),
      GENERAL_NAMES_free);
  const int count = names ? sk_GENERAL_NAME_num(names.get()) : 0;
  std::string all;
  for (int i = 0; i < count && i < kMaxNamesShown; ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (i > 0) all += ", ";
    if (name->type == GEN_DNS || name->type == GEN_IPADD) {
      const auto* bytes = reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.ia5));
      const auto size = static_cast<size_t>(ASN1_STRING_length(name->d.ia5));
      if (name->type == GEN_DNS) {
        all.append(bytes, size);
      } else if (size == 4) {
        boost::asio::ip::address_v4::bytes_type v4;
        std::memcpy(v4.data(), bytes, size);
        all += boost::asio::ip::make_address_v4(v4).to_string();
      } else {
        all += "an IPv6 address";
      }
    } else {
      all += "a name of another kind";
    }
  }
  if (count > kMaxNamesShown) all += fmt::format(" and {} more", count - kMaxNamesShown);
  return all.empty() ? "no name at all" : all;
}

std::string certificate_problem(int code, const X509* certificate, const std::string& asked) {
  switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return fmt::format("its certificate expired on {}", date_of(X509_get0_notAfter(certificate)));
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return fmt::format("its certificate is not valid before {}",
                         date_of(X509_get0_notBefore(certificate)));
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return fmt::format("its certificate is for {}, not for {}", names_of(certificate), asked);
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
      return "its certificate is signed by itself and is none of the trusted ones; give it as the "
             "CA file if that is meant";
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      return fmt::format("its certificate is signed by an authority that is not trusted: {}",
                         name_of(X509_get_issuer_name(certificate)));
    default:
      return fmt::format("its certificate is refused: {}", X509_verify_cert_error_string(code));
  }
}

int note_problem(int good, X509_STORE_CTX* store) {
  if (good == 1) return 1;
  const auto* ssl = static_cast<const SSL*>(
      X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* peer = static_cast<TlsPeer*>(SSL_get_app_data(ssl));
  if (peer != nullptr && peer->problem.empty()) {
    peer->problem = certificate_problem(X509_STORE_CTX_get_error(store),
                                        X509_STORE_CTX_get_current_cert(store), peer->name);
  }
  return 0;
}

void set_rules(SSL_CTX* c, bool believe_anyone) {
  SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
  SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  // Forward secrecy and AEAD only; TLS 1.3 has its own list, which is fine as it is.
  SSL_CTX_set_cipher_list(c, "ECDHE+AESGCM:ECDHE+CHACHA20");
  SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);  // idle connections hold no buffers
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  static constexpr unsigned char kHttp11[] = "\x08http/1.1";
  SSL_CTX_set_alpn_protos(c, kHttp11, sizeof(kHttp11) - 1);
  if (believe_anyone) {
    SSL_CTX_set_verify(c, SSL_VERIFY_NONE, nullptr);
  } else {
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER, note_problem);
  }
}

Status load_authorities(SSL_CTX* c, const std::string& ca_file) {
  if (ca_file.empty()) {
    if (SSL_CTX_set_default_verify_paths(c) == 1) return {};
    return make_error(ErrorCode::kIo, "cannot read the system's certificate authorities: {}",
                      openssl_reason());
  }
  WEIR_TRY(check_readable(ca_file, "the CA file"));
  if (SSL_CTX_load_verify_locations(c, ca_file.c_str(), nullptr) == 1) return {};
  return make_error(ErrorCode::kCorrupt, "the CA file: {} holds no certificate in PEM: {}", ca_file,
                    openssl_reason());
}

Status load_identity(SSL_CTX* c, const TlsClientOptions& o) {
  if (o.certificate.empty() && o.key.empty()) return {};
  if (o.certificate.empty() || o.key.empty()) {
    return make_error(ErrorCode::kUsage,
                      "a client certificate needs its file and that of its key; {} is missing",
                      o.certificate.empty() ? "the certificate" : "the key");
  }
  WEIR_TRY(check_readable(o.certificate, "the client certificate"));
  WEIR_TRY(check_readable(o.key, "the client's key"));
  if (SSL_CTX_use_certificate_chain_file(c, o.certificate.c_str()) != 1) {
    return make_error(ErrorCode::kCorrupt, "{} holds no certificate in PEM: {}", o.certificate,
                      openssl_reason());
  }
  // Without a terminal nobody can be asked: an encrypted key is an error, not a prompt.
  SSL_CTX_set_default_passwd_cb(c, [](char*, int, int, void*) { return -1; });
  const bool loaded = SSL_CTX_use_PrivateKey_file(c, o.key.c_str(), SSL_FILETYPE_PEM) == 1;
  const unsigned long code = ERR_peek_last_error();
  const bool of_another = !loaded && ERR_GET_LIB(code) == ERR_LIB_X509 &&
                          ERR_GET_REASON(code) == X509_R_KEY_VALUES_MISMATCH;
  if (of_another || (loaded && SSL_CTX_check_private_key(c) != 1)) {
    ERR_clear_error();
    return make_error(ErrorCode::kUsage, "the key in {} is not that of {}", o.key, o.certificate);
  }
  if (loaded) return {};
  return make_error(ErrorCode::kCorrupt, "{} holds no private key in PEM without a password: {}",
                    o.key, openssl_reason());
}

}  // namespace

std::string openssl_reason() {
  const unsigned long code = ERR_peek_error();  // the first one: those behind it pass it on
  ERR_clear_error();
  const char* reason = code != 0 ? ERR_reason_error_string(code) : nullptr;
  return reason != nullptr ? reason : "no reason given";
}

Result<std::shared_ptr<const TlsClientContext>> TlsClientContext::load(
    const TlsClientOptions& options) {
  ERR_clear_error();
  std::shared_ptr<SSL_CTX> c(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  if (!c) return make_error(ErrorCode::kOutOfMemory, "TLS: {}", openssl_reason());
  set_rules(c.get(), options.insecure_believe_anyone);
  WEIR_TRY(load_authorities(c.get(), options.ca_file));
  WEIR_TRY(load_identity(c.get(), options));
  return std::shared_ptr<const TlsClientContext>(
      new TlsClientContext(std::move(c), options.server_name));
}

ssl_st* TlsClientContext::new_session(const std::string& host, TlsPeer& peer) const {
  std::unique_ptr<SSL, void (*)(SSL*)> ssl(SSL_new(context_.get()), SSL_free);
  if (!ssl) return nullptr;
  peer.name = server_name_.empty() ? host : server_name_;
  SSL_set_app_data(ssl.get(), &peer);
  boost::system::error_code not_literal;
  boost::asio::ip::make_address(peer.name, not_literal);
  if (!not_literal) {  // RFC 6066 section 3: an address is no server name
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl.get()), peer.name.c_str()) != 1)
      return nullptr;
    return ssl.release();
  }
  SSL_set_hostflags(ssl.get(),
                    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  if (SSL_set1_host(ssl.get(), peer.name.c_str()) != 1) return nullptr;
  // The macro of SSL_set_tlsext_host_name casts in the style of C.
  std::string name = peer.name;
  if (SSL_ctrl(ssl.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name.data()) !=
      1)
    return nullptr;
  return ssl.release();
}

}  // namespace weir::http
