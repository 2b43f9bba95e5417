#include "mcp/http_endpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "http/sse.h"
#include "mcp/base64.h"
#include "mcp/token.h"

namespace weir::mcp {
namespace {

using http::Request;
using http::Response;
using http::ResponseWriter;

constexpr std::string_view kSessionField = "Mcp-Session-Id";
constexpr std::string_view kVersionField = "MCP-Protocol-Version";
constexpr std::string_view kRequestFields =
    "Authorization, Content-Type, Accept, MCP-Protocol-Version, Mcp-Method, Mcp-Name, "
    "Mcp-Session-Id";
constexpr std::chrono::milliseconds kKeepAlive{15'000};

Response refusal(int status, int code, std::string_view what) {
  return http::json_response(status, error_reply(nullptr, code, what));
}

Response empty(int status) { return {status, {}, ""}; }

// Whether an Accept field takes the type; none takes all.
bool accepts(const http::Headers& headers, std::string_view type) {
  if (!headers.contains("Accept")) return true;
  const std::string group = std::string(type.substr(0, type.find('/'))) + "/*";
  for (const auto& field : headers.all()) {
    if (!http::iequals(field.name, "Accept")) continue;
    for (const std::string_view one : {type, std::string_view(group), std::string_view("*/*")}) {
      if (field.value.find(one) != std::string::npos) return true;
    }
  }
  return false;
}

// "http://localhost:3000" and the like: a page of this machine.
bool is_local_origin(std::string_view origin) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!origin.starts_with(scheme)) continue;
    std::string_view host = origin.substr(scheme.size());
    const size_t port = host.find(':', host.starts_with("[") ? host.find(']') : 0);
    if (port != std::string_view::npos) {
      const std::string_view digits = host.substr(port + 1);
      if (digits.find_first_not_of("0123456789") != std::string_view::npos) return false;
      host = host.substr(0, port);
    }
    return host == "localhost" || host == "127.0.0.1" || host == "[::1]";
  }
  return false;
}

// What a page of another origin may read of the answer.
http::Headers shared_with(std::string_view origin) {
  return {{"Access-Control-Allow-Origin", std::string(origin)},
          {"Access-Control-Expose-Headers", std::string(kSessionField)},
          {"Vary", "Origin"}};
}

// What Mcp-Name says of the body, or nullptr where it says nothing.
const std::string* named(const RpcMessage& m) {
  const char* key = nullptr;
  if (m.method == "tools/call" || m.method == "prompts/get") key = "name";
  if (m.method == "resources/read") key = "uri";
  if (key == nullptr) return nullptr;
  const text::Json* value = m.params.find(key);
  return value != nullptr && value->is_string() ? &value->as_string() : nullptr;
}

http::Headers stream_headers() {
  return {{"Content-Type", std::string(http::kSseContentType)},
          {"Cache-Control", "no-cache"},
          {"X-Accel-Buffering", "no"}};
}

}  // namespace

std::string header_mismatch(const http::Headers& headers, const RpcMessage& m) {
  const text::Json* version = m.meta(kVersionKey);
  const auto said = headers.find(kVersionField);
  if (!said) return fmt::format("the header {} is missing", kVersionField);
  if (version != nullptr && version->is_string() && *said != version->as_string())
    return fmt::format("the header {} is {}, the body says {}", kVersionField, *said,
                       version->as_string());
  const auto method = headers.find("Mcp-Method");
  if (!method) return "the header Mcp-Method is missing";
  if (*method != m.method)
    return fmt::format("the header Mcp-Method is {}, the body says {}", *method, m.method);
  const std::string* name = named(m);
  if (name == nullptr) return "";
  const auto header = headers.find("Mcp-Name");
  if (!header) return "the header Mcp-Name is missing";
  if (decode_header(*header) != *name)
    return fmt::format("the header Mcp-Name is {}, the body says {}", *header, *name);
  return "";
}

HttpEndpoint::HttpEndpoint(const Protocol& protocol, RunCall run, EndpointOptions options)
    : protocol_(protocol),
      options_(std::move(options)),
      calls_(std::move(run), options_.calls_at_once) {}

