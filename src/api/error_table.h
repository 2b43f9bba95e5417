// The one table from error codes to what protocols say: HTTP status, OpenAI type and code,
// Anthropic type, retry advice.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace weir::api {

struct ErrorRow {
  ErrorCode code = ErrorCode::kInternal;
  int status = 500;
  std::string_view openai_type;
  std::string_view openai_code;
  std::string_view anthropic_type;
  bool retryable = false;
};

// Every code has a row; codes of files and machines, which no client caused, are internal errors.
const ErrorRow& error_row(ErrorCode code);

// {"error":{"message","type","param","code"}}. An internal error's message is replaced: it may hold
// a path or an address; the request id, when given, lets the operator find it in the log.
std::string render_error(const Error& error, std::string_view request_id = "");

}  // namespace weir::api
