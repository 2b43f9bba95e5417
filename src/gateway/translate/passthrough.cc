#include "gateway/translate/passthrough.h"

#include <algorithm>

#include "gateway/translate/answers.h"
#include "gateway/translate/json_skim.h"
#include "text/byte_runs.h"
#include "text/json.h"
#include "text/utf8.h"

namespace weir::gateway::translate {
namespace {

using text::Json;

bool is_object(std::string_view value) { return value.starts_with('{'); }

std::string string_of(std::string_view object, std::string_view name) {
  const auto value = skim_member(object, name);
  return value.has_value() ? skim_string(*value).value_or("") : "";
}

size_t find_line_end(std::string_view all, size_t at) {
  const size_t end = text::line_end(all, at);
  return end < all.size() ? end : std::string_view::npos;
}

class Looker {
 public:
  Looker(Dialect dialect, bool whole, StreamObserver& observer)
      : dialect_(dialect), whole_(whole), observer_(observer) {}

  std::optional<Sighting> look(std::string_view json) {
    JsonSkim members(json);
    while (members.next()) member(members);
    if (!members.ok() ||
        !is_object(json.substr(std::min(json.find_first_not_of(" \t\r\n"), json.size())))) {
      return std::nullopt;
    }
    if (found_.error) return found_;
    if (!usage_.empty()) take_usage(usage_);
    switch (dialect_) {
      case Dialect::kChat:
      case Dialect::kCompletions:
        look_at_choices();
        break;
      case Dialect::kResponses:
        look_at_response(json);
        break;
      case Dialect::kMessages:
        look_at_message(json);
        break;
      case Dialect::kOther:
        break;
    }
    return found_;
  }

 private:
  void member(const JsonSkim& m) {
    const std::string_view value = m.value();
    if (m.key_is("model")) {
      // In the streams of these two it stands in an object of its own.
      const bool nested = dialect_ == Dialect::kMessages || dialect_ == Dialect::kResponses;
      if (whole_ || !nested) found_.models.push_back(value);
      model_ = value;
    }
    if (m.key_is("id")) id_ = value;
    if (m.key_is("usage") && is_object(value)) usage_ = value;
    if (m.key_is("choices")) choices_ = value;
    if (m.key_is("error") && value != "null") found_.error = true;
    if (m.key_is("type")) type_ = value;
    if (m.key_is("message")) message_ = value;
    if (m.key_is("response")) message_ = value;
  }

  void take_usage(std::string_view raw) {
    const auto usage = Json::parse(raw);
    if (!usage.ok()) return;
    if (dialect_ == Dialect::kMessages || usage->find("input_tokens") != nullptr) {
      take_input_usage(*usage);
    } else {
      observer_.usage(read_openai_usage(*usage));
    }
  }

  // Anthropic's spelling; that of responses is the same but for what the cached ones count to.
  void take_input_usage(const Json& usage) {
    TokenUsage now = observer_.usage();
    merge_anthropic_usage(usage, now);
    if (dialect_ != Dialect::kMessages) {
      const Json* details = usage.find("input_tokens_details");
      const Json* cached = details == nullptr ? nullptr : details->find("cached_tokens");
      if (cached != nullptr && cached->is_int()) now.cached_tokens = cached->as_int();
    }
    observer_.usage(now);
  }

  void look_at_choices() {
    found_.id = id_;
    found_.usage = usage_;
    if (observer_.id().empty() && !id_.empty()) {
      observer_.start(skim_string(id_).value_or(""), skim_string(model_).value_or(""));
    }
    const auto choice = skim_first(choices_);
    found_.usage_only = !choice.has_value() && !usage_.empty();
    if (!choice.has_value()) return;
    JsonSkim members(*choice);
    while (members.next()) {
      if (members.key_is("text")) text(members.value());
      if (members.key_is("delta") || members.key_is("message")) look_at_delta(members.value());
      if (members.key_is("finish_reason") && members.value() != "null") {
        observer_.finish(read_openai_finish(skim_string(members.value()).value_or("")), "");
      }
    }
  }

  void text(std::string_view value) {
    if (const auto delta = skim_string(value); delta.has_value()) observer_.text(*delta);
  }

