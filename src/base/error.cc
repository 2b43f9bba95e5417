#include "base/error.h"

namespace weir {

std::string_view error_code_name(ErrorCode code) {
  switch (code) {
    case ErrorCode::kIo:
      return "io_error";
    case ErrorCode::kNotFound:
      return "file_not_found";
    case ErrorCode::kCorrupt:
      return "corrupt_file";
    case ErrorCode::kUnsupported:
      return "unsupported";
    case ErrorCode::kLimit:
      return "limit_exceeded";
    case ErrorCode::kOutOfMemory:
      return "out_of_memory";
    case ErrorCode::kUsage:
      return "usage";
    case ErrorCode::kInvalidJson:
      return "invalid_json";
    case ErrorCode::kInvalidValue:
      return "invalid_value";
    case ErrorCode::kUnknownParameter:
      return "unknown_parameter";
    case ErrorCode::kContextLengthExceeded:
      return "context_length_exceeded";
    case ErrorCode::kMaxInputTokensExceeded:
      return "max_input_tokens_exceeded";
    case ErrorCode::kMaxOutputTokensExceeded:
      return "max_output_tokens_exceeded";
    case ErrorCode::kSchemaTooComplex:
      return "schema_too_complex";
    case ErrorCode::kUnsupportedSchema:
      return "unsupported_schema";
    case ErrorCode::kInvalidApiKey:
      return "invalid_api_key";
    case ErrorCode::kPermissionDenied:
      return "permission_denied";
    case ErrorCode::kModelNotFound:
      return "model_not_found";
    case ErrorCode::kRouteNotFound:
      return "not_found";
    case ErrorCode::kMethodNotAllowed:
      return "method_not_allowed";
    case ErrorCode::kRequestTimeout:
      return "request_timeout";
    case ErrorCode::kBodyTooLarge:
      return "body_too_large";
    case ErrorCode::kHeadersTooLarge:
      return "headers_too_large";
    case ErrorCode::kTargetTooLong:
      return "target_too_long";
    case ErrorCode::kUnsupportedMediaType:
      return "unsupported_media_type";
    case ErrorCode::kBadRequest:
      return "bad_request";
    case ErrorCode::kRateLimitExceeded:
      return "rate_limit_exceeded";
    case ErrorCode::kServerOverloaded:
      return "server_overloaded";
    case ErrorCode::kInternal:
      return "internal_error";
    case ErrorCode::kCancelled:
      return "cancelled";
  }
  return "internal_error";
}

}  // namespace weir
