#include "api/error_table.h"

#include <array>

#include "text/json.h"
#include "text/utf8.h"

namespace weir::api {
namespace {

constexpr std::string_view kInvalidRequest = "invalid_request_error";

constexpr std::array kRows{
    ErrorRow{ErrorCode::kInternal, 500, "server_error", "internal_error", "api_error", true},
    ErrorRow{ErrorCode::kInvalidJson, 400, kInvalidRequest, "invalid_json", kInvalidRequest, false},
    ErrorRow{ErrorCode::kInvalidValue, 400, kInvalidRequest, "invalid_value", kInvalidRequest,
             false},
    ErrorRow{ErrorCode::kUnknownParameter, 400, kInvalidRequest, "unknown_parameter",
             kInvalidRequest, false},
    ErrorRow{ErrorCode::kContextLengthExceeded, 400, kInvalidRequest, "context_length_exceeded",
             kInvalidRequest, false},
    ErrorRow{ErrorCode::kMaxInputTokensExceeded, 400, kInvalidRequest, "max_input_tokens_exceeded",
             kInvalidRequest, false},
    ErrorRow{ErrorCode::kMaxOutputTokensExceeded, 400, kInvalidRequest,
             "max_output_tokens_exceeded", kInvalidRequest, false},
    ErrorRow{ErrorCode::kSchemaTooComplex, 400, kInvalidRequest, "schema_too_complex",
             kInvalidRequest, false},
    ErrorRow{ErrorCode::kUnsupportedSchema, 400, kInvalidRequest, "unsupported_schema",
             kInvalidRequest, false},
    ErrorRow{ErrorCode::kBadRequest, 400, kInvalidRequest, "bad_request", kInvalidRequest, false},
    ErrorRow{ErrorCode::kInvalidApiKey, 401, "authentication_error", "invalid_api_key",
             "authentication_error", false},
    ErrorRow{ErrorCode::kPermissionDenied, 403, "permission_error", "permission_denied",
             "permission_error", false},
    ErrorRow{ErrorCode::kModelNotFound, 404, "not_found_error", "model_not_found",
             "not_found_error", false},
    ErrorRow{ErrorCode::kRouteNotFound, 404, "not_found_error", "not_found", "not_found_error",
             false},
    ErrorRow{ErrorCode::kMethodNotAllowed, 405, kInvalidRequest, "method_not_allowed",
             kInvalidRequest, false},
    ErrorRow{ErrorCode::kRequestTimeout, 408, kInvalidRequest, "request_timeout", "timeout_error",
             true},
    ErrorRow{ErrorCode::kBodyTooLarge, 413, kInvalidRequest, "body_too_large", "request_too_large",
             false},
    ErrorRow{ErrorCode::kTargetTooLong, 414, kInvalidRequest, "target_too_long", kInvalidRequest,
             false},
    ErrorRow{ErrorCode::kUnsupportedMediaType, 415, kInvalidRequest, "unsupported_media_type",
             kInvalidRequest, false},
    ErrorRow{ErrorCode::kHeadersTooLarge, 431, kInvalidRequest, "headers_too_large",
             kInvalidRequest, false},
    ErrorRow{ErrorCode::kRateLimitExceeded, 429, "rate_limit_error", "rate_limit_exceeded",
             "rate_limit_error", true},
    ErrorRow{ErrorCode::kServerOverloaded, 503, "server_error", "server_overloaded",
             "overloaded_error", true},
};

}  // namespace

const ErrorRow& error_row(ErrorCode code) {
  for (const ErrorRow& row : kRows) {
    if (row.code == code) return row;
  }
  return kRows[0];
}

std::string render_error(const Error& error, std::string_view request_id) {
  const ErrorRow& row = error_row(error.code);
  std::string message = error.message;
  if (row.code == ErrorCode::kInternal) {
    message = "the server failed to answer this request";
    if (!request_id.empty()) message += fmt::format("; its id is {}", request_id);
  }
  text::Json e = text::Json::object();
  // A message may quote a header field, which can hold any bytes; a body is UTF-8.
  e.set("message", text::replace_invalid_utf8(message));
  e.set("type", row.openai_type);
  e.set("param", error.param.empty() ? text::Json() : text::Json(error.param));
  e.set("code", row.openai_code);
  text::Json root = text::Json::object();
  root.set("error", std::move(e));
  return root.dump();
}

}  // namespace weir::api
