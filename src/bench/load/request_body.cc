#include "bench/load/request_body.h"

#include <fmt/format.h>

#include "text/json.h"

namespace weir::bench {
namespace {

std::string members(const Target& target, const RequestShape& shape, const Turn& turn) {
  std::string out = fmt::format(R"("model":{},"max_tokens":{},"temperature":{},"stream":{})",
                                text::json_quote(target.model), turn.output_tokens,
                                shape.temperature, shape.stream);
  if (shape.stream) out += R"(,"stream_options":{"include_usage":true})";
  if (shape.ignore_eos) out += R"(,"ignore_eos":true)";
  if (!shape.extra.empty()) out += "," + shape.extra;
  return out;
}

void add_message(std::string& out, std::string_view role, std::string_view content) {
  if (!out.empty()) out += ',';
  out += fmt::format(R"({{"role":"{}","content":{}}})", role, text::json_quote(content));
}

std::string body_of(const std::string& common, std::string_view name, std::string_view value) {
  std::string out;
  out.reserve(common.size() + name.size() + value.size() + 8);
  out += '{';
  out += common;
  out += ",\"";
  out += name;
  out += "\":";
  out += value;
  out += '}';
  return out;
}

// The contents of messages that are texts.
std::string text_of_messages(const std::string& messages) {
  std::string out;
  const Result<text::Json> parsed = text::Json::parse(messages);
  if (!parsed.ok() || !parsed->is_array()) return out;
  for (const text::Json& m : parsed->items()) {
    const text::Json* content = m.find("content");
    if (content == nullptr || !content->is_string()) continue;
    if (!out.empty()) out += '\n';
    out += content->as_string();
  }
  return out;
}

}  // namespace

std::string request_body(const Target& target, const RequestShape& shape, const Turn& turn,
                         const std::vector<Exchange>& history, const std::string& text) {
  const std::string common = members(target, shape, turn);
  if (!target.chat) {
    std::string prompt;
    for (const Exchange& e : history) prompt += e.user + "\n" + e.assistant + "\n";
    return body_of(common, "prompt", text::json_quote(prompt + text));
  }
  std::string messages;
  for (const Exchange& e : history) {
    add_message(messages, "user", e.user);
    add_message(messages, "assistant", e.assistant);
  }
  add_message(messages, "user", text);
  return body_of(common, "messages", "[" + messages + "]");
}

std::string request_body(const Target& target, const RequestShape& shape, const Turn& turn,
                         const ops::DatasetRow& row) {
  const std::string common = members(target, shape, turn);
  if (!target.chat) {
    return body_of(
        common, "prompt",
        text::json_quote(row.messages.empty() ? row.prompt : text_of_messages(row.messages)));
  }
  if (!row.messages.empty()) return body_of(common, "messages", row.messages);
  std::string message;
  add_message(message, "user", row.prompt);
  return body_of(common, "messages", "[" + message + "]");
}

}  // namespace weir::bench
