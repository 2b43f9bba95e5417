#include "mcp/protocol.h"

#include <fmt/format.h>

#include <algorithm>

#include "text/utf8.h"

namespace weir::mcp {
namespace {

using text::Json;

constexpr int64_t kCacheMs = 3'600'000;  // what a program lists does not change while it runs
constexpr size_t kShownErrors = 4000;    // of standard error, the end of it
constexpr std::string_view kCapabilitiesKey = "io.modelcontextprotocol/clientCapabilities";
constexpr std::string_view kSubscriptionKey = "io.modelcontextprotocol/subscriptionId";
constexpr std::string_view kInstructions =
    "weir serves language models and runs the loop intake, advise, plan, config, quantize, eval, "
    "bench, review. Read weir://skill/SKILL.md first: it routes to the page for a question. Tools "
    "run commands on the machine of this server, with paths relative to its folder. Ratios are "
    "hypotheses unless a page names a comparable source; measure before and after.";

Outcome refused(const RpcMessage& m, int code, std::string_view what, int status = 200) {
  Outcome out;
  out.reply = error_reply(m.id, code, what);
  out.http_status = status;
  return out;
}

Json text_content(std::string_view text) {
  Json j = Json::object();
  j.set("type", "text");
  j.set("text", text);
  return j;
}

// A member of params that must be a string.
const std::string* string_param(const RpcMessage& m, std::string_view name) {
  const Json* value = m.params.find(name);
  return value != nullptr && value->is_string() ? &value->as_string() : nullptr;
}

Json tool_json(const Tool& tool) {
  Json j = Json::object();
  j.set("name", tool.name);
  j.set("title", tool.title);
  j.set("description", tool.description);
  j.set("inputSchema", input_schema(tool));
  Json hints = Json::object();
  hints.set("readOnlyHint", tool.effect == Tool::Effect::kReads);
  hints.set("destructiveHint", tool.effect == Tool::Effect::kReplaces);
  j.set("annotations", std::move(hints));
  return j;
}

Json resource_json(const Resource& r) {
  Json j = Json::object();
  j.set("uri", r.uri);
  j.set("name", r.name);
  j.set("title", r.title);
  j.set("mimeType", r.mime_type);
  return j;
}

Json prompt_json(const Prompt& p) {
  Json arguments = Json::array();
  for (const PromptArgument& a : p.arguments) {
    Json j = Json::object();
    j.set("name", a.name);
    j.set("description", a.description);
    j.set("required", a.required);
    arguments.push_back(std::move(j));
  }
  Json j = Json::object();
  j.set("name", p.name);
  j.set("title", p.title);
  j.set("description", p.description);
  j.set("arguments", std::move(arguments));
  return j;
}

Json capabilities() {
  Json j = Json::object();
  for (const char* name : {"tools", "resources", "prompts"}) j.set(name, Json::object());
  return j;
}

// How a command ended, where that is not all said by its output; "" for exit code 0.
std::string ending(const ToolOutput& o) {
  switch (o.end) {
    case ToolOutput::End::kTimeout:
      return fmt::format("stopped after {} s, the time limit of weir mcp --timeout", o.timeout_s);
    case ToolOutput::End::kSignal:
      return fmt::format("ended by signal {}", o.code);
    case ToolOutput::End::kNotRun:
      return "not run";
    case ToolOutput::End::kExited:
      break;
  }
  constexpr std::string_view kMeaning[] = {"", "the answer is no", "wrong usage", "bad input",
                                           "unavailable"};
  if (o.code == 0) return "";
  return fmt::format("exit code {}{}{}", o.code, o.code > 0 && o.code < 5 ? ": " : "",
                     o.code > 0 && o.code < 5 ? kMeaning[o.code] : "");
}

bool continues(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80; }

// The output, without the beginning of a character that a cut left at its end.
std::string_view whole_characters(const ToolOutput& o) {
  std::string_view out = o.output;
  if (!o.cut) return out;
  size_t begin = out.size();
  while (begin > 0 && out.size() - begin < 3 && continues(out[begin - 1])) --begin;
  if (begin > 0 && text::decode_utf8(out, begin - 1).truncated) out = out.substr(0, begin - 1);
  return out;
}

// The end of `text`, at most `most` bytes, from the beginning of a character.
std::string_view last_characters(std::string_view text, size_t most) {
  if (text.size() <= most) return text;
  text.remove_prefix(text.size() - most);
  for (int i = 0; i < 3 && !text.empty() && continues(text.front()); ++i) text.remove_prefix(1);
  return text;
}

Json items(Json list) {
  Json out = Json::object();
  out.set("items", std::move(list));
  return out;
}

// What a command printed as JSON, as the object that the protocol wants: an array, or lines of
// which each is a document, as {"items": [...]}. Null where it is none.
Json structured_content(const ToolOutput& o) {
  if (o.cut || o.output.empty()) return {};
  auto whole = Json::parse(o.output);
  if (whole.ok() && whole->is_object()) return *std::move(whole);
  if (whole.ok() && whole->is_array()) return items(*std::move(whole));
  Json lines = Json::array();
  std::string_view rest = o.output;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    auto line = Json::parse(rest.substr(0, end));
    if (!line.ok() || !line->is_object()) return {};
    lines.push_back(*std::move(line));
    rest.remove_prefix(std::min(rest.size(), end + 1));
  }
  return items(std::move(lines));
}

}  // namespace

