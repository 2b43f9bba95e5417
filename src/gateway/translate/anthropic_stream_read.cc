// The events of POST /v1/messages with "stream": message_start, content_block_*, message_delta,
// message_stop, ping, error.
#include <map>
#include <optional>
#include <utility>

#include "gateway/translate/answers.h"
#include "gateway/translate/json_skim.h"
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

Error corrupt(std::string_view what) {
  return make_error(ErrorCode::kCorrupt, "the upstream's stream {}", what);
}

class Reader final : public StreamReader {
 public:
  Reader(StreamSink& sink, const TranslateLimits& limits) : sink_(sink), limits_(limits) {}

  bool done() const override { return done_; }

  Status event(const http::SseEvent& event) override {
    if (done_) return {};
    if (event.name == "error") return read_error(200, event.data);
    if (!event.name.empty() && !is_known(event.name)) return {};
    const auto json = parse_bounded(event.data, limits_);
    if (!json.ok()) {
      return make_error(ErrorCode::kCorrupt, "an event of the upstream's stream: {}",
                        json.error().message);
    }
    if (!json->is_object()) return corrupt("has an event that is no object");
    const std::string_view type = string_of(*json, "type");
    if (type == "error") return read_error(200, event.data);
    if (type == "message_start") return read_start(*json);
    if (!is_known(type)) return {};
    if (!started_) return corrupt("begins without message_start");
    if (type == "content_block_start") return read_block_start(*json, event.data);
    if (type == "content_block_delta") return read_block_delta(*json);
    if (type == "content_block_stop") return read_block_stop(*json);
    if (type == "message_delta") return read_message_delta(*json);
    finish_up();  // message_stop
    return {};
  }

  Status end() override {
    if (done_) return {};
    if (!finished_) return corrupt("ended before its answer did");
    finish_up();
    return {};
  }

 private:
  enum class Kind : uint8_t { kText, kThinking, kToolCall, kOther };
  struct Block {
    Kind kind = Kind::kOther;
    size_t call = 0;
    bool arguments = false;  // some were there
  };

  static bool is_known(std::string_view name) {
    for (const std::string_view known :
         {"message_start", "content_block_start", "content_block_delta", "content_block_stop",
          "message_delta", "message_stop"}) {
      if (name == known) return true;
    }
    return false;
  }

  void finish_up() {
    if (!finished_) sink_.finish(FinishReason::kStop, "");
    finished_ = true;
    sink_.done();
    done_ = true;
  }

  Status read_start(const Json& event) {
    const Json* message = event.find("message");
    if (message == nullptr || !message->is_object()) return corrupt("has a start without message");
    if (started_) return corrupt("has two starts");
    started_ = true;
    sink_.start(string_of(*message, "id"), string_of(*message, "model"));
    if (const Json* usage = message->find("usage"); usage != nullptr) take_usage(*usage);
    return {};
  }

  void take_usage(const Json& usage) {
    if (!usage.is_object()) return;
    merge_anthropic_usage(usage, usage_);
    sink_.usage(usage_);
  }

  static std::optional<int64_t> index_of(const Json& event) {
    const Json* index = event.find("index");
    if (index == nullptr || !index->is_int() || index->as_int() < 0) return std::nullopt;
    return index->as_int();
  }

  Status read_block_start(const Json& event, std::string_view raw) {
    const auto index = index_of(event);
    const Json* content = event.find("content_block");
    if (!index.has_value() || content == nullptr || !content->is_object()) {
      return corrupt("has a content_block_start without index or block");
    }
    if (blocks_.contains(*index)) return corrupt("starts a block twice");
    if (++block_count_ > limits_.max_blocks) {
      return make_error(ErrorCode::kLimit, "the upstream's stream has more than {} blocks",
                        limits_.max_blocks);
    }
    Block block;
    const std::string_view type = string_of(*content, "type");
    if (type == "text") block.kind = Kind::kText;
    if (type == "thinking") block.kind = Kind::kThinking;
    if (type == "tool_use") block.kind = Kind::kToolCall;
    if (block.kind == Kind::kText) send(string_of(*content, "text"), block);
    if (block.kind == Kind::kThinking) send(string_of(*content, "thinking"), block);
    if (block.kind == Kind::kToolCall) {
      if (string_of(*content, "name").empty()) return corrupt("has a tool_use without a name");
      block.call = calls_++;
      sink_.tool_start(block.call, decode_tool_id(string_of(*content, "id")),
                       string_of(*content, "name"));
      // Some servers give all of it at once.
      const Json* input = content->find("input");
      if (input != nullptr && input->is_object() && input->size() > 0) {
        const auto holder = skim_member(raw, "content_block");
        send(skim_member(holder.value_or(""), "input").value_or(""), block);
      }
    }
    blocks_.emplace(*index, block);
    return {};
  }

  void send(std::string_view delta, Block& block) {
    if (delta.empty()) return;
    if (block.kind == Kind::kText) sink_.text(delta);
    if (block.kind == Kind::kThinking) sink_.thinking(delta);
    if (block.kind == Kind::kToolCall) {
      block.arguments = true;
      sink_.tool_arguments(block.call, delta);
    }
  }

  Result<Block*> block_of(const Json& event) {
    const auto index = index_of(event);
    const auto found = index.has_value() ? blocks_.find(*index) : blocks_.end();
    if (found == blocks_.end()) return corrupt("has a delta or stop of a block that did not start");
    return &found->second;
  }

  Status read_block_delta(const Json& event) {
    WEIR_ASSIGN(Block * block, block_of(event));
    const Json* delta = event.find("delta");
    if (delta == nullptr || !delta->is_object()) return corrupt("has a delta without content");
    const std::string_view type = string_of(*delta, "type");
    if (type == "text_delta" && block->kind == Kind::kText) send(string_of(*delta, "text"), *block);
    if (type == "thinking_delta" && block->kind == Kind::kThinking) {
      send(string_of(*delta, "thinking"), *block);
    }
    if (type == "input_json_delta" && block->kind == Kind::kToolCall) {
      send(string_of(*delta, "partial_json"), *block);
    }
    return {};  // signatures and citations have no place in the other protocol
  }

  Status read_block_stop(const Json& event) {
    WEIR_ASSIGN(Block * block, block_of(event));
    // A call without arguments: clients of OpenAI parse what they get.
    if (block->kind == Kind::kToolCall) send(block->arguments ? "" : "{}", *block);
    blocks_.erase(*index_of(event));
    return {};
  }

  Status read_message_delta(const Json& event) {
    if (const Json* usage = event.find("usage"); usage != nullptr) take_usage(*usage);
    const Json* delta = event.find("delta");
    if (delta == nullptr) return {};
    const std::string_view reason = string_of(*delta, "stop_reason");
    if (!reason.empty() && !finished_) {
      finished_ = true;
      sink_.finish(read_anthropic_stop(reason), string_of(*delta, "stop_sequence"));
    }
    return {};
  }

  StreamSink& sink_;
  TranslateLimits limits_;
  TokenUsage usage_;
  std::map<int64_t, Block> blocks_;  // open ones
  size_t block_count_ = 0;
  size_t calls_ = 0;
  bool started_ = false;
  bool finished_ = false;
  bool done_ = false;
};

}  // namespace

std::unique_ptr<StreamReader> make_anthropic_stream_reader(StreamSink& sink,
                                                           const TranslateLimits& limits) {
  return std::make_unique<Reader>(sink, limits);
}

}  // namespace weir::gateway::translate
