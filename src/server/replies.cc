#include "server/replies.h"

#include <algorithm>
#include <cmath>

#include "api/error_table.h"

namespace weir::server {

http::Response error_response(const Error& error, std::string_view request_id) {
  const api::ErrorRow& row = api::error_row(error.code);
  http::Response r = http::json_response(row.status, api::render_error(error, request_id));
  if (row.code == ErrorCode::kServerOverloaded || row.code == ErrorCode::kRateLimitExceeded) {
    r.headers.set("Retry-After", std::to_string(std::max<int64_t>(
                                     1, std::lround(std::ceil(error.retry_after_s)))));
    r.headers.set("x-should-retry", "true");
  }
  if (row.code == ErrorCode::kInvalidApiKey) r.headers.set("WWW-Authenticate", "Bearer");
  return r;
}

bool constant_time_equal(std::string_view a, std::string_view b) {
  unsigned difference = a.size() == b.size() ? 0 : 1;
  for (size_t i = 0; i < a.size(); ++i) {
    const char other = b.empty() ? '\0' : b[i % b.size()];
    difference |=
        static_cast<unsigned>(static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(other));
  }
  return difference == 0;
}

bool has_valid_key(const http::Headers& headers, const std::vector<std::string>& keys) {
  constexpr std::string_view kScheme = "bearer ";
  const std::string_view value = headers.find("authorization").value_or("");
  if (value.size() <= kScheme.size() || !http::iequals(value.substr(0, kScheme.size()), kScheme))
    return false;
  const std::string_view given = value.substr(kScheme.size());
  bool found = false;
  for (const std::string& key : keys) found |= constant_time_equal(given, key);
  return found;
}

bool is_loopback(std::string_view host) {
  return host == "localhost" || host == "::1" || host == "[::1]" || host.starts_with("127.");
}

}  // namespace weir::server