bool HttpEndpoint::origin_allowed(const Request& request) const {
  const auto origin = request.headers.find("Origin");
  return !origin || is_local_origin(*origin) ||
         std::find(options_.allow_origins.begin(), options_.allow_origins.end(), *origin) !=
             options_.allow_origins.end();
}

void HttpEndpoint::handle(const Request& request, ResponseWriter writer) {
  ++clock_;
  const auto origin = request.headers.find("Origin");
  if (!origin_allowed(request)) {
    writer.send(refusal(403, kInvalidRequest, "this Origin is not allowed; see --allow-origin"));
    return;
  }
  if (origin) writer.set_headers(shared_with(*origin));
  if (request.path != "/mcp") {
    writer.send(refusal(404, kInvalidRequest, "the endpoint is /mcp"));
  } else if (request.method == "OPTIONS" && origin) {  // a browser asks first, without the token
    Response response = empty(204);
    response.headers.set("Access-Control-Allow-Methods", "POST, DELETE");
    response.headers.set("Access-Control-Allow-Headers", std::string(kRequestFields));
    response.headers.set("Access-Control-Max-Age", "600");
    writer.send(std::move(response));
  } else if (!options_.token.empty() && !presents_token(request.headers, options_.token)) {
    Response response = refusal(401, kInvalidRequest,
                                "a token is needed: Authorization: Bearer TOKEN, the one of weir "
                                "mcp --token-file or WEIR_MCP_TOKEN");
    response.headers.set("WWW-Authenticate", "Bearer realm=\"weir mcp\"");
    writer.send(std::move(response));
  } else {
    answer(request, std::move(writer));
  }
}

void HttpEndpoint::answer(const Request& request, ResponseWriter writer) {
  if (request.method == "POST") {
    post(request, std::move(writer));
  } else if (request.method == "DELETE" && request.headers.contains(kSessionField)) {
    const auto id = request.headers.find(kSessionField);
    writer.send(empty(sessions_.erase(std::string(*id)) > 0 ? 204 : 404));
  } else {  // no stream beside those of requests
    Response response = refusal(405, kInvalidRequest, "POST a message");
    response.headers.set("Allow", "POST, DELETE");
    writer.send(std::move(response));
  }
}

// What a POST must be before its body is looked at.
std::optional<Response> HttpEndpoint::refuse(const Request& request) const {
  const auto type = request.headers.find("Content-Type");
  if (!type || !http::iequals(type->substr(0, type->find_first_of("; ")), "application/json"))
    return refusal(415, kInvalidRequest, "Content-Type must be application/json");
  if (!accepts(request.headers, "application/json") &&
      !accepts(request.headers, "text/event-stream"))
    return refusal(406, kInvalidRequest, "Accept must name application/json and text/event-stream");
  return std::nullopt;
}

void HttpEndpoint::post(const Request& request, ResponseWriter writer) {
  if (auto response = refuse(request)) return void(writer.send(*std::move(response)));
  const RpcRead read = read_message(request.body);
  if (!read.message) return void(writer.send(http::json_response(400, read.error)));
  const RpcMessage& m = *read.message;
  const bool modern = m.meta(kVersionKey) != nullptr;
  if (modern) {
    if (const std::string what = header_mismatch(request.headers, m); !what.empty())
      return void(writer.send(http::json_response(400, error_reply(m.id, kHeaderMismatch, what))));
    return deliver(request, std::move(writer), protocol_.answer(m, {}), "");
  }
  const auto version = request.headers.find(kVersionField);
  const auto& legacy = legacy_versions();
  const auto id = request.headers.find(kSessionField);
  const bool beginning = m.method == "initialize";
  if (version && !beginning && std::find(legacy.begin(), legacy.end(), *version) == legacy.end()) {
    const bool is_modern = *version == kModernVersion;  // then the body lacks what it must have
    text::Json data = text::Json::object();
    data.set("supported", served_versions());
    data.set("requested", *version);
    return void(writer.send(http::json_response(
        400, is_modern ? error_reply(m.id, kInvalidParams,
                                     fmt::format("params._meta[\"{}\"] is missing", kVersionKey))
                       : error_reply(m.id, kUnsupportedVersion, "Unsupported protocol version",
                                     std::move(data)))));
  }
  if (beginning) return deliver(request, std::move(writer), protocol_.answer(m, {}), "");
  if (!id) return deliver(request, std::move(writer), protocol_.answer(m, {}), "");
  const auto it = sessions_.find(std::string(*id));
  if (it == sessions_.end())
    return void(writer.send(
        refusal(404, kInvalidRequest, "this session is over; begin one with initialize")));
  it->second.used = clock_;
  deliver(request, std::move(writer), protocol_.answer(m, it->second.state), it->first);
}

