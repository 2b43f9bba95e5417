#include "gateway/translate/translate.h"

#include <utility>

#include "gateway/translate/answers.h"
#include "gateway/translate/passthrough.h"
#include "gateway/translate/requests.h"
#include "gateway/translate/rewrite.h"
#include "gateway/translate/stream.h"
#include "http/sse.h"
#include "text/ascii_lower.h"
#include "text/json.h"

namespace weir::gateway {
namespace {

using text::Json;
using translate::Dialect;
using translate::StreamReader;
using translate::StreamSink;
using translate::StreamWriter;

constexpr std::string_view kChatPath = "/v1/chat/completions";
constexpr std::string_view kMessagesPath = "/v1/messages";

// The media type without its parameters, in lower case.
std::string media_type(std::string_view content_type) {
  std::string type = text::ascii_lower(content_type.substr(0, content_type.find(';')));
  while (!type.empty() && type.back() == ' ') type.pop_back();
  return type;
}

// Tells the observer, and the writer of what the client gets.
class Tee final : public StreamSink {
 public:
  Tee(StreamObserver& first, StreamSink& second) : first_(first), second_(second) {}
  void start(std::string_view id, std::string_view model) override {
    first_.start(id, model);
    second_.start(id, model);
  }
  void text(std::string_view delta) override {
    first_.text(delta);
    second_.text(delta);
  }
  void thinking(std::string_view delta) override {
    first_.thinking(delta);
    second_.thinking(delta);
  }
  void tool_start(size_t call, std::string_view id, std::string_view name) override {
    first_.tool_start(call, id, name);
    second_.tool_start(call, id, name);
  }
  void tool_arguments(size_t call, std::string_view delta) override {
    first_.tool_arguments(call, delta);
    second_.tool_arguments(call, delta);
  }
  void usage(const TokenUsage& usage) override {
    first_.usage(usage);
    second_.usage(first_.total_usage());
  }
  void finish(FinishReason reason, std::string_view stop_sequence) override {
    first_.finish(reason, stop_sequence);
    second_.finish(reason, stop_sequence);
  }
  void done() override {
    first_.done();
    second_.done();
  }

 private:
  StreamObserver& first_;
  StreamSink& second_;
};

// Events of one protocol in, events of a protocol out.
class Chain {
 public:
  Chain(const AnswerPlan& plan, translate::StreamWriterOptions o, StreamObserver& observer)
      : limits_(plan.limits) {
    if (!plan.client_model.empty()) o.model = plan.client_model;
    o.include_usage = plan.include_usage;
    o.created_unix_s = plan.created_unix_s;
    o.limits = plan.limits;
    writer_ = plan.client == Protocol::kOpenAi
                  ? translate::make_openai_stream_writer(std::move(o))
                  : translate::make_anthropic_stream_writer(std::move(o));
    tee_ = std::make_unique<Tee>(observer, *writer_);
  }

  // From the beginning of an upstream's stream.
  void read_from(Protocol upstream) {
    events_ = std::make_unique<http::SseReader>(limits_.max_event_bytes);
    reader_ = upstream == Protocol::kOpenAi
                  ? translate::make_openai_stream_reader(*tee_, limits_)
                  : translate::make_anthropic_stream_reader(*tee_, limits_);
  }

  Status feed(std::string_view bytes, std::string& out) {
    Status event_status;
    Status fed = events_->feed(bytes, [&](const http::SseEvent& event) {
      if (event_status.ok()) event_status = reader_->event(event);
      if (event_status.ok()) event_status = writer_->status();
    });
    out += writer_->take();
    WEIR_TRY(event_status);
    return fed;
  }

  Status end(std::string& out) {
    Status ended = reader_->end();
    out += writer_->take();
    return ended;
  }

  void end_at_length(const TokenUsage& usage, std::string& out) {
    writer_->usage(usage);
    tee_->finish(FinishReason::kLength, "");
    tee_->done();
    out += writer_->take();
  }