  void look_at_delta(std::string_view delta) {
    JsonSkim members(delta);
    while (members.next()) {
      if (members.key_is("role") && members.value() != "null") found_.role = members.value();
      if (members.key_is("content")) text(members.value());
      if (members.key_is("reasoning_content") || members.key_is("reasoning")) {
        if (const auto said = skim_string(members.value())) observer_.thinking(*said);
      }
      if (members.key_is("tool_calls") && skim_first(members.value()).has_value()) {
        observer_.tool_start(0, "", "");
      }
    }
  }

  // Of a stream: events of many types, some of which hold the response so far. Whole: the response.
  void look_at_response(std::string_view json) {
    if (whole_) {
      look_at_response_object(json);
      return;
    }
    const std::string type = skim_string(type_).value_or("");
    if (type == "response.output_text.delta") observer_.text(string_of(json, "delta"));
    if (type == "response.function_call_arguments.delta") observer_.tool_start(0, "", "");
    if (type.starts_with("response.reasoning") && type.ends_with(".delta")) {
      observer_.thinking(string_of(json, "delta"));
    }
    if (type == "error" || type == "response.failed") found_.error = true;
    if (!message_.empty()) look_at_response_object(message_);
    if (type == "response.completed" || type == "response.incomplete") observer_.done();
  }

  void look_at_response_object(std::string_view response) {
    std::string status;
    JsonSkim members(response);
    while (members.next()) {
      if (members.key_is("model") && !whole_) found_.models.push_back(members.value());
      if (members.key_is("usage") && is_object(members.value())) take_usage(members.value());
      if (members.key_is("status")) status = skim_string(members.value()).value_or("");
    }
    if (observer_.id().empty()) {
      observer_.start(string_of(response, "id"), string_of(response, "model"));
    }
    if (status == "completed") observer_.finish(FinishReason::kStop, "");
    if (status == "incomplete") observer_.finish(FinishReason::kLength, "");
  }

  void look_at_message(std::string_view json) {
    if (whole_) {
      observer_.start(skim_string(id_).value_or(""), skim_string(model_).value_or(""));
      JsonSkim blocks(skim_member(json, "content").value_or(""));
      while (blocks.next()) look_at_block(blocks.value());
      stop(json);
      return;
    }
    const std::string type = skim_string(type_).value_or("");
    if (type == "error") found_.error = true;
    if (type == "message_start") look_at_start();
    const auto index = skim_int(skim_member(json, "index").value_or(""));
    if (type == "content_block_stop") found_.block_stop = index;
    if (type == "content_block_start") {
      found_.block_start = index;
      look_at_block(skim_member(json, "content_block").value_or(""));
    }
    if (type == "content_block_delta") {
      const std::string_view delta = skim_member(json, "delta").value_or("");
      const std::string kind = string_of(delta, "type");
      if (kind == "text_delta") observer_.text(string_of(delta, "text"));
      if (kind == "thinking_delta") observer_.thinking(string_of(delta, "thinking"));
      if (kind == "input_json_delta") observer_.tool_arguments(0, "");
    }
    if (type == "message_delta") stop(skim_member(json, "delta").value_or(""));
    if (type == "message_stop") observer_.done();
  }

  void look_at_start() {
    JsonSkim members(message_);
    std::string_view id;
    std::string_view model;
    while (members.next()) {
      if (members.key_is("id")) id = members.value();
      if (members.key_is("model")) {
        model = members.value();
        found_.models.push_back(model);
      }
      if (members.key_is("usage") && is_object(members.value())) take_usage(members.value());
    }
    observer_.start(skim_string(id).value_or(""), skim_string(model).value_or(""));
  }

  void look_at_block(std::string_view block) {
    const std::string type = string_of(block, "type");
    if (type == "text") observer_.text(string_of(block, "text"));
    if (type.ends_with("thinking")) observer_.thinking(type);
    if (type.ends_with("tool_use")) observer_.tool_start(0, "", "");
  }

  void stop(std::string_view holder) {
    const std::string reason = string_of(holder, "stop_reason");
    if (!reason.empty()) observer_.finish(read_anthropic_stop(reason), "");
  }

