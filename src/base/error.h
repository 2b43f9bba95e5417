// Error values. Every failure that outside input can cause travels as an Error inside a Result; the
// HTTP status, OpenAI type and retry advice of a code live in one table (api/error_table.h), exit
// codes in cli/.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

namespace weir {

enum class ErrorCode {
  // Files, models, machine.
  kIo,           // the operating system refused: path and reason in the message
  kNotFound,     // no such file
  kCorrupt,      // bytes that break the format: key or offset in the message
  kUnsupported,  // well formed, but weir does not know it: the known ones in the message
  kLimit,        // a named bound was passed
  kOutOfMemory,  // would not fit: arithmetic in the message
  kUsage,        // a wrong argument on the command line
  // Requests; the names are the `code` of an error body.
  kInvalidJson,
  kInvalidValue,
  kUnknownParameter,
  kContextLengthExceeded,
  kMaxInputTokensExceeded,
  kMaxOutputTokensExceeded,
  kSchemaTooComplex,
  kUnsupportedSchema,
  kInvalidApiKey,
  kPermissionDenied,
  kModelNotFound,
  kRouteNotFound,
  kMethodNotAllowed,
  kRequestTimeout,
  kBodyTooLarge,
  kHeadersTooLarge,
  kTargetTooLong,
  kUnsupportedMediaType,
  kBadRequest,
  kRateLimitExceeded,
  kServerOverloaded,
  kInternal,
  kCancelled,  // the client went away or asked for it
};

// The snake_case name of a code, e.g. "context_length_exceeded".
std::string_view error_code_name(ErrorCode code);

// A failure: what, where, which bound, and what to do about it, in one sentence fit for the user.
struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;
  std::string param;           // request field path ("messages[0].role"), or empty
  double retry_after_s = 0.0;  // > 0: when a retry would be accepted
  std::string bound = {};      // of kServerOverloaded: the name of the bound that was passed

  // The same error with "context: " in front of its message.
  [[nodiscard]] Error with_context(std::string_view context) const {
    Error e = *this;
    e.message = fmt::format("{}: {}", context, message);
    return e;
  }
};

// make_error(kCorrupt, "key {} at offset {}", k, o)
template <typename... Args>
[[nodiscard]] Error make_error(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  return Error{code, fmt::format(format, std::forward<Args>(args)...), {}, 0.0};
}

// As make_error, for a request field: param is its path.
template <typename... Args>
[[nodiscard]] Error param_error(ErrorCode code, std::string_view param,
                                fmt::format_string<Args...> format, Args&&... args) {
  return Error{code, fmt::format(format, std::forward<Args>(args)...), std::string(param), 0.0};
}

}  // namespace weir
