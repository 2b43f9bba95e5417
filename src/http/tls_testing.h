// Certificates made on the spot. Tests only.
#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <memory>
#include <string>

namespace weir::http {

struct Identity {
  std::shared_ptr<EVP_PKEY> key;
  std::shared_ptr<X509> certificate;
};

inline void add_extension(X509* certificate, int kind, const char* value) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, kind, value);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

// Valid from `begin_s` to `end_s` from now on; signed by issuer, or by itself. for_names: its
// subject alternative names as OpenSSL writes them, "DNS:a.example,IP:127.0.0.1"; empty: none.
inline Identity make_identity(const std::string& name, long begin_s, long end_s,
                              const Identity* issuer = nullptr, const std::string& for_names = {}) {
  Identity id;
  id.key.reset(EVP_EC_gen("P-256"), EVP_PKEY_free);
  id.certificate.reset(X509_new(), X509_free);
  X509* c = id.certificate.get();
  X509_set_version(c, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(c), 1);
  X509_gmtime_adj(X509_getm_notBefore(c), begin_s);
  X509_gmtime_adj(X509_getm_notAfter(c), end_s);
  X509_set_pubkey(c, id.key.get());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509_set_issuer_name(c, X509_get_subject_name(issuer ? issuer->certificate.get() : c));
  if (issuer == nullptr) {  // an authority has to say that it is one
    add_extension(c, NID_basic_constraints, "critical,CA:TRUE");
  }
  if (!for_names.empty()) add_extension(c, NID_subject_alt_name, for_names.c_str());
  X509_sign(c, (issuer ? issuer->key : id.key).get(), EVP_sha256());
  return id;
}

inline void write_identity(const Identity& id, const std::string& certificate_path,
                           const std::string& key_path) {
  std::FILE* f = std::fopen(certificate_path.c_str(), "w");
  PEM_write_X509(f, id.certificate.get());
  std::fclose(f);
  f = std::fopen(key_path.c_str(), "w");
  PEM_write_PrivateKey(f, id.key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  std::fclose(f);
}

}  // namespace weir::http