 private:
  TranslateLimits limits_;
  std::unique_ptr<StreamWriter> writer_;
  std::unique_ptr<Tee> tee_;
  std::unique_ptr<http::SseReader> events_;
  std::unique_ptr<StreamReader> reader_;
};

// From one protocol to the other.
class Translating final : public AnswerTranslator {
 public:
  explicit Translating(AnswerPlan plan)
      : AnswerTranslator(std::move(plan)), chain_(plan_, {}, observer_) {
    chain_.read_from(plan_.upstream);
  }

  Status feed(std::string_view bytes, std::string& out) override { return chain_.feed(bytes, out); }
  Status end(std::string& out) override { return chain_.end(out); }
  Status resume(Protocol upstream) override {
    plan_.upstream = upstream;
    observer_.resume();
    chain_.read_from(upstream);
    return {};
  }
  Status end_at_length(const TokenUsage& usage, std::string& out) override {
    chain_.end_at_length(usage, out);
    return {};
  }

 protected:
  Result<std::string> whole_body(std::string_view body) override {
    auto answer = plan_.upstream == Protocol::kOpenAi
                      ? translate::read_openai_answer(body, plan_.limits)
                      : translate::read_anthropic_answer(body, plan_.limits);
    if (!answer.ok()) return answer.error();
    observe(*answer);
    if (!plan_.client_model.empty()) answer->model = plan_.client_model;
    if (answer->created_unix_s == 0) answer->created_unix_s = plan_.created_unix_s;
    return plan_.client == Protocol::kOpenAi ? translate::write_openai_answer(*answer)
                                             : translate::write_anthropic_answer(*answer);
  }

 private:
  void observe(const translate::Answer& answer) {
    using Kind = translate::ContentBlock::Kind;
    observer_.start(answer.id, answer.model);
    for (const translate::ContentBlock& block : answer.blocks) {
      if (block.kind == Kind::kText) observer_.text(block.text);
      if (block.kind == Kind::kThinking) observer_.thinking(block.text);
      if (block.kind == Kind::kToolCall) observer_.tool_start(0, block.id, block.name);
    }
    observer_.usage(answer.usage);
    observer_.finish(answer.finish, answer.stop_sequence);
  }

  Chain chain_;
};

// Bytes that pass.
class Passing final : public AnswerTranslator {
 public:
  explicit Passing(AnswerPlan plan)
      : AnswerTranslator(std::move(plan)),
        dialect_(translate::dialect_of(plan_.upstream, plan_.path)),
        model_(text::json_quote(plan_.client_model)),
        events_(plan_.limits.max_event_bytes) {}

  Status feed(std::string_view bytes, std::string& out) override {
    if (chain_ != nullptr) return chain_->feed(bytes, out);
    events_.feed(bytes);
    translate::RawEvents::Event event;
    while (true) {
      WEIR_ASSIGN(const bool any, events_.next(event));
      if (!any) return {};
      WEIR_TRY(pass(event, out));
    }
  }

  Status end(std::string& out) override {
    if (chain_ != nullptr) return chain_->end(out);
    if (observer_.is_done()) return {};
    if (observer_.finish_reason() == FinishReason::kNone) {
      return make_error(ErrorCode::kCorrupt, "the upstream's stream ended before its answer did");
    }
    // A finish reason without the protocol's last event: some servers leave that out.
    if (plan_.client == Protocol::kAnthropic) {
      out += "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    } else if (dialect_ != Dialect::kResponses) {
      out += http::kSseDone;
    }
    observer_.done();
    return {};
  }

  // Chunks of OpenAI's do not depend on one another, so they still pass, as parts of the first
  // upstream's answer; blocks of Anthropic's are numbered, so they are read and written anew.
  Status resume(Protocol upstream) override {
    const bool chunks = dialect_ == Dialect::kChat || dialect_ == Dialect::kCompletions;
    if (chunks && upstream == Protocol::kOpenAi && chain_ == nullptr) {
      observer_.resume();
      events_ = translate::RawEvents(plan_.limits.max_event_bytes);
      resumed_ = began_;
      return {};
    }
    WEIR_TRY(write_anew());
    plan_.upstream = upstream;
    observer_.resume();
    chain_->read_from(upstream);
    return {};
  }

