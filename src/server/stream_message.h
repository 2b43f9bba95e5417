// The messages of the WebSocket /v1/stream: the same request bodies as over HTTP, with an optional
// "type" that names the route, or {"type":"cancel"}.
#pragma once

#include <string_view>

#include "base/result.h"
#include "http/message.h"

namespace weir::server {

// Whether a message withdraws the running request. Cheap: looks only at short ones.
bool is_cancel_message(std::string_view message);

// Turns the message in request.body into the request of its route: "chat.completions" or
// "completions" by type, or by whether it has messages or a prompt; streams unless it says
// "stream": false. Errors: kInvalidJson, kInvalidValue.
Status route_message(http::Request& request);

// The answer to GET /v1/stream without a handshake.
http::Response upgrade_required(std::string_view request_id);

}  // namespace weir::server
