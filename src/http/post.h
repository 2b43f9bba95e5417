// One POST, one answer, one connection: for a caller that may block, such as an exporter's thread.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/message.h"

namespace weir::http {

struct Endpoint {
  std::string host;
  std::string port;
  std::string prefix;  // of the path, without a '/' at its end
};

// "http://host[:port][/prefix]"; [::1] for an IPv6 address; without a port: default_port. Errors:
// kUsage, for https too, which is not spoken here.
Result<Endpoint> parse_endpoint(std::string_view url, std::string_view default_port);

// Sends `body` as application/json to prefix + path and reads the whole answer, of 64 KiB at most.
// Errors: kIo with the reason, a timeout included. `fields` are added as they are.
Result<Response> post_json(const Endpoint& to, std::string_view path, std::string_view body,
                           const Headers& fields, std::chrono::milliseconds timeout);

}  // namespace weir::http