  Status end_at_length(const TokenUsage& usage, std::string& out) override {
    if (dialect_ != Dialect::kCompletions) {
      WEIR_TRY(write_anew());
      chain_->end_at_length(usage, out);
      return {};
    }
    Json choice = Json::object();
    choice.set("index", 0);
    choice.set("text", "");
    choice.set("finish_reason", "length");
    Json chunk = Json::object();
    chunk.set("id", observer_.id());
    chunk.set("object", "text_completion");
    chunk.set("created", plan_.created_unix_s);
    chunk.set("model", plan_.client_model.empty() ? observer_.model() : plan_.client_model);
    chunk.set("choices", Json::array()).push_back(std::move(choice));
    http::append_sse_data(out, chunk.dump());
    if (plan_.include_usage) {
      chunk.set("choices", Json::array());
      chunk.set("usage", translate::openai_usage(usage));
      http::append_sse_data(out, chunk.dump());
    }
    out += http::kSseDone;
    observer_.finish(FinishReason::kLength, "");
    observer_.done();
    return {};
  }

 protected:
  Result<std::string> whole_body(std::string_view body) override {
    if (body.size() > plan_.limits.max_body_bytes) {
      return make_error(ErrorCode::kLimit, "the upstream's answer has more than {} bytes",
                        plan_.limits.max_body_bytes);
    }
    const auto seen = translate::look_at(dialect_, body, true, observer_);
    if (!seen.has_value()) {
      return make_error(ErrorCode::kCorrupt, "the upstream's answer is no JSON object");
    }
    if (seen->error) return translate::read_error(200, body);
    return rewritten(body, *seen);
  }

 private:
  // From here on events are read and written, in the place of bytes that pass.
  Status write_anew() {
    if (chain_ != nullptr) return {};
    if (dialect_ != Dialect::kChat && dialect_ != Dialect::kMessages) {
      return make_error(ErrorCode::kUnsupported, "a stream of {} cannot go on at another upstream",
                        plan_.path);
    }
    translate::StreamWriterOptions o;
    // A stream that broke off before its first event has no beginning yet.
    o.begun = began_;
    o.id = observer_.id();
    o.model = observer_.model();
    o.next_block = next_block_;
    o.text_open = block_open_;
    chain_ = std::make_unique<Chain>(plan_, std::move(o), observer_);
    return {};
  }

  std::string rewritten(std::string_view text, const translate::Sighting& seen) const {
    if (plan_.client_model.empty()) return std::string(text);
    return translate::replace_pieces(text, seen.models, model_);
  }

  // A chunk of the upstream that goes on, as one of the upstream that began: its id, no second
  // role, the usage of the whole.
  std::string as_of_the_first(std::string_view text, const translate::Sighting& seen) const {
    const std::string id = text::json_quote(observer_.id());
    const std::string usage = seen.usage.empty() || !observer_.usage().known
                                  ? std::string(seen.usage)
                                  : translate::openai_usage(observer_.total_usage()).dump();
    translate::Pieces pieces;
    if (!seen.id.empty() && !observer_.id().empty()) pieces.emplace_back(seen.id, id);
    if (!seen.usage.empty()) pieces.emplace_back(seen.usage, usage);
    if (!seen.role.empty()) pieces.emplace_back(seen.role, "null");
    if (!plan_.client_model.empty())
      for (const std::string_view model : seen.models) pieces.emplace_back(model, model_);
    return translate::replace_pieces(text, std::move(pieces));
  }

