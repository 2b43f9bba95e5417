#include "api/replies.h"

#include <algorithm>
#include <cmath>

#include "api/error_table.h"
#include "text/json.h"

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

Status check_json(const http::Headers& headers) {
  const std::string_view encoding = headers.find("content-encoding").value_or("identity");
  if (!http::iequals(encoding, "identity")) {
    return make_error(ErrorCode::kUnsupportedMediaType,
                      "the body is encoded ({}); send it without Content-Encoding",
                      text::json_quote(encoding.substr(0, 80)));
  }
  const std::string_view type = headers.find("content-type").value_or("application/json");
  const std::string_view media = type.substr(0, type.find(';'));
  if (http::iequals(media.substr(0, media.find_last_not_of(' ') + 1), "application/json"))
    return {};
  return make_error(ErrorCode::kUnsupportedMediaType,
                    "the content type is {}; send the header Content-Type: application/json",
                    text::json_quote(media.substr(0, 80)));
}

}  // namespace weir::api