std::string HttpEndpoint::begin(const LegacySession& state) {
  if (sessions_.size() >= options_.max_sessions) {
    sessions_.erase(std::min_element(
        sessions_.begin(), sessions_.end(),
        [](const auto& a, const auto& b) { return a.second.used < b.second.used; }));
  }
  std::string id = fmt::format("{:016x}{:016x}", options_.random(), options_.random());
  sessions_[id] = {state, clock_};
  return id;
}

void HttpEndpoint::deliver(const Request& request, ResponseWriter writer, Outcome outcome,
                           const std::string& session) {
  if (outcome.cancel && !session.empty()) calls_.cancel(session + outcome.cancel->dump());
  if (outcome.call || outcome.listen) {
    if (!accepts(request.headers, "text/event-stream"))
      return void(writer.send(refusal(406, kInvalidRequest, "Accept must name text/event-stream")));
    if (outcome.listen) return listen(std::move(writer), *outcome.listen);
    return call(std::move(writer), *std::move(outcome.call), session);
  }
  if (outcome.reply.empty()) return void(writer.send(empty(202)));
  Response response = http::json_response(outcome.http_status, std::move(outcome.reply));
  if (outcome.began) response.headers.set(kSessionField, begin(*outcome.began));
  writer.send(std::move(response));
}

void HttpEndpoint::call(ResponseWriter first, ToolCall call, const std::string& session) {
  // Shared by the call's progress and its end.
  const auto writer = std::make_shared<ResponseWriter>(std::move(first));
  const std::string key =
      session.empty() ? fmt::format("request {}", clock_) : session + call.id.dump();
  Calls::Callbacks callbacks;
  callbacks.progress = [writer, token = call.progress_token](double seconds,
                                                             std::string_view said) {
    if (!token.is_null()) writer->write(http::sse_data(Protocol::progress(token, seconds, said)));
  };
  callbacks.done = [this, writer, call](const ToolOutput* output) {
    if (output == nullptr) return writer->abort();
    writer->write(http::sse_data(protocol_.call_reply(call, *output)));
    writer->finish();
  };
  const ToolCall copy = call;
  // The stream before the call, whose thread writes to it from then on.
  writer->begin_stream(200, stream_headers());
  writer->keep_alive(kKeepAlive, std::string(http::kSseKeepAlive));
  if (copy.modern)  // a client that is gone has cancelled; before 2026-07-28 it may come back
    writer->on_closed([this, key](http::CloseReason) { calls_.cancel(key); });
  const auto started = calls_.start(key, std::move(call), std::move(callbacks));
  if (started == Calls::Started::kYes) return;
  const std::string why =
      started == Calls::Started::kTaken
          ? error_reply(copy.id, kInvalidRequest, "a request of this id runs; take a new one")
          : protocol_.busy_reply(copy, calls_.too_many());
  writer->write(http::sse_data(why));
  writer->finish();
}

void HttpEndpoint::listen(ResponseWriter first, const Listen& listen) {
  // Keeps itself until the client closes it: the callback owns the writer.
  const auto writer = std::make_shared<ResponseWriter>(std::move(first));
  writer->begin_stream(200, stream_headers());
  writer->keep_alive(kKeepAlive, std::string(http::kSseKeepAlive));
  writer->write(http::sse_data(Protocol::acknowledged(listen)));
  writer->on_closed([writer](http::CloseReason) {});
}

}  // namespace weir::mcp