const std::vector<std::string_view>& legacy_versions() {
  static const std::vector<std::string_view> versions = {"2025-11-25", "2025-06-18"};
  return versions;
}

Json served_versions() {
  Json all = Json::array();
  all.push_back(kModernVersion);
  for (const std::string_view v : legacy_versions()) all.push_back(v);
  return all;
}

Protocol::Protocol(ServerContent content) : content_(std::move(content)), prompts_(all_prompts()) {}

Json Protocol::server_info() const {
  Json j = Json::object();
  j.set("name", "weir");
  j.set("title", "weir");
  j.set("version", content_.version);
  return j;
}

Json Protocol::complete(Json result, bool modern, bool cacheable) const {
  if (!modern) return result;
  result.set("resultType", "complete");
  if (cacheable) {
    result.set("ttlMs", kCacheMs);
    result.set("cacheScope", "public");
  }
  Json meta = Json::object();
  meta.set("io.modelcontextprotocol/serverInfo", server_info());
  result.set("_meta", std::move(meta));
  return result;
}

Outcome Protocol::handle(std::string_view bytes, const LegacySession& session) const {
  const RpcRead read = read_message(bytes);
  if (read.message) return answer(*read.message, session);
  Outcome out;
  out.reply = read.error;
  out.http_status = 400;
  return out;
}

Outcome Protocol::answer(const RpcMessage& m, const LegacySession& session) const {
  Outcome out;
  if (m.kind == RpcMessage::Kind::kResponse) return out;  // nothing was asked
  if (m.kind == RpcMessage::Kind::kNotification) {
    const Json* id = m.params.find("requestId");
    if (m.method == "notifications/cancelled" && id != nullptr) out.cancel = *id;
    return out;
  }
  if (m.meta(kVersionKey) != nullptr) return modern(m);
  if (m.method == "initialize") return initialize(m);
  if (m.method == "ping" && (session.begun || m.params.find("_meta") == nullptr)) {
    out.reply = result_reply(m.id, Json::object());
    return out;
  }
  if (session.begun) return dispatch(m, false);
  return refused(m, kInvalidParams,
                 fmt::format("params._meta[\"{}\"] is missing; a client of {} and before begins "
                             "with initialize",
                             kVersionKey, legacy_versions().front()),
                 400);
}

Outcome Protocol::initialize(const RpcMessage& m) const {
  const std::string* asked = string_param(m, "protocolVersion");
  if (asked == nullptr)
    return refused(m, kInvalidParams, "params.protocolVersion must be a string", 400);
  const auto& known = legacy_versions();
  const bool served = std::find(known.begin(), known.end(), *asked) != known.end();
  LegacySession session{true, served ? *asked : std::string(known.front())};
  Json result = Json::object();
  result.set("protocolVersion", session.version);
  result.set("capabilities", capabilities());
  result.set("serverInfo", server_info());
  result.set("instructions", kInstructions);
  Outcome out;
  out.reply = result_reply(m.id, std::move(result));
  out.began = std::move(session);
  return out;
}

