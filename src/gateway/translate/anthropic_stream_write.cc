// A stream as the events of POST /v1/messages. Blocks of that protocol follow one another, while
// the calls and texts of the other one may interleave: what belongs to a later block waits until
// the one before it can be closed. A text or thinking can be closed at any time, a tool call when
// its arguments are a whole JSON object; all are at the end.
#include <deque>
#include <utility>

#include "gateway/translate/answers.h"
#include "gateway/translate/json_writer.h"
#include "gateway/translate/stream.h"
#include "http/sse.h"

namespace weir::gateway::translate {
namespace {

// Follows JSON text to the end of its outermost object.
class ObjectEnd {
 public:
  void feed(std::string_view text) {
    for (const char c : text) {
      if (in_string_) {
        if (escaped_) {
          escaped_ = false;
        } else if (c == '\\') {
          escaped_ = true;
        } else if (c == '"') {
          in_string_ = false;
        }
        continue;
      }
      if (c == '"') in_string_ = true;
      if (c == '{' || c == '[') ++depth_;
      if ((c == '}' || c == ']') && depth_ > 0 && --depth_ == 0) complete_ = true;
    }
  }
  bool complete() const { return complete_; }

 private:
  size_t depth_ = 0;
  bool in_string_ = false;
  bool escaped_ = false;
  bool complete_ = false;
};

class Writer final : public StreamWriter {
 public:
  explicit Writer(StreamWriterOptions options)
      : options_(std::move(options)), index_(options_.next_block), started_(options_.begun) {
    if (options_.text_open) blocks_.emplace_back().open = true;
  }

  Status status() const override {
    if (!too_large_) return {};
    return make_error(ErrorCode::kLimit,
                      "tool calls that wait for the one before them hold more than {} bytes",
                      options_.limits.max_pending_bytes);
  }

  void start(std::string_view id, std::string_view model) override {
    if (started_) return;
    started_ = true;
    JsonWriter w;
    w.begin_object().member("type", "message_start").key("message").begin_object();
    w.member("id", id).member("type", "message").member("role", "assistant");
    w.member("model", options_.model.empty() ? model : options_.model);
    w.key("content").begin_array().end_array().key("stop_reason").null();
    w.key("stop_sequence").null().key("usage").raw(anthropic_usage(usage_).dump());
    w.end_object().end_object();
    send("message_start", w);
  }
  void text(std::string_view delta) override { add_to_last(Kind::kText, delta); }
  void thinking(std::string_view delta) override { add_to_last(Kind::kThinking, delta); }

  void tool_start(size_t call, std::string_view id, std::string_view name) override {
    Block block;
    block.kind = Kind::kToolCall;
    block.call = call;
    block.id = encode_tool_id(id);
    block.name = name;
    grow(block.id.size() + block.name.size());
    any_call_ = true;
    blocks_.push_back(std::move(block));
    advance();
  }
  void tool_arguments(size_t call, std::string_view delta) override {
    for (Block& block : blocks_) {
      if (block.kind == Kind::kToolCall && block.call == call) {
        block.object.feed(delta);
        add(block, delta);
        return;
      }
    }
    // Its block is closed, so its arguments were whole: blanks behind them.
  }

  void usage(const TokenUsage& usage) override { usage_ = usage; }

  void finish(FinishReason reason, std::string_view stop_sequence) override {
    while (!blocks_.empty()) close_front();
    reason_ = reason;
    stop_sequence_ = stop_sequence;
  }

  void done() override {
    while (!blocks_.empty()) close_front();
    JsonWriter w;
    const bool by_sequence = !stop_sequence_.empty();
    w.begin_object().member("type", "message_delta").key("delta").begin_object();
    w.member("stop_reason", anthropic_stop_reason(reason_, by_sequence, any_call_));
    w.key("stop_sequence");
    if (by_sequence) {
      w.string(stop_sequence_);
    } else {
      w.null();
    }
    w.end_object().key("usage").raw(anthropic_usage(usage_).dump()).end_object();
    send("message_delta", w);
    out_ += "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
  }

