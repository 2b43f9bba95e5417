#include "ops/eval/item_prompt.h"

#include <string>
#include <utility>

#include "ops/eval/tool_calls.h"
#include "text/chat_segments.h"

namespace weir::ops {
namespace {

using text::Json;

Json message(const char* role, const std::string& content) {
  Json m = Json::object();
  m.set("role", role);
  m.set("content", content);
  return m;
}

}  // namespace

std::string instructed_prompt(const SuiteTask& task, const std::string& prompt) {
  return task.instruction.empty() ? prompt : fmt::format("{}\n\n{}", task.instruction, prompt);
}

Json item_messages(const SuiteTask& task, const GenerateItem& item) {
  Json messages = Json::array();
  if (item.messages.is_null()) {
    messages.push_back(message("user", instructed_prompt(task, item.prompt)));
    return messages;
  }
  bool waiting = true;  // for the first user message
  for (const Json& m : item.messages.items()) {
    Json copy = m;
    if (waiting && *m.find("role") == Json("user")) {
      copy.set("content", instructed_prompt(task, m.find("content")->as_string()));
      waiting = false;
    }
    messages.push_back(std::move(copy));
  }
  return messages;
}

void tell_tools(const Json& tools, Json& messages) {
  const std::string told = tool_instruction(tools);
  auto& list = messages.items();
  if (*list.front().find("role") == Json("system")) {
    const std::string said = list.front().find("content")->as_string();
    list.front().set("content", fmt::format("{}\n\n{}", told, said));
  } else {
    list.insert(list.begin(), message("system", told));
  }
}

Result<std::vector<int32_t>> item_prompt(const text::Tokenizer& tokenizer,
                                         const text::ChatTemplate& chat, const Clock& clock,
                                         const SuiteTask& task, const GenerateItem& item) {
  if (!task.chat)
    return tokenizer.encode(instructed_prompt(task, item.prompt), {.add_bos_eos = true});
  text::ChatInput input;
  input.messages = item_messages(task, item);
  input.clock = &clock;
  if (!item.tools.is_null()) {
    if (chat.mentions_tools()) {
      input.tools = item.tools;
    } else {
      tell_tools(item.tools, input.messages);
    }
  }
  text::set_special_tokens(tokenizer, input);
  auto segments = chat.render_segments(input);
  if (!segments.ok()) return segments.error().with_context(fmt::format("item {}", item.id));
  return text::encode_segments(tokenizer, *segments);
}

}  // namespace weir::ops
