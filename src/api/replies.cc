#include "api/replies.h"

#include <algorithm>
#include <cmath>

#include "api/error_table.h"

namespace weir::api {

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

http::Response render_http_error(int status, const Error& error, std::string_view /*path*/) {
  http::Response r = error_response(error, "");
  r.status = status;
  return r;
}

}  // namespace weir::api
