// The head of one answer over TLS, one connection: for a caller that may block, such as a check of
// addresses. The body is not read.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/message.h"

namespace weir::http {

struct HttpsUrl {
  std::string host;  // without the brackets of an IPv6 address
  std::string port = "443";
  std::string target = "/";  // path and query

  std::string authority() const;  // as a Host header has it
};

// "https://host[:port][/path][?query]"; a fragment is dropped. Errors: kUsage with what is wrong.
Result<HttpsUrl> parse_https_url(std::string_view text);
// Where `location`, of an answer from `from`, leads: absolute, "//host/path" or "/path". The same
// errors.
Result<std::string> resolve_location(const HttpsUrl& from, std::string_view location);

// Whom to trust: certificates and rules of TLS (1.2 and 1.3). Immutable; any thread.
class HttpsTrust {
 public:
  // The system's authorities; or, where ca_file is not empty, those of that PEM file alone. Error:
  // kIo or kCorrupt naming the file.
  static Result<HttpsTrust> load(const std::string& ca_file);

  struct Impl;
  const Impl& impl() const { return *impl_; }

 private:
  explicit HttpsTrust(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;  // shared: copies for other threads
};

// method: "HEAD" or "GET". Status and fields, without body, of whatever status. Errors: kIo where
// the host is not found, cannot be reached, closes or takes longer than `timeout` in all; kCorrupt
// where TLS or the answer is wrong.
Result<Response> https_head(const HttpsUrl& url, std::string_view method, const HttpsTrust& trust,
                            std::chrono::milliseconds timeout);

}  // namespace weir::http