  Dialect dialect_;
  bool whole_;
  StreamObserver& observer_;
  Sighting found_;
  std::string_view model_;
  std::string_view id_;
  std::string_view usage_;
  std::string_view choices_;
  std::string_view type_;
  std::string_view message_;
};

}  // namespace

Dialect dialect_of(Protocol protocol, std::string_view path) {
  if (protocol == Protocol::kAnthropic) {
    return path.ends_with("/messages") ? Dialect::kMessages : Dialect::kOther;
  }
  if (path.ends_with("/chat/completions")) return Dialect::kChat;
  if (path.ends_with("/completions")) return Dialect::kCompletions;
  if (path.ends_with("/responses")) return Dialect::kResponses;
  return Dialect::kOther;
}

std::string replace_pieces(std::string_view text, const std::vector<std::string_view>& pieces,
                           std::string_view by) {
  std::string out;
  out.reserve(text.size() + pieces.size() * by.size());
  size_t at = 0;
  for (const std::string_view piece : pieces) {
    const auto begin = static_cast<size_t>(piece.data() - text.data());
    out += text.substr(at, begin - at);
    out += by;
    at = begin + piece.size();
  }
  out += text.substr(at);
  return out;
}

std::string replace_pieces(std::string_view text, Pieces pieces) {
  std::sort(pieces.begin(), pieces.end(),
            [](const auto& a, const auto& b) { return a.first.data() < b.first.data(); });
  std::string out;
  size_t at = 0;
  for (const auto& [piece, by] : pieces) {
    const auto begin = static_cast<size_t>(piece.data() - text.data());
    out += text.substr(at, begin - at);
    out += by;
    at = begin + piece.size();
  }
  out += text.substr(at);
  return out;
}

std::optional<Sighting> look_at(Dialect dialect, std::string_view json, bool whole,
                                StreamObserver& observer) {
  if (!text::is_valid_utf8(json)) return std::nullopt;
  return Looker(dialect, whole, observer).look(json);
}

void RawEvents::feed(std::string_view bytes) {
  // What is done with goes before more comes, so that it moves once.
  if (event_ > 0) {
    buffer_.erase(0, event_);
    line_ -= event_;
    scan_ -= event_;
    data_at_ -= std::min(data_at_, event_);
    name_at_ -= std::min(name_at_, event_);
    event_ = 0;
  }
  buffer_ += bytes;
}

void RawEvents::take_line(std::string_view line) {
  const size_t colon = std::min(line.find(':'), line.size());
  const std::string_view field = line.substr(0, colon);
  size_t value = std::min(colon + 1, line.size());
  if (value < line.size() && line[value] == ' ') ++value;
  if (field == "event") {
    name_at_ = line_ + value;
    name_bytes_ = line.size() - value;
  }
  if (field != "data") return;
  if (data_lines_ == 1) joined_ = buffer_.substr(data_at_, data_bytes_);
  if (data_lines_++ == 0) {
    data_at_ = line_ + value;
    data_bytes_ = line.size() - value;
  } else {
    joined_ += '\n';
    joined_ += line.substr(value);
  }
}

Result<bool> RawEvents::next(Event& event) {
  const std::string_view all(buffer_);
  while (true) {
    const size_t end = find_line_end(all, scan_);
    // Of a CR at the end it is not known yet whether it is half of a CRLF.
    const bool open = end == std::string_view::npos || (all[end] == '\r' && end + 1 == all.size());
    if (std::min(end, all.size()) - event_ > max_event_bytes_) {
      return make_error(ErrorCode::kLimit, "a server-sent event is larger than {} bytes",
                        max_event_bytes_);
    }
    if (open) {
      scan_ = end == std::string_view::npos ? all.size() : end;
      return false;
    }
    const std::string_view line = all.substr(line_, end - line_);
    const size_t after = end + (all.substr(end, 2) == "\r\n" ? 2 : 1);
    if (!line.empty()) {
      take_line(line);
      line_ = scan_ = after;
      continue;
    }
    event.raw = all.substr(event_, after - event_);
    event.name = all.substr(name_at_, name_bytes_);
    event.has_data = data_lines_ > 0;
    event.data_in_raw = data_lines_ == 1;
    event.data = data_lines_ > 1 ? std::string_view(joined_) : all.substr(data_at_, data_bytes_);
    event_ = line_ = scan_ = after;
    data_lines_ = 0;
    data_bytes_ = name_bytes_ = 0;
    data_at_ = name_at_ = event_;
    return true;
  }
}

}  // namespace weir::gateway::translate
