// HTTP responses out of errors.
#pragma once

#include <string_view>

#include "base/error.h"
#include "base/result.h"
#include "http/message.h"

namespace weir::api {

// The error's row of the table as a response, with Retry-After and x-should-retry where a retry
// makes sense.
http::Response error_response(const Error& error, std::string_view request_id);

// The same for what http/ and its router refuse, with the status that they give it.
http::Response render_http_error(int status, const Error& error, std::string_view path);

// Whether a body may be read as JSON: a missing content type counts as that, minimal clients leave
// it out; a browser's form or plain text, which needs no leave of the page's server, does not.
// Error kUnsupportedMediaType.
Status check_json(const http::Headers& headers);

}  // namespace weir::api
