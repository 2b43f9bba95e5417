// One question to a model on its way through the fleet: which endpoint, how often, until there is
// an answer or none is to be had. Internal to gateway/.
//
//   begin ─► attempt ─► UpstreamAttempt ─► its first good byte: it has won, others are cancelled
//               ▲            │                 └─► the answer goes to the sink as it comes ─► over
//               └────────────┘ nothing went to the sink yet, and the policy says once more
//
// On the proxy's thread. Shared by its attempts, which the HTTP client owns, by timers and by
// whoever made it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/answer_sink.h"
#include "gateway/asking.h"
#include "gateway/dispatcher.h"
#include "gateway/incoming.h"
#include "gateway/proxy.h"
#include "gateway/resilience/attempt.h"
#include "gateway/resilience/deadline.h"
#include "gateway/route/prompt_blocks.h"
#include "gateway/upstream_attempt.h"
#include "http/client.h"

namespace weir::gateway {

// What a call asks, and for whom.
struct Asked {
  std::string path;  // of the client, without its query
  std::string body;
  http::Headers headers;  // the client's; few of them go on
  Protocol protocol = Protocol::kOpenAi;
  Incoming incoming;
  std::vector<PromptBlock> blocks;     // empty unless the model's policy wants them
  const ModelConfig* model = nullptr;  // whose targets are asked
  std::string request_id;
  std::string tenant;  // "": nobody needs a key
  std::string key_id;
  Deadline deadline;
  int64_t received_ns = 0;
  int32_t attempts_before = 0;  // of the same request, by other calls
  bool idempotent = false;      // it may be done twice: an idempotency key says so
  // Asked by the gateway itself (a judge, a shadow, a cascade's step): its times are no client's,
  // and nobody is exposed to a split by it.
  bool internal = false;
  bool shadow = false;           // a copy for nobody: its rows are told apart
  http::Headers tell;            // of the answer's head: who sent it where
  std::vector<uint32_t> picked;  // endpoints that a picker named, in this order; empty: any

  // What policies see of it; borrows from this.
  RequestView view(int64_t unix_s) const;
};

class Call final : public Asking, public std::enable_shared_from_this<Call> {
 public:
  Call(Proxy& proxy, Asked asked, std::shared_ptr<AnswerSink> sink);
  // Makes the first attempt. The sink may be told of its end before this returns.
  void begin() override;
  void cancel() override;
  void resume() override;
  int32_t attempts() const { return asked_.attempts_before + attempts_; }

 private:
  friend class UpstreamAttempt;

  void refuse(const Error& error);
  // Sends it; false: the endpoint does not take it, or the request cannot be told to it.
  bool attempt(const Choice& choice);
  Choice choose();
  http::ClientRequest upstream_request(const Choice& choice, TranslatedRequest translated) const;
  void plan_hedge();
  void hedge();
  RequestView view() const { return asked_.view(proxy_.clock().unix_s()); }
  int64_t now_ns() const { return proxy_.clock().now_ns(); }

  // What attempts tell.
  void on_sent();
  bool on_answered(UpstreamAttempt& attempt);  // whether it has won
  void begin_stream(UpstreamAttempt& attempt);
  bool on_piece(std::string_view piece);
  void on_end(UpstreamAttempt& ended, const AttemptOutcome& outcome);

  // ended: null when nothing was sent.
  void retry_or_fail(UpstreamAttempt* ended, const AttemptOutcome& outcome);
  void answer_whole(UpstreamAttempt& ended, const AttemptOutcome& outcome);
  void end_stream(UpstreamAttempt& ended, const AttemptOutcome& outcome);
  void fail(const AttemptOutcome& last, int64_t retry_after_ms);
  http::Headers client_headers(const UpstreamAttempt& attempt) const;
  void over(std::string_view how, std::string_view error_code, const StreamObserver* seen);
  // Of the attempt, for the ledger; written when it is known whether the client got it.
  LedgerRow row_of(const UpstreamAttempt& ended, const AttemptOutcome& outcome) const;
  void write_row(bool final);
  // For the release that the attempt went to, also when another answered in the end.
  void count(const UpstreamAttempt& ended, const AttemptOutcome& outcome);

  Proxy& proxy_;
  const Asked asked_;
  std::shared_ptr<AnswerSink> sink_;  // shared: it may be nobody else's. Null when over
  Dispatcher::Assigned assigned_;
  std::vector<uint32_t> tried_;  // indexes of endpoints
  int32_t attempts_ = 0;
  int64_t first_byte_ns_ = 0;           // when it came; 0: not yet
  std::vector<UpstreamAttempt*> live_;  // owned by the HTTP client
  UpstreamAttempt* winner_ = nullptr;   // of these
  std::optional<LedgerRow> row_;        // of the last attempt that ended, not written yet
  bool sent_ = false;                   // one byte of the request went to an upstream
  bool hedged_ = false;
  bool streaming_ = false;  // bytes of an answer went to the sink
  bool cancelled_ = false;
  bool over_ = false;
};

}  // namespace weir::gateway
