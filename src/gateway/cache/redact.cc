#include "gateway/cache/redact.h"

#include <algorithm>
#include <cctype>
#include <functional>
#include <utility>

namespace weir::gateway {
namespace {

using text::Json;

constexpr size_t kMinSecretBytes = 8;
constexpr size_t kMaxDigits = 4;

// How many bytes of text, which begins with '[', are a placeholder: "[", capitals, "_", digits,
// "]". 0: none; npos: it may become one.
size_t placeholder_size(std::string_view text) {
  size_t i = 1;
  while (i < text.size() && text[i] >= 'A' && text[i] <= 'Z') ++i;
  if (i == text.size()) return i < Redaction::kMaxPlaceholderBytes ? std::string_view::npos : 0;
  if (text[i] != '_' || i == 1) return 0;
  const size_t digits = ++i;
  while (i < text.size() && text[i] >= '0' && text[i] <= '9') ++i;
  if (i - digits > kMaxDigits) return 0;
  if (i == text.size()) return i < Redaction::kMaxPlaceholderBytes ? std::string_view::npos : 0;
  return text[i] == ']' && i > digits && i < Redaction::kMaxPlaceholderBytes ? i + 1 : 0;
}

// Every text of a request that a person may have written.
Status each_text(Json& request, const std::function<Status(std::string&)>& visit) {
  const auto text_of = [&](Json* value) -> Status {
    if (value == nullptr || !value->is_string()) return {};
    std::string text = value->as_string();
    WEIR_TRY(visit(text));
    *value = std::move(text);
    return {};
  };
  const auto texts_of = [&](Json* value, const char* part) -> Status {
    WEIR_TRY(text_of(value));
    if (value == nullptr || !value->is_array()) return {};
    for (Json& item : value->items()) WEIR_TRY(text_of(item.is_object() ? item.find(part) : &item));
    return {};
  };
  const auto arguments_of = [&](Json* function) -> Status {
    return function == nullptr ? Status() : text_of(function->find("arguments"));
  };
  for (const char* field : {"prompt", "input", "suffix", "user"})
    WEIR_TRY(texts_of(request.find(field), "text"));
  if (Json* expected = request.find("prediction"); expected != nullptr && expected->is_object())
    WEIR_TRY(texts_of(expected->find("content"), "text"));
  if (Json* metadata = request.find("metadata"); metadata != nullptr && metadata->is_object()) {
    for (auto& member : metadata->members()) WEIR_TRY(text_of(&member.second));
  }
  Json* messages = request.find("messages");
  if (messages == nullptr || !messages->is_array()) return {};
  for (Json& message : messages->items()) {
    WEIR_TRY(texts_of(message.find("content"), "text"));
    WEIR_TRY(text_of(message.find("name")));
    WEIR_TRY(arguments_of(message.find("function_call")));
    Json* calls = message.find("tool_calls");
    if (calls == nullptr || !calls->is_array()) continue;
    for (Json& call : calls->items()) WEIR_TRY(arguments_of(call.find("function")));
  }
  return {};
}

std::string upper(std::string_view name) {  // "[email]" -> "EMAIL"
  std::string out;
  for (const char c : name) {
    if (std::isalpha(static_cast<unsigned char>(c)) != 0)
      out += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return out;
}

}  // namespace

const std::string* Redaction::find(std::string_view placeholder) const {
  const auto found = values_.find(placeholder);
  return found == values_.end() ? nullptr : &found->second;
}

// Placeholders that stand there already are nobody's.
Status Redaction::collect(const std::string& text) {
  for (size_t at = text.find('['); at != std::string::npos; at = text.find('[', at + 1)) {
    const size_t size = placeholder_size(std::string_view(text).substr(at));
    if (size != 0 && size != std::string::npos) taken_.insert(text.substr(at, size));
  }
  return {};
}

Status Redaction::replace(std::string& text, const telemetry::Scrubber& scrubber) {
  WEIR_ASSIGN(const auto found, scrubber.find(text));
  if (found.empty()) return {};
  std::string out;
  size_t at = 0;
  for (const telemetry::Finding& f : found) {
    std::string value = text.substr(f.begin, f.end - f.begin);
    // The end of a sentence is none of an address.
    while (f.name == "[email]" && value.ends_with('.')) value.pop_back();
    const size_t end = f.begin + value.size();
    auto known = placeholders_.find(value);
    if (known == placeholders_.end()) {
      if (values_.size() == kMaxValues) {
        return make_error(ErrorCode::kLimit, "over {} values to redact in one request", kMaxValues);
      }
      const std::string kind = upper(f.name);
      std::string placeholder;
      do {
        placeholder = fmt::format("[{}_{}]", kind, ++numbers_[kind]);
      } while (taken_.contains(placeholder));
      values_.emplace(placeholder, value);
      known = placeholders_.emplace(std::move(value), std::move(placeholder)).first;
    }
    out += text.substr(at, f.begin - at);
    out += known->second;
    at = end;
  }
  out += text.substr(at);
  text = std::move(out);
  return {};
}

Result<Redaction> Redaction::redact(Json& request, const telemetry::Scrubber& scrubber) {
  Redaction r;
  Json changed = request;
  WEIR_TRY(each_text(changed, [&](std::string& text) { return r.collect(text); }));
  WEIR_TRY(each_text(changed, [&](std::string& text) { return r.replace(text, scrubber); }));
  request = std::move(changed);
  return r;
}

std::string TextRestorer::feed(std::string_view piece) {
  const std::string text = std::exchange(held_, {}) + std::string(piece);
  std::string out;
  size_t at = 0;
  while (at < text.size()) {
    const size_t open = std::min(text.find('[', at), text.size());
    out.append(text, at, open - at);
    at = open;
    if (at == text.size()) break;
    const size_t size = placeholder_size(std::string_view(text).substr(at));
    if (size == std::string::npos) {
      held_ = text.substr(at);
      break;
    }
    const std::string* value = size == 0 ? nullptr : redaction_->find(text.substr(at, size));
    if (value == nullptr) {
      out += text[at++];
      continue;
    }
    const std::string quoted = json_ ? text::json_quote(*value) : std::string();
    out += json_ ? quoted.substr(1, quoted.size() - 2) : *value;
    at += size;
  }
  return out;
}

std::string TextRestorer::finish() { return std::exchange(held_, {}); }

void AnswerRestorer::restore_answer(Json& answer) const {
  const auto whole = [&](Json* value, bool json) {
    if (value == nullptr || !value->is_string()) return;
    TextRestorer restorer(redaction_, json);
    std::string out = restorer.feed(value->as_string());
    *value = out + restorer.finish();
  };
  Json* choices = answer.find("choices");
  if (choices == nullptr || !choices->is_array()) return;
  for (Json& choice : choices->items()) {
    whole(choice.find("text"), false);
    Json* message = choice.find("message");
    if (message == nullptr) continue;
    for (const char* member : {"content", "reasoning_content", "reasoning", "refusal"})
      whole(message->find(member), false);
    if (Json* call = message->find("function_call")) whole(call->find("arguments"), true);
    Json* calls = message->find("tool_calls");
    if (calls == nullptr || !calls->is_array()) continue;
    for (Json& call : calls->items()) {
      if (Json* function = call.find("function")) whole(function->find("arguments"), true);
    }
  }
}

void AnswerRestorer::restore_piece(Json& member, const Place& place) {
  const auto restorer =
      restorers_.try_emplace(place, redaction_, place.member == "arguments").first;
  member = restorer->second.feed(member.as_string());
}

// What is still held of a choice that ends.
void AnswerRestorer::flush(Json& choice, int64_t index) {
  for (auto it = restorers_.begin(); it != restorers_.end();) {
    const Place& place = it->first;
    if (place.choice != index) {
      ++it;
      continue;
    }
    const std::string rest = it->second.finish();
    if (!rest.empty() && place.member == "text") {
      Json* text = choice.find("text");
      choice.set("text", (text != nullptr && text->is_string() ? text->as_string() : "") + rest);
    } else if (!rest.empty()) {
      Json* delta = choice.find("delta");
      if (delta == nullptr) delta = &choice.set("delta", Json::object());
      Json* into = delta;
      if (place.call >= 0) {
        Json* calls = delta->find("tool_calls");
        if (calls == nullptr) calls = &delta->set("tool_calls", Json::array());
        Json& call = calls->push_back(Json::object());
        call.set("index", place.call);
        into = &call.set("function", Json::object());
      } else if (place.member == "arguments") {
        into = delta->find("function_call");
        if (into == nullptr) into = &delta->set("function_call", Json::object());
      }
      Json* text = into->find(place.member);
      into->set(place.member,
                (text != nullptr && text->is_string() ? text->as_string() : "") + rest);
    }
    it = restorers_.erase(it);
  }
}

void AnswerRestorer::restore_event(Json& event) {
  Json* choices = event.find("choices");
  if (choices == nullptr || !choices->is_array()) return;
  for (Json& choice : choices->items()) {
    const Json* number = choice.find("index");
    const int64_t index = number != nullptr && number->is_int() ? number->as_int() : 0;
    if (Json* text = choice.find("text"); text != nullptr && text->is_string())
      restore_piece(*text, {index, -1, "text"});
    Json* delta = choice.find("delta");
    if (delta != nullptr && delta->is_object()) {
      for (const char* member : {"content", "reasoning_content", "reasoning", "refusal"}) {
        Json* text = delta->find(member);
        if (text != nullptr && text->is_string()) restore_piece(*text, {index, -1, member});
      }
      Json* legacy = delta->find("function_call");
      Json* said = legacy == nullptr ? nullptr : legacy->find("arguments");
      if (said != nullptr && said->is_string()) restore_piece(*said, {index, -1, "arguments"});
      Json* calls = delta->find("tool_calls");
      for (size_t i = 0; calls != nullptr && calls->is_array() && i < calls->size(); ++i) {
        Json& call = calls->items()[i];
        const Json* at = call.find("index");
        Json* function = call.find("function");
        Json* arguments = function == nullptr ? nullptr : function->find("arguments");
        if (at != nullptr && at->is_int() && arguments != nullptr && arguments->is_string())
          restore_piece(*arguments, {index, at->as_int(), "arguments"});
      }
    }
    const Json* reason = choice.find("finish_reason");
    if (reason != nullptr && !reason->is_null()) flush(choice, index);
  }
}

Secrets::Secrets(std::vector<std::string> all) : all_(std::move(all)) {
  std::erase_if(all_, [](const std::string& s) { return s.size() < kMinSecretBytes; });
  for (const std::string& s : all_) longest_bytes_ = std::max(longest_bytes_, s.size());
}

bool Secrets::shows_in(std::string_view text) const {
  return std::any_of(all_.begin(), all_.end(), [text](const std::string& s) {
    return text.find(s) != std::string_view::npos;
  });
}

bool LeakWatch::feed(std::string_view piece) {
  if (leaked_) return true;
  tail_ += piece;
  const auto found = scrubber_.find(std::string_view(tail_).substr(
      tail_.size() - std::min(tail_.size(), telemetry::Scrubber::kMaxTextBytes)));
  leaked_ = !found.ok() || std::any_of(found->begin(), found->end(), [](const auto& f) {
    return f.name == "[key]" || f.name == "[pattern]";
  }) || secrets_.shows_in(tail_);
  const size_t overlap = std::max(kOverlapBytes, secrets_.longest_bytes());
  if (tail_.size() <= overlap) return leaked_;
  // At a space where there is one: the rest of a word may look like a key ("task-" and "sk-").
  const size_t cut = tail_.size() - overlap;
  const size_t space = tail_.find_last_of(" \n", cut);
  const bool found_one = space != std::string::npos && space > 0;
  if (found_one || cut > overlap) tail_.erase(0, found_one ? space : cut);
  return leaked_;
}

}  // namespace weir::gateway