Outcome Protocol::modern(const RpcMessage& m) const {
  const Json* version = m.meta(kVersionKey);
  if (!version->is_string())
    return refused(m, kInvalidParams, fmt::format("_meta[\"{}\"] must be a string", kVersionKey),
                   400);
  if (version->as_string() != kModernVersion) {
    Json data = Json::object();
    data.set("supported", served_versions());
    data.set("requested", version->as_string());
    Outcome out;
    out.reply =
        error_reply(m.id, kUnsupportedVersion, "Unsupported protocol version", std::move(data));
    out.http_status = 400;
    return out;
  }
  const Json* capable = m.meta(kCapabilitiesKey);
  if (capable == nullptr || !capable->is_object())
    return refused(m, kInvalidParams,
                   fmt::format("_meta[\"{}\"] must be an object", kCapabilitiesKey), 400);
  if (m.method == "server/discover") {
    Json result = Json::object();
    result.set("supportedVersions", served_versions());
    result.set("capabilities", capabilities());
    result.set("instructions", kInstructions);
    Outcome out;
    out.reply = result_reply(m.id, complete(std::move(result), true, true));
    return out;
  }
  if (m.method == "subscriptions/listen") {
    Outcome out;
    out.listen = Listen{m.id};
    return out;
  }
  return dispatch(m, true);
}

Outcome Protocol::dispatch(const RpcMessage& m, bool modern) const {
  if (m.method.ends_with("/list")) return list(m, modern);
  if (m.method == "tools/call") return call_tool(m, modern);
  if (m.method == "resources/read") return read_resource(m, modern);
  if (m.method == "prompts/get") return get_prompt(m, modern);
  return refused(m, kMethodNotFound, fmt::format("there is no method \"{}\"", m.method),
                 modern ? 404 : 200);
}

Outcome Protocol::list(const RpcMessage& m, bool modern) const {
  Json items = Json::array();
  std::string_view key;
  if (m.method == "tools/list") {
    key = "tools";
    for (const Tool& t : content_.tools) items.push_back(tool_json(t));
  } else if (m.method == "resources/list") {
    key = "resources";
    for (const Resource& r : content_.resources) items.push_back(resource_json(r));
  } else if (m.method == "resources/templates/list") {
    key = "resourceTemplates";
  } else if (m.method == "prompts/list") {
    key = "prompts";
    for (const Prompt& p : prompts_) items.push_back(prompt_json(p));
  } else {
    return refused(m, kMethodNotFound, fmt::format("there is no method \"{}\"", m.method),
                   modern ? 404 : 200);
  }
  if (const Json* cursor = m.params.find("cursor"); cursor != nullptr && !cursor->is_null())
    return refused(m, kInvalidParams, "no such cursor: lists come whole");
  Json result = Json::object();
  result.set(key, std::move(items));
  Outcome out;
  out.reply = result_reply(m.id, complete(std::move(result), modern, true));
  return out;
}

Outcome Protocol::call_tool(const RpcMessage& m, bool modern) const {
  const std::string* name = string_param(m, "name");
  const auto it = std::find_if(content_.tools.begin(), content_.tools.end(),
                               [&](const Tool& t) { return name != nullptr && t.name == *name; });
  if (it == content_.tools.end())
    return refused(m, kInvalidParams,
                   fmt::format("there is no tool \"{}\"; tools/list names them",
                               name == nullptr ? "" : *name));
  const Json* arguments = m.params.find("arguments");
  auto line = command_line(*it, arguments == nullptr ? Json() : *arguments);
  Outcome out;
  ToolCall call;
  call.id = m.id;
  call.modern = modern;
  if (!line.ok()) {  // for the model to mend, so no error of the protocol
    out.reply = busy_reply(call, line.error().message);
    return out;
  }
  call.command = *std::move(line);
  const Json* token = m.meta("progressToken");
  if (token != nullptr && (token->is_string() || token->is_int())) call.progress_token = *token;
  out.call = std::move(call);
  return out;
}

