// Absolute URLs of upstreams: "http://host:port/path".
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

  // "host:port", an IPv6 address in brackets: the value of a Host header.
  std::string authority() const;
};

// Error: kUsage with what is wrong and a URL that would be right. https is refused: the client has
// no TLS. User names, queries and fragments are refused.
Result<Url> parse_url(std::string_view text);

// Whether the host names this machine for sure: 127.0.0.0/8, ::1, localhost. No look-up.
bool is_loopback(std::string_view host);

}  // namespace weir::http
