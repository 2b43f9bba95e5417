// One JSON-RPC 2.0 message of the Model Context Protocol, read and written. The bytes may be
// hostile: size, depth and number of values are bounded.
//
// https://modelcontextprotocol.io/specification/2026-07-28/basic
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "text/json.h"

namespace weir::mcp {

// Errors of JSON-RPC, and those of the protocol.
inline constexpr int kParseError = -32700;
inline constexpr int kInvalidRequest = -32600;
inline constexpr int kMethodNotFound = -32601;
inline constexpr int kInvalidParams = -32602;
inline constexpr int kInternalError = -32603;
inline constexpr int kLegacyResourceNotFound = -32002;  // until 2025-11-25
inline constexpr int kHeaderMismatch = -32020;
inline constexpr int kUnsupportedVersion = -32022;

inline constexpr size_t kMaxMessageBytes = 4U << 20U;

struct RpcMessage {
  enum class Kind : uint8_t { kRequest, kNotification, kResponse } kind = Kind::kRequest;
  text::Json id;  // of a request: a string or an integer
  std::string method;
  text::Json params;  // an object or null
  // Of params._meta, where the client says one: the protocol's version of this very request.
  const text::Json* meta(std::string_view key) const;
};

struct RpcRead {
  std::optional<RpcMessage> message;
  std::string error;  // the reply to what is no message
};

RpcRead read_message(std::string_view bytes);

// {"jsonrpc":"2.0","id":ID,"error":{...}}, with "id": null where it could not be read
// (JSON-RPC 2.0, section 5); one line, as all of these.
std::string error_reply(const text::Json& id, int code, std::string_view what,
                        text::Json data = nullptr);
std::string result_reply(const text::Json& id, text::Json result);
std::string notification(std::string_view method, text::Json params);

}  // namespace weir::mcp