  // Whether an event is none of the dialect's, to be passed without a look.
  bool is_foreign(const translate::RawEvents::Event& event) const {
    if (!event.has_data) return true;
    if (dialect_ == Dialect::kMessages) return event.name == "ping";
    if (dialect_ == Dialect::kResponses || event.name == "error") return false;
    return !event.name.empty() && event.name != "message";
  }

  Status pass(const translate::RawEvents::Event& event, std::string& out) {
    if (is_foreign(event) || observer_.is_done()) {
      out += event.raw;
      return {};
    }
    if (event.data == "[DONE]") {
      observer_.done();
      out += event.raw;
      return {};
    }
    if (event.name == "error") return translate::read_error(200, event.data);
    const int64_t deltas = observer_.deltas();
    const auto seen = translate::look_at(dialect_, event.data, false, observer_);
    if (!seen.has_value()) {
      return make_error(ErrorCode::kCorrupt, "an event of the upstream's stream is no JSON object");
    }
    if (seen->error) return translate::read_error(200, event.data);
    if (seen->usage_only && plan_.hide_usage) return {};
    if (resumed_) {
      const bool beginning = !seen->role.empty() && observer_.deltas() == deltas &&
                             observer_.finish_reason() == FinishReason::kNone;
      if (!beginning) http::append_sse_data(out, as_of_the_first(event.data, *seen));
      return {};
    }
    began_ = true;
    if (seen->block_start.has_value()) {
      block_open_ = true;
      next_block_ = *seen->block_start;
    }
    if (seen->block_stop.has_value()) {
      block_open_ = false;
      next_block_ = *seen->block_stop + 1;
    }
    if (plan_.client_model.empty() || seen->models.empty()) {
      out += event.raw;
    } else if (event.data_in_raw) {
      out += translate::replace_pieces(event.raw, seen->models, model_);
    } else {
      const std::string data = rewritten(event.data, *seen);
      if (event.name.empty()) {
        http::append_sse_data(out, data);
      } else {
        http::append_sse_event(out, event.name, data);
      }
    }
    return {};
  }

