// Absolute URLs of upstreams: "http://host:port/path", "https://host/path".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::http {

struct Url {
  std::string host;  // without the brackets of an IPv6 address
  uint16_t port = 80;
  std::string path;  // as given, without a '/' at its end: "" or "/base"
  bool tls = false;

  // "host:port", an IPv6 address in brackets: the value of a Host header. Port 443 of TLS is left
  // out.
  std::string authority() const;
  friend bool operator==(const Url&, const Url&) = default;
};

// Error: kUsage with what is wrong and a URL that would be right. https is refused: for those who
// have no TlsClientContext. User names, queries and fragments are refused.
Result<Url> parse_url(std::string_view text);
// https too, whose port is 443 unless it says another.
Result<Url> parse_http_or_https_url(std::string_view text);

// Whether the host names this machine for sure: 127.0.0.0/8, ::1, localhost. No look-up.
bool is_loopback(std::string_view host);

}  // namespace weir::http
