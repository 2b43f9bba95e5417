// Renders chat templates for check_templates.py. Reads one JSON object a line from standard input:
// {"path" or "source", "messages", "tools", "add_generation_prompt", "bos_token", "eos_token",
// "extra"}; answers each with {"text", "user": the bytes that came from the input} or {"error"}.
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>

#include "text/chat_template.h"

namespace {

using weir::Error;
using weir::Result;
using weir::text::ChatInput;
using weir::text::ChatTemplate;
using weir::text::Json;

// The wall clock of the comparison stands still: 2026-01-31 in UTC.
class FixedClock final : public weir::Clock {
 public:
  int64_t now_ns() const override { return 0; }
  int64_t unix_s() const override { return 1769860800; }
};

Result<Json> answer(const std::string& line) {
  static const FixedClock clock;
  WEIR_ASSIGN(const Json request, Json::parse(line));
  std::stringstream source;
  if (const Json* text = request.find("source")) {
    source << text->as_string();
  } else {
    source << std::ifstream(request.find("path")->as_string(), std::ios::binary).rdbuf();
  }
  WEIR_ASSIGN(const ChatTemplate chat, ChatTemplate::compile(source.str()));
  ChatInput input;
  input.messages = *request.find("messages");
  if (const Json* tools = request.find("tools")) input.tools = *tools;
  if (const Json* extra = request.find("extra")) input.extra = *extra;
  input.add_generation_prompt = request.find("add_generation_prompt")->as_bool();
  input.bos_token = request.find("bos_token")->as_string();
  input.eos_token = request.find("eos_token")->as_string();
  input.clock = &clock;
  WEIR_ASSIGN(const auto segments, chat.render_segments(input));
  std::string text;
  std::string user;
  for (const auto& s : segments) {
    text += s.text;
    if (!s.from_template) user += s.text;
  }
  Json out = Json::object();
  out.set("text", text);
  out.set("user", user);
  return out;
}

}  // namespace

int main() {
  std::ios::sync_with_stdio(false);
  for (std::string line; std::getline(std::cin, line);) {
    auto result = answer(line);
    Json out = Json::object();
    if (result.ok()) {
      out = *result;
    } else {
      out.set("error", result.error().message);
    }
    std::cout << out.dump() << std::endl;
  }
}