  void fail(const Error& error, std::string_view request_id) override {
    http::append_sse_event(out_, "error", write_error(Protocol::kAnthropic, error, request_id));
  }

 private:
  enum class Kind : uint8_t { kText, kThinking, kToolCall };
  struct Block {
    Kind kind = Kind::kText;
    bool open = false;    // its content_block_start went out
    std::string pending;  // what has not gone out
    size_t call = 0;
    std::string id;
    std::string name;
    ObjectEnd object;
  };

  void send(std::string_view name, const JsonWriter& w) {
    http::append_sse_event(out_, name, w.text());
  }

  void grow(size_t bytes) {
    pending_bytes_ += bytes;
    too_large_ = too_large_ || pending_bytes_ > options_.limits.max_pending_bytes;
  }

  void add_to_last(Kind kind, std::string_view delta) {
    if (blocks_.empty() || blocks_.back().kind != kind) {
      blocks_.emplace_back().kind = kind;
      advance();
    }
    add(blocks_.back(), delta);
  }

  void add(Block& block, std::string_view delta) {
    block.pending += delta;
    grow(delta.size());
    if (&block == &blocks_.front()) flush_front();
  }

  // Closes what can be, so that the last block comes nearer to the front.
  void advance() {
    while (blocks_.size() > 1 &&
           (blocks_.front().kind != Kind::kToolCall || blocks_.front().object.complete())) {
      close_front();
    }
    if (blocks_.front().kind == Kind::kToolCall) flush_front();
  }

  // Texts open with their first character that is no blank; one of blanks alone is left out, as
  // Anthropic refuses it in the next request.
  void flush_front() {
    Block& block = blocks_.front();
    if (!block.open) {
      if (block.kind == Kind::kText && is_blank(block.pending)) return;
      open(block);
    }
    if (block.pending.empty()) return;
    JsonWriter w;
    w.begin_object().member("type", "content_block_delta").member_integer("index", index_);
    w.key("delta").begin_object();
    if (block.kind == Kind::kText) w.member("type", "text_delta").member("text", block.pending);
    if (block.kind == Kind::kThinking) {
      w.member("type", "thinking_delta").member("thinking", block.pending);
    }
    if (block.kind == Kind::kToolCall) {
      w.member("type", "input_json_delta").member("partial_json", block.pending);
    }
    w.end_object().end_object();
    send("content_block_delta", w);
    pending_bytes_ -= block.pending.size();
    block.pending.clear();
  }

  void open(Block& block) {
    block.open = true;
    JsonWriter w;
    w.begin_object().member("type", "content_block_start").member_integer("index", index_);
    w.key("content_block").begin_object();
    if (block.kind == Kind::kText) w.member("type", "text").member("text", "");
    if (block.kind == Kind::kThinking) {
      w.member("type", "thinking").member("thinking", "").member("signature", "");
    }
    if (block.kind == Kind::kToolCall) {
      w.member("type", "tool_use").member("id", block.id).member("name", block.name);
      w.key("input").begin_object().end_object();
    }
    w.end_object().end_object();
    send("content_block_start", w);
  }

  void close_front() {
    flush_front();
    Block& block = blocks_.front();
    if (block.open) {
      JsonWriter w;
      w.begin_object().member("type", "content_block_stop").member_integer("index", index_);
      w.end_object();
      send("content_block_stop", w);
      ++index_;
    }
    pending_bytes_ -= block.pending.size() + block.id.size() + block.name.size();
    blocks_.pop_front();
  }

  StreamWriterOptions options_;
  TokenUsage usage_;
  std::deque<Block> blocks_;  // the front one is the client's, the others wait
  size_t pending_bytes_ = 0;
  int64_t index_ = 0;  // of the front block
  FinishReason reason_ = FinishReason::kStop;
  std::string stop_sequence_;
  bool started_ = false;
  bool any_call_ = false;
  bool too_large_ = false;
};

}  // namespace

std::unique_ptr<StreamWriter> make_anthropic_stream_writer(StreamWriterOptions options) {
  return std::make_unique<Writer>(std::move(options));
}

}  // namespace weir::gateway::translate
