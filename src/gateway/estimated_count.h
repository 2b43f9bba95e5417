// What a client that asks for the tokens of a prompt is told where no upstream can count them.
#pragma once

#include <string_view>

#include "base/result.h"
#include "gateway/translate/count_tokens.h"
#include "http/message.h"

namespace weir::gateway {

// body: of POST /v1/messages/count_tokens. The answer says in its head that it is an estimate.
// Errors: those of estimate_input_tokens. Pure; any thread.
inline Result<http::Response> estimated_count(std::string_view body) {
  WEIR_ASSIGN(const int64_t tokens, estimate_input_tokens(body, {}));
  http::Response r = http::json_response(200, count_tokens_body(tokens));
  r.headers.set("x-weir-estimated", "input_tokens");
  return r;
}

}  // namespace weir::gateway
