#include "gateway/answer_filter.h"

#include <utility>

#include "http/sse.h"

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

AnswerFilter::AnswerFilter(std::unique_ptr<Redaction> redaction, const telemetry::Scrubber* leaks,
                           std::shared_ptr<const Secrets> secrets)
    : redaction_(std::move(redaction)),
      leaks_(leaks),
      secrets_(std::move(secrets)),
      watches_(leaks != nullptr) {
  if (redaction_ != nullptr) restorer_.emplace(*redaction_);
}

// Of an answer or of an event's data: texts of choices (OpenAI), content and delta (Anthropic).
void AnswerFilter::look(const Json& piece) {
  if (!watches_) return;
  const auto feed = [this](int64_t choice, const Json& part) {
    const auto [watch, fresh] = watch_.try_emplace(choice, *leaks_, *secrets_);
    feed_text(part, watch->second, leaked_);
  };
  if (const Json* choices = member(&piece, "choices"); choices != nullptr && choices->is_array()) {
    for (const Json& choice : choices->items()) {
      const Json* index = member(&choice, "index");
      const int64_t number = index != nullptr && index->is_int() ? index->as_int() : 0;
      for (const std::string_view name : {"message", "delta", "text"})
        if (const Json* part = member(&choice, name)) feed(number, *part);
    }
  }
  for (const std::string_view name : {"content", "delta", "output"})
    if (const Json* part = member(&piece, name)) feed(0, *part);
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
  if (broken_ || events.starts_with(':')) {  // a comment of the gateway's own stands alone
    out += events;
    return;
  }
  std::string filtered;
  const auto fed =
      reader_.feed(events, [this, &filtered](const http::SseEvent& e) { event(e, filtered); });
  broken_ = !fed.ok();  // an event beyond a bound: what is in it nobody has looked at
  leaked_ |= broken_ && watches_;
  out += broken_ ? events : std::string_view(filtered);
}

void AnswerFilter::event(const http::SseEvent& event, std::string& out) {
  auto json = Json::parse(event.data);
  const bool restores = restorer_.has_value() && redaction_->values() > 0;
  if (json.ok() && json->is_object()) {
    look(*json);
    if (restores) restorer_->restore_event(*json);
  }
  const std::string data =
      json.ok() && json->is_object() && restores ? json->dump() : std::string(event.data);
  if (event.name.empty()) {
    http::append_sse_data(out, data);
  } else {
    http::append_sse_event(out, event.name, data);
  }
}

}  // namespace weir::gateway
