#include "gateway/cache/replay.h"

#include <algorithm>
#include <utility>

#include "text/utf8.h"

namespace weir::gateway {
namespace {

using text::Json;

// Pieces of a text, cut between characters and, where there is one, behind a space.
std::vector<std::string_view> pieces_of(std::string_view text, size_t bytes) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    std::string_view piece = text::cut_utf8(text, std::max<size_t>(bytes, 4));
    if (piece.size() < text.size()) {
      const size_t space = piece.find_last_of(" \n");
      if (space != std::string_view::npos) piece = piece.substr(0, space + 1);
    }
    out.push_back(piece);
    text.remove_prefix(piece.size());
  }
  return out;
}

class Player {
 public:
  Player(const Json& answer, const ReplayOptions& options, bool chat)
      : options_(options), chat_(chat), frame_(Json::object()) {
    for (const auto& [key, value] : answer.members()) {
      if (key != "choices" && key != "usage") frame_.set(key, value);
    }
    if (chat) frame_.set("object", "chat.completion.chunk");
  }

  Status play_choice(const Json& choice) {
    const Json* index = choice.find("index");
    if (index == nullptr || !index->is_int()) return wrong("a choice without index");
    index_ = index->as_int();
    const Json* logprobs = choice.find("logprobs");
    logprobs_ = logprobs != nullptr && logprobs->is_object() ? logprobs : nullptr;
    if (chat_) {
      WEIR_TRY(play_message(choice));
    } else {
      const Json* text = choice.find("text");
      if (text == nullptr || !text->is_string()) return wrong("a choice without text");
      play_text("text", text->as_string());
    }
    Json last = Json::object();
    last.set("index", index_);
    last.set(chat_ ? "delta" : "text", chat_ ? Json::object() : Json(""));
    for (const auto& [key, value] : choice.members()) {
      if (key != "index" && key != "message" && key != "text" && key != "logprobs")
        last.set(key, value);
    }
    if (logprobs != nullptr)
      last.set("logprobs", logprobs_ != nullptr ? *std::exchange(logprobs_, nullptr) : Json());
    emit(std::move(last));
    return {};
  }

  std::vector<std::string> end(const Json* usage) {
    if (options_.include_usage && usage != nullptr) {
      Json event = frame_;
      event.set("choices", Json::array());
      event.set("usage", *usage);
      events_.push_back(event.dump());
    }
    events_.emplace_back("[DONE]");
    return std::move(events_);
  }

 private:
  static Error wrong(std::string_view what) {
    return make_error(ErrorCode::kInvalidValue, "the answer cannot be played as a stream: {}",
                      what);
  }

  void emit(Json choice) {
    Json event = frame_;
    event.set("choices", Json::array());
    event.find("choices")->push_back(std::move(choice));
    events_.push_back(event.dump());
  }

  // An event whose delta, or choice, has one member.
  void emit_piece(std::string_view key, Json value) {
    Json choice = Json::object();
    choice.set("index", index_);
    if (chat_) {
      choice.set("delta", Json::object()).set(key, std::move(value));
    } else {
      choice.set(key, std::move(value));
    }
    if (logprobs_ != nullptr) choice.set("logprobs", *std::exchange(logprobs_, nullptr));
    choice.set("finish_reason", nullptr);
    emit(std::move(choice));
  }

  void play_text(std::string_view key, const std::string& text) {
    // Log probabilities go with the first piece, and so all of the text they are of does.
    const bool one_piece = logprobs_ != nullptr && (key == "content" || key == "text");
    if (one_piece || text.empty()) return emit_piece(key, text);
    for (const std::string_view piece : pieces_of(text, options_.piece_bytes))
      emit_piece(key, piece);
  }

  Status play_message(const Json& choice) {
    const Json* message = choice.find("message");
    if (message == nullptr || !message->is_object()) return wrong("a choice without message");
    const Json* const logprobs = std::exchange(logprobs_, nullptr);
    const Json* role = message->find("role");
    emit_piece("role", role != nullptr ? *role : Json("assistant"));
    for (const auto& [key, value] : message->members()) {
      if (key == "role" || key == "tool_calls") continue;
      logprobs_ = key == "content" ? logprobs : nullptr;
      if (value.is_string()) {
        play_text(key, value.as_string());
      } else {
        emit_piece(key, value);
      }
    }
    logprobs_ = logprobs != nullptr && message->find("content") == nullptr ? logprobs : nullptr;
    if (const Json* calls = message->find("tool_calls"); calls != nullptr && calls->is_array()) {
      for (size_t i = 0; i < calls->size(); ++i) play_tool_call(i, calls->items()[i]);
    }
    return {};
  }

  void emit_call(size_t at, Json call) {
    Json with_index = Json::object();
    with_index.set("index", static_cast<int64_t>(at));
    for (auto& [key, value] : call.members()) with_index.set(key, std::move(value));
    Json calls = Json::array();
    calls.push_back(std::move(with_index));
    emit_piece("tool_calls", std::move(calls));
  }

  // The name first, with arguments that are empty, then those piece by piece.
  void play_tool_call(size_t at, const Json& call) {
    Json head = call;
    Json* function = head.find("function");
    const Json* arguments = function != nullptr ? function->find("arguments") : nullptr;
    if (arguments == nullptr || !arguments->is_string()) return emit_call(at, std::move(head));
    const std::string text = arguments->as_string();
    function->set("arguments", "");
    emit_call(at, std::move(head));
    for (const std::string_view piece : pieces_of(text, options_.piece_bytes)) {
      Json more = Json::object();
      more.set("function", Json::object()).set("arguments", piece);
      emit_call(at, std::move(more));
    }
  }

  const ReplayOptions& options_;
  const bool chat_;
  Json frame_;  // of every event: id, created, model and the like
  int64_t index_ = 0;
  const Json* logprobs_ = nullptr;  // that the next piece carries
  std::vector<std::string> events_;
};

}  // namespace

Result<std::vector<std::string>> replay_stream(const Json& answer, const ReplayOptions& options) {
  const Json* object = answer.find("object");
  const Json* choices = answer.find("choices");
  const bool chat = object != nullptr && *object == Json("chat.completion");
  const bool completion = object != nullptr && *object == Json("text_completion");
  if ((!chat && !completion) || choices == nullptr || !choices->is_array()) {
    return make_error(ErrorCode::kInvalidValue,
                      "the answer cannot be played as a stream: it is no completion");
  }
  Player player(answer, options, chat);
  for (const Json& choice : choices->items()) WEIR_TRY(player.play_choice(choice));
  return player.end(answer.find("usage"));
}

}  // namespace weir::gateway
