#include "gateway/answer_filter.h"

#include <utility>

namespace weir::gateway {
namespace {

using text::Json;

const Json* member(const Json* object, std::string_view name) {
  return object != nullptr && object->is_object() ? object->find(name) : nullptr;
}

// All text of a value: answers are small, and a key may stand in any member.
void feed_text(const Json& value, LeakWatch& watch, bool& leaked) {
  if (value.is_string()) {
    leaked = watch.feed(value.as_string()) || leaked;
  } else if (value.is_array()) {
    for (const Json& item : value.items()) feed_text(item, watch, leaked);
  } else if (value.is_object()) {
    for (const auto& [name, item] : value.members())
      if (name != "id" && name != "model" && name != "object" && name != "type" && name != "role")
        feed_text(item, watch, leaked);
  }
}

}  // namespace

AnswerFilter::AnswerFilter(std::unique_ptr<Redaction> redaction, std::optional<LeakWatch> watch)
    : redaction_(std::move(redaction)), watch_(std::move(watch)) {
  if (redaction_ != nullptr) restorer_.emplace(*redaction_);
}

// Of an answer or of an event's data: texts of choices (OpenAI), content and delta (Anthropic).
void AnswerFilter::look(const Json& piece) {
  if (!watch_.has_value()) return;
  if (const Json* choices = member(&piece, "choices"); choices != nullptr && choices->is_array()) {
    for (const Json& choice : choices->items())
      for (const std::string_view name : {"message", "delta", "text"})
        if (const Json* part = member(&choice, name)) feed_text(*part, *watch_, leaked_);
  }
  for (const std::string_view name : {"content", "delta", "output"})
    if (const Json* part = member(&piece, name)) feed_text(*part, *watch_, leaked_);
}

void AnswerFilter::whole(std::string& body) {
  auto answer = Json::parse(body);
  if (!answer.ok() || !answer->is_object()) return;
  look(*answer);
  if (!restorer_.has_value() || redaction_->values() == 0) return;
  restorer_->restore_answer(*answer);
  body = answer->dump();
}

void AnswerFilter::events(std::string_view events, std::string& out) {
  const auto fed = reader_.feed(events, [this, &out](const http::SseEvent& e) { event(e, out); });
  if (!fed.ok())
    out += events;  // an event beyond a bound: it can hold no placeholder of ours whole
}

void AnswerFilter::event(const http::SseEvent& event, std::string& out) {
  std::string data(event.data);
  if (auto json = Json::parse(data); json.ok() && json->is_object()) {
    look(*json);
    if (restorer_.has_value() && redaction_->values() > 0) {
      restorer_->restore_event(*json);
      data = json->dump();
    }
  }
  if (!event.name.empty()) {
    out += "event: ";
    out += event.name;
    out += '\n';
  }
  out += "data: ";
  out += data;
  out += "\n\n";
}

}  // namespace weir::gateway
