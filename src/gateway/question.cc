#include "gateway/question.h"

#include <utility>

namespace weir::gateway {
namespace {

using text::Json;

// A text, or a list of parts of which some have one.
std::string text_of(const Json& content) {
  if (content.is_string()) return content.as_string();
  std::string out;
  if (!content.is_array()) return out;
  for (const Json& part : content.items()) {
    if (part.is_string()) out += part.as_string();
    if (const Json* text = part.find("text"); text != nullptr && text->is_string())
      out += text->as_string();
  }
  return out;
}

void add_line(std::string& out, std::string_view role, std::string_view text) {
  if (text.empty()) return;
  out += role;
  out += ": ";
  out += text;
  out += '\n';
}

void read_messages(const Json& list, Question& q) {
  for (const Json& message : list.items()) {
    const Json* content = message.find("content");
    if (content == nullptr) continue;
    const Json* role = message.find("role");
    const std::string who = role != nullptr && role->is_string() ? role->as_string() : "user";
    std::string text = text_of(*content);
    if (who != "user" || text.empty()) {
      add_line(q.before, who, text);
      continue;
    }
    if (!q.text.empty()) {
      add_line(q.before, "user", q.text);
      ++q.turns_before;
    }
    q.text = std::move(text);
  }
}

}  // namespace

Question read_question(const Json& body) {
  Question q;
  for (const std::string_view name : {"system", "instructions"})
    if (const Json* system = body.find(name)) add_line(q.before, "system", text_of(*system));
  const Json* messages = body.find("messages");
  const Json* input = body.find("input");
  const Json* prompt = body.find("prompt");
  if (messages != nullptr && messages->is_array()) {
    read_messages(*messages, q);
  } else if (input != nullptr && input->is_array()) {
    read_messages(*input, q);
  } else if (input != nullptr) {
    q.text = text_of(*input);
  } else if (prompt != nullptr) {
    q.text = text_of(*prompt);
  }
  return q;
}

std::string fill_prompt(std::string_view pattern, const JudgePrompt& with) {
  const std::pair<std::string_view, std::string_view> fields[] = {
      {"{question}", with.question},
      {"{conversation}", with.conversation},
      {"{answer}", with.answer}};
  std::string out;
  while (!pattern.empty()) {
    size_t taken = 1;
    std::string_view put = pattern.substr(0, 1);
    for (const auto& [name, value] : fields) {
      if (!pattern.starts_with(name)) continue;
      taken = name.size();
      put = value;
    }
    out += put;
    pattern.remove_prefix(taken);
  }
  return out;
}

}  // namespace weir::gateway
