// chat.completion.chunk events, as OpenAI, vLLM, SGLang, llama.cpp and weir send them.
#include <utility>
#include <vector>

#include "gateway/translate/answers.h"
#include "gateway/translate/requests.h"
#include "gateway/translate/stream.h"

namespace weir::gateway::translate {
namespace {

using text::Json;

std::string_view string_of(const Json& object, std::string_view name) {
  const Json* value = object.find(name);
  return value != nullptr && value->is_string() ? std::string_view(value->as_string())
                                                : std::string_view();
}

// The index of a choice or call; 0 where it is missing.
int64_t index_of(const Json& object) {
  const Json* value = object.find("index");
  return value != nullptr && value->is_int() ? value->as_int() : 0;
}

class Reader final : public StreamReader {
 public:
  Reader(StreamSink& sink, const TranslateLimits& limits) : sink_(sink), limits_(limits) {}

  bool done() const override { return done_; }

  Status event(const http::SseEvent& event) override {
    if (done_) return {};
    if (event.name == "error") return read_error(200, event.data);
    if (!event.name.empty() && event.name != "message") return {};
    if (event.data == "[DONE]") {
      if (!started_)
        return make_error(ErrorCode::kCorrupt, "the upstream's stream holds no answer");
      finish_up();
      return {};
    }
    const auto json = parse_bounded(event.data, limits_);
    if (!json.ok()) {
      return make_error(ErrorCode::kCorrupt, "an event of the upstream's stream: {}",
                        json.error().message);
    }
    if (!json->is_object()) {
      return make_error(ErrorCode::kCorrupt, "an event of the upstream's stream is no object");
    }
    if (const Json* error = json->find("error"); error != nullptr && !error->is_null()) {
      return read_error(200, event.data);
    }
    return read_chunk(*json);
  }

  Status end() override {
    if (done_) return {};
    if (!finished_) {
      return make_error(ErrorCode::kCorrupt, "the upstream's stream ended before its answer did");
    }
    finish_up();
    return {};
  }

 private:
  struct Call {
    int64_t index = 0;  // the upstream's
    std::string id;
  };

  void finish_up() {
    if (!finished_) sink_.finish(FinishReason::kStop, "");
    sink_.done();
    done_ = true;
  }

  Status read_chunk(const Json& chunk) {
    if (!started_) {
      started_ = true;
      id_ = string_of(chunk, "id");
      sink_.start(id_, string_of(chunk, "model"));
    }
    if (const Json* usage = chunk.find("usage"); usage != nullptr && usage->is_object()) {
      sink_.usage(read_openai_usage(*usage));
    }
    const Json* choices = chunk.find("choices");
    if (choices == nullptr || choices->is_null()) return {};
    if (!choices->is_array()) {
      return make_error(ErrorCode::kCorrupt, "a chunk has choices that are no array");
    }
    for (const Json& choice : choices->items()) {
      if (index_of(choice) == 0) WEIR_TRY(read_choice(choice));
    }
    return {};
  }

  Status read_choice(const Json& choice) {
    if (const Json* delta = choice.find("delta"); delta != nullptr && delta->is_object()) {
      std::string_view thinking = string_of(*delta, "reasoning_content");
      if (thinking.empty()) thinking = string_of(*delta, "reasoning");
      if (!thinking.empty()) sink_.thinking(thinking);
      for (const std::string_view name : {"content", "refusal"}) {
        const std::string_view text = string_of(*delta, name);
        if (!text.empty()) sink_.text(text);
      }
      const Json* calls = delta->find("tool_calls");
      if (calls != nullptr && calls->is_array()) {
        for (const Json& call : calls->items()) WEIR_TRY(read_call(call));
      }
    }
    const std::string_view reason = string_of(choice, "finish_reason");
    if (!reason.empty() && !finished_) {
      finished_ = true;
      sink_.finish(read_openai_finish(reason), string_of(choice, "stop_reason"));
    }
    return {};
  }

  // A call begins with a new index, or, where an engine gives all of them the same one, with a new
  // id and a name.
  Status read_call(const Json& delta) {
    const int64_t index = index_of(delta);
    const std::string_view id = string_of(delta, "id");
    const Json* function = delta.find("function");
    const std::string_view name =
        function == nullptr ? std::string_view() : string_of(*function, "name");
    size_t at = calls_.size();
    while (at > 0 && calls_[at - 1].index != index) --at;
    const bool other = at > 0 && !id.empty() && !name.empty() && calls_[at - 1].id != id;
    if (at == 0 || other) {
      if (calls_.size() >= limits_.max_tools) {
        return make_error(ErrorCode::kLimit, "the upstream's stream has more than {} tool calls",
                          limits_.max_tools);
      }
      if (name.empty()) {
        return make_error(ErrorCode::kCorrupt, "a tool call of the upstream's stream has no name");
      }
      at = calls_.size() + 1;
      calls_.push_back(
          {index, id.empty() ? fmt::format("call_{}_{}", id_, at - 1) : std::string(id)});
      sink_.tool_start(at - 1, calls_.back().id, name);
    }
    const std::string_view arguments =
        function == nullptr ? std::string_view() : string_of(*function, "arguments");
    if (!arguments.empty()) sink_.tool_arguments(at - 1, arguments);
    return {};
  }

  StreamSink& sink_;
  TranslateLimits limits_;
  std::string id_;
  std::vector<Call> calls_;
  bool started_ = false;
  bool finished_ = false;
  bool done_ = false;
};

}  // namespace

std::unique_ptr<StreamReader> make_openai_stream_reader(StreamSink& sink,
                                                        const TranslateLimits& limits) {
  return std::make_unique<Reader>(sink, limits);
}

}  // namespace weir::gateway::translate