Outcome Protocol::read_resource(const RpcMessage& m, bool modern) const {
  const std::string* uri = string_param(m, "uri");
  const auto it = std::find_if(content_.resources.begin(), content_.resources.end(),
                               [&](const Resource& r) { return uri != nullptr && r.uri == *uri; });
  if (it == content_.resources.end())
    return refused(m, modern || uri == nullptr ? kInvalidParams : kLegacyResourceNotFound,
                   fmt::format("there is no resource \"{}\"; resources/list names them",
                               uri == nullptr ? "" : *uri));
  Json content = Json::object();
  content.set("uri", it->uri);
  content.set("mimeType", it->mime_type);
  content.set("text", it->text);
  Json contents = Json::array();
  contents.push_back(std::move(content));
  Json result = Json::object();
  result.set("contents", std::move(contents));
  Outcome out;
  out.reply = result_reply(m.id, complete(std::move(result), modern, true));
  return out;
}

Outcome Protocol::get_prompt(const RpcMessage& m, bool modern) const {
  const std::string* name = string_param(m, "name");
  const auto it = std::find_if(prompts_.begin(), prompts_.end(),
                               [&](const Prompt& p) { return name != nullptr && p.name == *name; });
  if (it == prompts_.end())
    return refused(m, kInvalidParams,
                   fmt::format("there is no prompt \"{}\"; prompts/list names them",
                               name == nullptr ? "" : *name));
  const Json* arguments = m.params.find("arguments");
  const auto text = fill_prompt(*it, arguments == nullptr ? Json() : *arguments);
  if (!text.ok()) return refused(m, kInvalidParams, text.error().message);
  Json message = Json::object();
  message.set("role", "user");
  message.set("content", text_content(*text));
  Json messages = Json::array();
  messages.push_back(std::move(message));
  Json result = Json::object();
  result.set("description", it->description);
  result.set("messages", std::move(messages));
  Outcome out;
  out.reply = result_reply(m.id, complete(std::move(result), modern, false));
  return out;
}

std::string Protocol::call_reply(const ToolCall& call, const ToolOutput& o) const {
  Json content = Json::array();
  Json result = Json::object();
  if (!o.output.empty())
    content.push_back(text_content(text::replace_invalid_utf8(whole_characters(o))));
  std::string rest = ending(o);
  if (o.cut) rest += rest.empty() ? "the output was cut" : "; the output was cut";
  const bool failed = o.end != ToolOutput::End::kExited || o.code > 1;
  if (!o.errors.empty()) {
    if (!rest.empty()) rest += "\n";
    rest += text::replace_invalid_utf8(last_characters(o.errors, kShownErrors));
  }
  if (!rest.empty() || o.output.empty()) content.push_back(text_content(rest));
  result.set("content", std::move(content));
  if (auto structured = structured_content(o); !structured.is_null())
    result.set("structuredContent", std::move(structured));
  result.set("isError", failed);
  return result_reply(call.id, complete(std::move(result), call.modern, false));
}

std::string Protocol::busy_reply(const ToolCall& call, std::string_view why) const {
  Json content = Json::array();
  content.push_back(text_content(why));
  Json result = Json::object();
  result.set("content", std::move(content));
  result.set("isError", true);
  return result_reply(call.id, complete(std::move(result), call.modern, false));
}

std::string Protocol::progress(const Json& token, double seconds, std::string_view said) {
  Json params = Json::object();
  params.set("progressToken", token);
  params.set("progress", seconds);
  params.set("message", text::replace_invalid_utf8(said));
  return notification("notifications/progress", std::move(params));
}

std::string Protocol::acknowledged(const Listen& listen) {
  Json meta = Json::object();
  meta.set(kSubscriptionKey, listen.id);
  Json params = Json::object();
  params.set("_meta", std::move(meta));
  params.set("notifications", Json::object());
  return notification("notifications/subscriptions/acknowledged", std::move(params));
}

std::string Protocol::listen_end(const Listen& listen) const {
  Json result = complete(Json::object(), true, false);
  result.find("_meta")->set(kSubscriptionKey, listen.id);
  return result_reply(listen.id, std::move(result));
}

}  // namespace weir::mcp
