#include <algorithm>
#include <utility>

#include "gateway/cache/replay.h"

namespace weir::gateway {
namespace {

using text::Json;

constexpr std::string_view kChatChunk = "chat.completion.chunk";
constexpr std::string_view kText = "text_completion";

Error wrong(std::string_view what) {
  return make_error(ErrorCode::kInvalidValue, "the stream {}", what);
}

void append(Json& to, const Json& more) {
  for (const Json& item : more.items()) to.push_back(item);
}

// What a piece adds to what is there: text goes on, arrays go on, anything else is replaced.
void merge_member(Json& into, const std::string& key, const Json& piece) {
  Json* old = into.find(key);
  if (old == nullptr || old->is_null()) {
    into.set(key, piece);
  } else if (piece.is_string() && old->is_string()) {
    *old = old->as_string() + piece.as_string();
  } else if (piece.is_array() && old->is_array()) {
    append(*old, piece);
  } else if (!piece.is_null()) {
    *old = piece;
  }
}

// {"content": [...]} of chat, {"tokens": [...], ...} of completions: member by member.
void merge_logprobs(Json& choice, const Json& piece) {
  Json* old = choice.find("logprobs");
  if (old == nullptr || !old->is_object() || !piece.is_object()) {
    if (old == nullptr || !piece.is_null()) choice.set("logprobs", piece);
    return;
  }
  for (const auto& [key, value] : piece.members()) merge_member(*old, key, value);
}

// Those that a piece says in full: they do not go on in the next one.
bool is_said_once(const std::string& key) {
  return key == "role" || key == "id" || key == "type" || key == "name";
}

void merge_delta(Json& into, const Json& delta) {
  for (const auto& [key, value] : delta.members()) {
    if (key == "tool_calls" || key == "function_call") continue;
    if (is_said_once(key)) {
      into.set(key, value);
    } else {
      merge_member(into, key, value);
    }
  }
}

// {"name": ..., "arguments": ...}
void merge_function(Json& call, std::string_view key, const Json& piece) {
  if (!piece.is_object()) return;
  Json* function = call.find(key);
  if (function == nullptr) function = &call.set(key, Json::object());
  merge_delta(*function, piece);
}

Status merge_tool_calls(Json& message, const Json& pieces) {
  if (!pieces.is_array()) return wrong("has tool calls that are no list");
  Json* calls = message.find("tool_calls");
  if (calls == nullptr) calls = &message.set("tool_calls", Json::array());
  for (const Json& piece : pieces.items()) {
    const Json* index = piece.find("index");
    if (index == nullptr || !index->is_int() || index->as_int() < 0 ||
        static_cast<size_t>(index->as_int()) > calls->size() ||
        static_cast<size_t>(index->as_int()) >= StreamAssembler::kMaxToolCalls)
      return wrong("has a tool call without its place");
    const auto at = static_cast<size_t>(index->as_int());
    if (at == calls->size()) calls->push_back(Json::object());
    Json& call = calls->items()[at];
    for (const auto& [key, value] : piece.members()) {
      if (key == "function") {
        merge_function(call, key, value);
      } else if (key != "index") {
        call.set(key, value);
      }
    }
  }
  return {};
}

}  // namespace

Status StreamAssembler::add(std::string_view data) {
  bytes_ += data.size();
  if (bytes_ > max_bytes_)
    return make_error(ErrorCode::kLimit, "the stream has over {} bytes", max_bytes_);
  if (done_) return wrong("goes on behind its end");
  if (data == "[DONE]") {
    done_ = true;
    return {};
  }
  WEIR_ASSIGN(const Json event, Json::parse(data));
  return take(event);
}

Status StreamAssembler::take(const Json& event) {
  if (!event.is_object() || event.find("error") != nullptr) return wrong("tells of an error");
  const Json* object = event.find("object");
  const Json* choices = event.find("choices");
  if (object == nullptr || !object->is_string() || choices == nullptr || !choices->is_array())
    return wrong("has an event without object and choices");
  const bool chat = object->as_string() == kChatChunk;
  if (!chat && object->as_string() != kText) return wrong("is of another kind");
  if (answer_.is_null()) {
    answer_ = Json::object();
    chat_ = chat;
  }
  if (chat != chat_) return wrong("changes its kind");
  for (const auto& [key, value] : event.members()) {
    if (key == "choices" || key == "obfuscation" || (key == "usage" && value.is_null())) continue;
    answer_.set(key, value);
  }
  if (chat) answer_.set("object", "chat.completion");
  for (const Json& piece : choices->items()) WEIR_TRY(take_choice(piece));
  return {};
}

Status StreamAssembler::take_choice(const Json& piece) {
  const Json* index = piece.find("index");
  if (index == nullptr || !index->is_int() || index->as_int() < 0 ||
      static_cast<size_t>(index->as_int()) >= kMaxChoices)
    return wrong("has a choice without its place");
  const auto at = static_cast<size_t>(index->as_int());
  while (choices_.size() <= at) {
    Json fresh = Json::object();
    fresh.set("index", static_cast<int64_t>(choices_.size()));
    if (chat_) fresh.set("message", Json::object());
    choices_.push_back(std::move(fresh));
  }
  Json& choice = choices_[at];
  for (const auto& [key, value] : piece.members()) {
    if (key == "index" || (key == "finish_reason" && value.is_null())) continue;
    if (key == "delta" && chat_) {
      if (!value.is_object()) return wrong("has a delta that is no object");
      Json& message = *choice.find("message");
      merge_delta(message, value);
      if (const Json* calls = value.find("tool_calls"); calls != nullptr && !calls->is_null())
        WEIR_TRY(merge_tool_calls(message, *calls));
      if (const Json* call = value.find("function_call"); call != nullptr)
        merge_function(message, "function_call", *call);
    } else if (key == "logprobs") {
      merge_logprobs(choice, value);
    } else if (key == "finish_reason") {
      choice.set(key, value);
    } else {
      merge_member(choice, key, value);
    }
  }
  return {};
}

Result<Json> StreamAssembler::finish() {
  if (!done_) return wrong("was cut: [DONE] has not come");
  if (choices_.empty()) return wrong("has no choice");
  Json choices = Json::array();
  for (Json& choice : choices_) {
    if (choice.find("finish_reason") == nullptr)
      return wrong("was cut: a choice has no finish_reason");
    if (chat_) {
      Json& message = *choice.find("message");
      if (message.find("role") == nullptr) message.set("role", "assistant");
      if (message.find("content") == nullptr) message.set("content", nullptr);
    }
    choices.push_back(std::move(choice));
  }
  choices_.clear();
  Json answer = std::move(answer_);
  answer.set("choices", std::move(choices));
  return answer;
}

}  // namespace weir::gateway