  Dialect dialect_;
  std::string model_;  // quoted
  translate::RawEvents events_;
  std::unique_ptr<Chain> chain_;  // after a resume, where bytes can no longer pass
  bool began_ = false;            // an event of the answer went out
  bool resumed_ = false;          // another upstream goes on with what had begun
  bool block_open_ = false;
  int64_t next_block_ = 0;
};

TranslatedRequest common(Protocol client, Protocol upstream, std::string_view path,
                         const TranslateOptions& options) {
  TranslatedRequest out;
  out.plan.client = client;
  out.plan.upstream = upstream;
  out.plan.path = path;
  out.plan.client_model = options.client_model;
  out.plan.created_unix_s = options.created_unix_s;
  out.plan.limits = options.limits;
  out.path = path;
  if (upstream == Protocol::kAnthropic) out.headers.set("anthropic-version", "2023-06-01");
  return out;
}

Result<TranslatedRequest> pass_request(TranslatedRequest out, std::string_view body,
                                       const TranslateOptions& options,
                                       const translate::RewriteSpots* known) {
  translate::RewriteWishes wishes;
  wishes.model = options.upstream_model;
  const auto dialect = translate::dialect_of(out.plan.upstream, out.path);
  wishes.usage =
      options.ask_usage && (dialect == Dialect::kChat || dialect == Dialect::kCompletions);
  WEIR_ASSIGN(translate::RewrittenRequest rewritten,
              translate::rewrite_request(body, wishes, options.limits, known));
  out.body = std::move(rewritten.body);
  out.plan.stream = rewritten.stream;
  out.plan.include_usage = rewritten.include_usage;
  out.plan.hide_usage = rewritten.usage_added;
  if (out.plan.client_model.empty() && !options.upstream_model.empty() &&
      options.upstream_model != rewritten.model) {
    out.plan.client_model = std::move(rewritten.model);
  }
  return out;
}

}  // namespace

std::string altered_header(const std::vector<std::string>& fields) {
  constexpr size_t kMaxBytes = 1024;
  std::string out;
  for (const std::string& field : fields) {
    if (out.size() + field.size() > kMaxBytes) return out + ", ...";
    if (!out.empty()) out += ", ";
    out += field;
  }
  return out;
}

AnswerTranslator::AnswerTranslator(AnswerPlan plan)
    : plan_(std::move(plan)), observer_(plan_.limits.max_observed_text_bytes) {}

Result<ClientAnswer> AnswerTranslator::whole(int status, std::string_view content_type,
                                             std::string_view body) {
  ClientAnswer out;
  out.status = status;
  out.content_type = "application/json";
  if (status >= 400) {
    if (plan_.client == Protocol::kOpenAi && status == 529) out.status = 503;
    if (status == 401 || status == 402 || status == 403) {
      out.status = 502;
      out.body = error_body(plan_.client, translate::read_error(status, body));
      return out;
    }
    StreamObserver unused(0);
    const bool same = plan_.client == plan_.upstream;
    const auto seen = same ? translate::look_at(Dialect::kOther, body, true, unused) : std::nullopt;
    const bool shaped = seen.has_value() && seen->error;
    out.body =
        shaped ? std::string(body) : error_body(plan_.client, translate::read_error(status, body));
    return out;
  }
  if (status < 200 || status >= 300 || media_type(content_type) != "application/json") {
    return make_error(ErrorCode::kCorrupt,
                      "the upstream answered with status {} and a body that is not JSON", status);
  }
  WEIR_ASSIGN(out.body, whole_body(body));
  observer_.done();
  return out;
}

Status AnswerTranslator::begin(int status, std::string_view content_type) {
  if (status == 200 && media_type(content_type) == "text/event-stream") return {};
  return make_error(ErrorCode::kCorrupt,
                    "the upstream answered with status {} and no stream of events", status);
}

void AnswerTranslator::fail(const Error& error, std::string_view request_id,
                            std::string& out) const {
  const std::string data = error_body(plan_.client, error, request_id);
  if (plan_.client == Protocol::kAnthropic) {
    http::append_sse_event(out, "error", data);
  } else {
    http::append_sse_data(out, data);
  }
}

std::unique_ptr<AnswerTranslator> make_answer_translator(AnswerPlan plan) {
  if (plan.client == plan.upstream) return std::make_unique<Passing>(std::move(plan));
  return std::make_unique<Translating>(std::move(plan));
}

std::string error_body(Protocol client, const Error& error, std::string_view request_id) {
  return translate::write_error(client, error, request_id);
}

Result<TranslatedRequest> translate_request(Protocol client, Protocol upstream,
                                            std::string_view path, std::string_view body,
                                            const TranslateOptions& options,
                                            const translate::RewriteSpots* known) {
  TranslatedRequest out = common(client, upstream, path, options);
  if (client == upstream) return pass_request(std::move(out), body, options, known);
  if (path != (client == Protocol::kOpenAi ? kChatPath : kMessagesPath)) {
    return make_error(ErrorCode::kRouteNotFound,
                      "{} has no equivalent at this model's upstream, which speaks the {} protocol",
                      path, upstream == Protocol::kOpenAi ? "OpenAI" : "Anthropic");
  }
  auto read = client == Protocol::kOpenAi ? translate::read_openai_request(body, options)
                                          : translate::read_anthropic_request(body, options);
  if (!read.ok()) return read.error();
  if (client == Protocol::kOpenAi) {
    WEIR_ASSIGN(out.body, translate::write_anthropic_request(*read, options));
    out.path = kMessagesPath;
  } else {
    out.body = translate::write_openai_request(*read, options);
    out.path = kChatPath;
  }
  out.plan.stream = read->stream;
  out.plan.include_usage = read->include_usage;
  if (out.plan.client_model.empty()) out.plan.client_model = read->model;
  out.altered = std::move(read->altered);
  return out;
}

}  // namespace weir::gateway
