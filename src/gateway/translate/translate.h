// The door between the protocols: a client's request becomes what the upstream speaks, the
// upstream's answer becomes what the client speaks. With the same protocol on both sides bytes pass
// as they are, but for the model's name; either way a StreamObserver sees usage, finish reason and
// text. Pure: bytes in, bytes out. docs/gateway.md says what becomes of each field.
//
//   auto request = translate_request(client, upstream, path, body, options);
//   ... send request->body to request->path with request->headers ...
//   auto answer = make_answer_translator(request->plan);
//   not a stream, or an error status: answer->whole(status, content_type, body)
//   a stream: begin(), feed() for what arrives, end() when the upstream closes; where one of them
//   fails: try elsewhere if nothing went to the client, resume() if the observer can_continue(),
//   or fail() and close.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gateway/translate/protocol.h"
#include "gateway/translate/request_text.h"
#include "gateway/translate/stream_observer.h"
#include "http/message.h"

namespace weir::gateway {

// What the answer to a translated request needs to know of it.
struct AnswerPlan {
  Protocol client = Protocol::kOpenAi;
  Protocol upstream = Protocol::kOpenAi;
  std::string path;            // the client's, without its query
  std::string client_model;    // stands in the answer; empty: the upstream's name stays
  bool stream = false;         // the client asked for one
  bool include_usage = false;  // OpenAI clients: the stream ends with a usage chunk
  bool hide_usage = false;     // the chunk was asked for by the gateway alone
  int64_t created_unix_s = 0;
  TranslateLimits limits;
};

struct TranslatedRequest {
  std::string path;
  std::string body;
  http::Headers headers;  // that the protocol needs: anthropic-version. Keys are not among them
  AnswerPlan plan;
  // Fields that were left out or changed, by their paths, in plain ASCII: fit for a header.
  std::vector<std::string> altered;
};

// path: without its query. known: of the body, or null: not read yet. Errors: as requests.h has
// them; kRouteNotFound for a path that the upstream's protocol has nothing like.
Result<TranslatedRequest> translate_request(Protocol client, Protocol upstream,
                                            std::string_view path, std::string_view body,
                                            const TranslateOptions& options,
                                            const translate::RewriteSpots* known = nullptr);

// TranslatedRequest::altered as the value of x-weir-altered; a long list is cut.
std::string altered_header(const std::vector<std::string>& fields);

struct ClientAnswer {
  int status = 200;
  std::string content_type;
  std::string body;
};

// One answer; one thread at a time.
class AnswerTranslator {
 public:
  explicit AnswerTranslator(AnswerPlan plan);
  AnswerTranslator(const AnswerTranslator&) = delete;
  AnswerTranslator& operator=(const AnswerTranslator&) = delete;
  virtual ~AnswerTranslator() = default;

  // A whole answer. Of a status from 400 on: the error in the client's shape with that status; but
  // 529 becomes 503 for clients of OpenAI, and what concerns the gateway's own key or account (401,
  // 402, 403) 502 without its message. Error: kCorrupt, kLimit when it is no answer: another
  // upstream may do better, and the client has seen nothing.
  Result<ClientAnswer> whole(int status, std::string_view content_type, std::string_view body);

  // The head of a streamed answer has come. Error: kCorrupt for what is no event stream.
  Status begin(int status, std::string_view content_type);
  // Appends to `out` what may go to the client: only events that are whole. Error: the upstream's
  // own, in the stream (read_error's codes), kCorrupt or kLimit; `out` holds what came before it.
  virtual Status feed(std::string_view bytes, std::string& out) = 0;
  // The upstream closed. Error: kCorrupt when the answer is cut. Appends the end that a complete
  // answer lacks.
  virtual Status end(std::string& out) = 0;
  // Goes on with the stream of another upstream, of either protocol, which was sent the prompt plus
  // the text so far. Only while the observer can_continue(). Error: kUnsupported for answers that
  // are neither chats nor, at an upstream of the same protocol, completions.
  // The client sees one answer: one id, one beginning, the usage as total_usage() has it.
  virtual Status resume(Protocol upstream) = 0;
  // Ends the answer here, as an upstream does at max_tokens; usage: what the client is told, should
  // it have asked. Error: as resume().
  virtual Status end_at_length(const TokenUsage& usage, std::string& out) = 0;
  // An error event in the client's protocol; [DONE] or message_stop do not follow.
  void fail(const Error& error, std::string_view request_id, std::string& out) const;

  // The protocol's last event went by: nothing more is needed of the upstream.
  bool is_done() const { return observer_.is_done(); }
  const StreamObserver& observer() const { return observer_; }
  const AnswerPlan& plan() const { return plan_; }

 protected:
  virtual Result<std::string> whole_body(std::string_view body) = 0;

  AnswerPlan plan_;
  StreamObserver observer_;
};

std::unique_ptr<AnswerTranslator> make_answer_translator(AnswerPlan plan);

// An error of the gateway's own as a client's protocol has it, for answers and, as the data of an
// event "error", for streams.
std::string error_body(Protocol client, const Error& error, std::string_view request_id = "");

}  // namespace weir::gateway
