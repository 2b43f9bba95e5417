// The token that clients of weir mcp --http present: "Authorization: Bearer TOKEN".
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "http/message.h"

namespace weir::mcp {

// From 16 to 512 visible ASCII characters. Error kUsage: what is wrong with `where`, without the
// token, and a command that makes one.
Status check_token(std::string_view token, std::string_view where);

// The first line of a file that its owner alone may read. Errors: those of os::read_file and of
// check_token; kPermissionDenied naming the mode.
Result<std::string> read_token_file(const std::string& path);

// Whether the request presents `token`; the time depends on the lengths alone.
bool presents_token(const http::Headers& headers, std::string_view token);

}  // namespace weir::mcp
