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

bool is_loopback(std::string_view host) {
  if (host == "localhost" || host == "::1" || host == "[::1]") return true;
  // Not a name that only begins so.
  return host.starts_with("127.") &&
         host.find_first_not_of("0123456789.") == std::string_view::npos;
}

}  // namespace weir::server
