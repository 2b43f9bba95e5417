// Header values as the protocol's clients write what is no plain ASCII: =?base64?...?=
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace weir::mcp {

// RFC 4648 with padding; nullopt for anything else.
std::optional<std::string> decode_base64(std::string_view text);

// The value itself, or what its base64 holds; of a broken one nullopt.
std::optional<std::string> decode_header(std::string_view value);

}  // namespace weir::mcp
