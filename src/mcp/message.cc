#include "mcp/message.h"

#include <fmt/format.h>

namespace weir::mcp {
namespace {

using text::Json;

bool is_id(const Json& id) { return id.is_string() || id.is_int(); }

RpcRead refuse(const Json& id, int code, std::string_view what) {
  return {std::nullopt, error_reply(id, code, what)};
}

Json envelope(const Json& id) {
  Json j = Json::object();
  j.set("jsonrpc", "2.0");
  j.set("id", id);
  return j;
}

}  // namespace

const Json* RpcMessage::meta(std::string_view key) const {
  const Json* meta = params.find("_meta");
  return meta == nullptr ? nullptr : meta->find(key);
}

RpcRead read_message(std::string_view bytes) {
  if (bytes.size() > kMaxMessageBytes)
    return refuse(nullptr, kInvalidRequest,
                  fmt::format("{} bytes; a message may have {}", bytes.size(), kMaxMessageBytes));
  text::JsonLimits limits;
  limits.max_values = 200'000;
  auto parsed = Json::parse(bytes, limits);
  if (!parsed.ok()) return refuse(nullptr, kParseError, parsed.error().message);
  Json& j = *parsed;
  if (j.is_array())
    return refuse(nullptr, kInvalidRequest,
                  "batches are no part of the protocol since 2025-06-18; send each by itself");
  const Json* id = j.find("id");
  const Json readable = id != nullptr && is_id(*id) ? *id : Json();
  const Json* version = j.find("jsonrpc");
  if (!j.is_object() || version == nullptr || !version->is_string() ||
      version->as_string() != "2.0")
    return refuse(readable, kInvalidRequest, "not an object with \"jsonrpc\": \"2.0\"");
  if (id != nullptr && readable.is_null())
    return refuse(nullptr, kInvalidRequest, "id must be a string or an integer");
  RpcMessage out;
  const Json* method = j.find("method");
  if (method == nullptr && id != nullptr && (j.find("result") || j.find("error"))) {
    out.kind = RpcMessage::Kind::kResponse;
    return {std::move(out), ""};
  }
  if (method == nullptr || !method->is_string())
    return refuse(readable, kInvalidRequest, "method must be a string");
  if (Json* params = j.find("params"); params != nullptr) {
    if (!params->is_object()) return refuse(readable, kInvalidParams, "params must be an object");
    out.params = std::move(*params);
  }
  if (const Json* meta = out.params.find("_meta"); meta != nullptr && !meta->is_object())
    return refuse(readable, kInvalidParams, "params._meta must be an object");
  out.kind = id == nullptr ? RpcMessage::Kind::kNotification : RpcMessage::Kind::kRequest;
  out.id = readable;
  out.method = method->as_string();
  return {std::move(out), ""};
}

std::string error_reply(const Json& id, int code, std::string_view what, Json data) {
  Json error = Json::object();
  error.set("code", code);
  error.set("message", what);
  if (!data.is_null()) error.set("data", std::move(data));
  Json j = envelope(id);
  j.set("error", std::move(error));
  return j.dump();
}

std::string result_reply(const Json& id, Json result) {
  Json j = envelope(id);
  j.set("result", std::move(result));
  return j.dump();
}

std::string notification(std::string_view method, Json params) {
  Json j = Json::object();
  j.set("jsonrpc", "2.0");
  j.set("method", method);
  j.set("params", std::move(params));
  return j.dump();
}

}  // namespace weir::mcp
