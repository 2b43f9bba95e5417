// The protocol over HTTP: POST /mcp, a message a request, the answer as JSON or as a stream of
// events. Sessions (initialize, Mcp-Session-Id, DELETE) are for clients of 2025-11-25 and before.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "http/message.h"
#include "http/response_writer.h"
#include "mcp/calls.h"
#include "mcp/protocol.h"

namespace weir::mcp {

struct EndpointOptions {
  size_t calls_at_once = 4;
  size_t max_sessions = 64;                // beyond, the one that was idle longest ends
  std::vector<std::string> allow_origins;  // beside those of this machine
  std::string token;                       // that every request must present; "": none
  std::function<uint64_t()> random;        // from outside randomness: names sessions
};

// handle() on one thread, that of the server. Destroy it before the server, which its calls'
// threads answer to.
class HttpEndpoint {
 public:
  HttpEndpoint(const Protocol& protocol, RunCall run, EndpointOptions options);

  void handle(const http::Request& request, http::ResponseWriter writer);

 private:
  struct Session {
    LegacySession state;
    uint64_t used = 0;
  };
  void post(const http::Request& request, http::ResponseWriter writer);
  std::optional<http::Response> refuse(const http::Request& request) const;
  void deliver(const http::Request& request, http::ResponseWriter writer, Outcome outcome,
               const std::string& session);
  void call(http::ResponseWriter writer, ToolCall call, const std::string& session);
  void listen(http::ResponseWriter writer, const Listen& listen);
  std::string begin(const LegacySession& state);
  bool origin_allowed(const http::Request& request) const;
  void answer(const http::Request& request, http::ResponseWriter writer);

  const Protocol& protocol_;
  EndpointOptions options_;
  std::map<std::string, Session> sessions_;
  uint64_t clock_ = 0;  // counts requests
  Calls calls_;
};

// What of the headers does not fit a modern message, or "". Mcp-Name may be in base64.
std::string header_mismatch(const http::Headers& headers, const RpcMessage& message);

}  // namespace weir::mcp
