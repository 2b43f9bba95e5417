// HTTP responses out of errors, and what an address means.
#pragma once

#include <string_view>

#include "base/error.h"
#include "http/message.h"

namespace weir::server {

// The error's row of the table as a response, with Retry-After and x-should-retry where a retry
// makes sense.
http::Response error_response(const Error& error, std::string_view request_id);

// Whether only this machine can reach an address: 127.0.0.0/8, ::1 or localhost.
bool is_loopback(std::string_view host);

}  // namespace weir::server
