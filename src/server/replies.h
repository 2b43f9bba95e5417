// HTTP responses out of errors, and who may ask.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "http/message.h"

namespace weir::server {

// The error's row of the table as a response, with Retry-After and x-should-retry where a retry
// makes sense.
http::Response error_response(const Error& error, std::string_view request_id);

// Whether the request carries one of the keys as a bearer token. Every key is compared in full,
// whatever matches first.
bool has_valid_key(const http::Headers& headers, const std::vector<std::string>& keys);

// Equal strings; time depends on the lengths alone.
bool constant_time_equal(std::string_view a, std::string_view b);

// Whether only this machine can reach an address: 127.0.0.0/8, ::1 or localhost.
bool is_loopback(std::string_view host);

}  // namespace weir::server
