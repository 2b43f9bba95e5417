#include "ops/eval/remote_request.h"

#include <utility>

#include "ops/eval/choice_score.h"
#include "ops/eval/item_prompt.h"

namespace weir::ops {
namespace {

using text::Json;

constexpr const char* kCompletions = "/v1/completions";

Json common(const RemoteShape& shape, int32_t max_tokens) {
  Json body = Json::object();
  body.set("model", shape.model);
  body.set("max_tokens", int64_t{max_tokens});
  body.set("temperature", int64_t{0});
  return body;
}

RemoteRequest finished(const RemoteShape& shape, std::string id, const char* path, Json body) {
  if (shape.extra.is_object()) {
    for (const auto& [key, value] : shape.extra.members()) body.set(key, value);
  }
  return {std::move(id), path, body.dump()};
}

}  // namespace

RemoteRequest answer_request(const RemoteShape& shape, const SuiteTask& task,
                             const GenerateItem& item) {
  Json body = common(shape, task.max_tokens);
  if (!task.stop.empty()) {
    Json stop = Json::array();
    for (const std::string& s : task.stop) stop.push_back(s);
    body.set("stop", std::move(stop));
  }
  if (!task.chat) {
    body.set("prompt", instructed_prompt(task, item.prompt));
    return finished(shape, item.id, kCompletions, std::move(body));
  }
  Json messages = item_messages(task, item);
  if (!item.tools.is_null()) {
    if (shape.tools_in_prompt) {
      tell_tools(item.tools, messages);
    } else {
      body.set("tools", item.tools);
    }
  }
  body.set("messages", std::move(messages));
  return finished(shape, item.id, "/v1/chat/completions", std::move(body));
}

RemoteRequest context_request(const RemoteShape& shape, const ChoiceItem& item) {
  Json body = common(shape, 1);
  body.set("prompt", choice_context(item));
  return finished(shape, item.id, kCompletions, std::move(body));
}

RemoteRequest choice_request(const RemoteShape& shape, const ChoiceItem& item, size_t choice) {
  Json body = common(shape, 1);
  body.set("prompt", choice_text(item, choice));
  body.set("echo", true);
  body.set("logprobs", int64_t{1});
  return finished(shape, item.id, kCompletions, std::move(body));
}

RemoteRequest count_request(const RemoteShape& shape, const std::string& text) {
  Json body = Json::object();
  body.set("model", shape.model);
  body.set("prompt", text);
  body.set("add_special_tokens", false);
  body.set("content", text);
  body.set("add_special", false);
  return {"", "/tokenize", body.dump()};
}

}  // namespace weir::ops
