// A stream as chat.completion.chunk events.
#include <utility>

#include "gateway/translate/answers.h"
#include "gateway/translate/json_writer.h"
#include "gateway/translate/stream.h"
#include "http/sse.h"

namespace weir::gateway::translate {
namespace {

class Writer final : public StreamWriter {
 public:
  explicit Writer(StreamWriterOptions options)
      : options_(std::move(options)), id_(options_.id), started_(options_.begun) {}

  void start(std::string_view id, std::string_view model) override {
    if (started_) return;
    started_ = true;
    id_ = id;
    if (options_.model.empty()) options_.model = model;
    JsonWriter w = begin_choice();
    w.member("role", "assistant").member("content", "");
    end_choice(w);
  }
  void text(std::string_view delta) override { send("content", delta); }
  void thinking(std::string_view delta) override { send("reasoning_content", delta); }

  void tool_start(size_t call, std::string_view id, std::string_view name) override {
    JsonWriter w = begin_choice();
    w.key("tool_calls").begin_array().begin_object();
    w.member_integer("index", static_cast<int64_t>(call)).member("id", id);
    w.member("type", "function").key("function").begin_object();
    w.member("name", name).member("arguments", "").end_object().end_object().end_array();
    end_choice(w);
  }
  void tool_arguments(size_t call, std::string_view delta) override {
    JsonWriter w = begin_choice();
    w.key("tool_calls").begin_array().begin_object();
    w.member_integer("index", static_cast<int64_t>(call)).key("function").begin_object();
    w.member("arguments", delta).end_object().end_object().end_array();
    end_choice(w);
  }

  void usage(const TokenUsage& usage) override { usage_ = usage; }

  void finish(FinishReason reason, std::string_view) override {
    JsonWriter w = begin_choice();
    end_choice(w, finish_reason_name(reason));
  }

  void done() override {
    if (options_.include_usage) {
      JsonWriter w = begin();
      w.end_array().key("usage").raw(openai_usage(usage_).dump()).end_object();
      http::append_sse_data(out_, w.text());
    }
    out_ += http::kSseDone;
  }

  void fail(const Error& error, std::string_view request_id) override {
    http::append_sse_data(out_, write_error(Protocol::kOpenAi, error, request_id));
  }

 private:
  // Up to the inside of "choices".
  JsonWriter begin() const {
    JsonWriter w;
    w.begin_object().member("id", id_).member("object", "chat.completion.chunk");
    w.member_integer("created", options_.created_unix_s).member("model", options_.model);
    w.key("choices").begin_array();
    return w;
  }
  // Up to the inside of "delta".
  JsonWriter begin_choice() const {
    JsonWriter w = begin();
    w.begin_object().member_integer("index", 0).key("delta").begin_object();
    return w;
  }
  void end_choice(JsonWriter& w, std::string_view reason = "") {
    w.end_object().key("finish_reason");
    if (reason.empty()) {
      w.null();
    } else {
      w.string(reason);
    }
    w.end_object().end_array().end_object();
    http::append_sse_data(out_, w.text());
  }
  void send(std::string_view name, std::string_view delta) {
    JsonWriter w = begin_choice();
    w.member(name, delta);
    end_choice(w);
  }

  StreamWriterOptions options_;
  std::string id_;
  TokenUsage usage_;
  bool started_ = false;
};

}  // namespace

std::unique_ptr<StreamWriter> make_openai_stream_writer(StreamWriterOptions options) {
  return std::make_unique<Writer>(std::move(options));
}

}  // namespace weir::gateway::translate
