#include "server/stream_message.h"

#include <algorithm>
#include <string>

#include "api/replies.h"
#include "text/json.h"
#include "text/utf8.h"

namespace weir::server {
namespace {

using text::Json;

// {"type":"cancel"} with room for spaces and for members that clients add.
constexpr size_t kMaxCancelBytes = 256;

Result<std::string> route_of(const Json& body) {
  const Json* type = body.find("type");
  if (type == nullptr) {
    if (body.find("messages") != nullptr) return std::string("/v1/chat/completions");
    if (body.find("prompt") != nullptr) return std::string("/v1/completions");
    return param_error(ErrorCode::kInvalidValue, "type",
                       "the message has no type, no messages and no prompt");
  }
  const std::string_view name = type->is_string() ? std::string_view(type->as_string()) : "";
  if (name == "chat.completions") return std::string("/v1/chat/completions");
  if (name == "completions") return std::string("/v1/completions");
  return param_error(ErrorCode::kInvalidValue, "type",
                     "type is {}; it must be \"chat.completions\", \"completions\" or \"cancel\"",
                     text::json_quote(text::cut_utf8(name, 40)));
}

}  // namespace

bool is_cancel_message(std::string_view message) {
  if (message.size() > kMaxCancelBytes) return false;
  const auto body = Json::parse(message);
  if (!body.ok() || !body->is_object()) return false;
  const Json* type = body->find("type");
  return type != nullptr && type->is_string() && type->as_string() == "cancel";
}

Status route_message(http::Request& request) {
  WEIR_ASSIGN(Json body, Json::parse(request.body));
  if (!body.is_object())
    return make_error(ErrorCode::kInvalidValue, "a message must be a JSON object");
  WEIR_ASSIGN(request.path, route_of(body));
  request.target = request.path;
  std::erase_if(body.members(), [](const Json::Member& m) { return m.first == "type"; });
  if (body.find("stream") == nullptr) body.set("stream", true);
  request.body = body.dump();
  return {};
}

http::Response upgrade_required(std::string_view request_id) {
  http::Response r = api::error_response(
      make_error(ErrorCode::kBadRequest,
                 "this route is a WebSocket: ask with Upgrade: websocket (RFC 6455)"),
      request_id);
  r.status = 426;
  r.headers.set("upgrade", "websocket");
  r.headers.set("sec-websocket-version", "13");
  return r;
}

}  // namespace weir::server
