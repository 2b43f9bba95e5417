// One question to a model on its way through the fleet: which endpoint, how often, until there is
// an answer or none is to be had. Internal to gateway/.
//
//   begin ─► (admission) ─► attempt ─► UpstreamAttempt ─► its first good byte: it has won, others
//   are cancelled
//               ▲            │                 └─► the answer goes to the sink as it comes ─► over
//               ├────────────┘ nothing went to the sink yet, and the policy says once more   │
//               └────────────────────────────────── go_on: the stream broke, and may go on ◄─┘
//
// On the proxy's thread. Shared by its attempts, which the HTTP client owns, by timers and by
// whoever made it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/admission.h"
#include "gateway/answer_sink.h"
#include "gateway/asking.h"
#include "gateway/dispatcher.h"
#include "gateway/incoming.h"
#include "gateway/proxy.h"
#include "gateway/resilience/attempt.h"
#include "gateway/resilience/deadline.h"
#include "gateway/route/prompt_blocks.h"
#include "gateway/translate/request_text.h"
#include "gateway/upstream_attempt.h"
#include "http/client.h"

namespace weir::gateway {

// What a call asks, and for whom.
class Routing;

struct Asked {
  std::string path;  // of the client, without its query
  translate::RequestText body;
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
  std::optional<Dispatcher::Assigned> assigned = std::nullopt;  // nothing: the call does that
  // That the model is of, and what stands on it; kept to the end.
  std::shared_ptr<const GatewayConfig> config = nullptr;
  std::shared_ptr<Routing> routing = nullptr;
  // Asked by the gateway itself (a judge, a shadow, a cascade's step): its times are no client's,
  // and nobody is exposed to a split by it.
  bool internal = false;
  bool shadow = false;           // a copy for nobody: its rows are told apart
  http::Headers tell;            // of the answer's head: who sent it where
  std::vector<uint32_t> picked;  // endpoints that a picker named, in this order; empty: any

  // What policies see of it; borrows from this.
  RequestView view(int64_t unix_s) const;
};

class Call final : public Asking,
                   public Admission::Waiter,
                   public std::enable_shared_from_this<Call> {
 public:
  Call(Proxy& proxy, Asked asked, std::shared_ptr<AnswerSink> sink);
  // Makes the first attempt. The sink may be told of its end before this returns.
  void begin() override;
  // Nobody wants the answer any more, or nobody may have it. Nothing more is told to the sink but
  // its end, with these of static storage.
  void cancel(std::string_view how, std::string_view error_code) override;
  // The sink has room again.
  void resume() override;
  int32_t attempts() const { return asked_.attempts_before + attempts_; }
  // Of a stream's answer so far, counted in deltas.
  int64_t streamed_tokens() const override {
    return winner_ == nullptr ? 0 : winner_->observer().deltas();
  }
  std::string_view streaming_from() const override {
    if (winner_ == nullptr) return {};
    return winner_->choice().endpoint->upstream->name;
  }

 private:
  friend class UpstreamAttempt;

  // When its model bounds how many there are (admission.h).
  void admitted() override;
  void shed(ShedReason reason, int64_t retry_after_ms) override;
  void leave();
  void start();
  void refuse(const Error& error);
  // A choice, and the request in its endpoint's words.
  struct Told {
    Choice choice;
    TranslatedRequest request;
  };
  // Nothing: the request cannot be told to it; untold_ says why.
  std::optional<Told> tell(const Choice& choice);
  // The best choice that the request can be told to. Others count as tried.
  std::optional<Told> next_told();
  // Whether there is a pool of the model that the request can be told to, were it there.
  bool can_be_told() const;
  // Sends it; false: the endpoint does not take it, and what follows from that has been done.
  bool attempt(Told told);
  Result<TranslatedRequest> request_for(const UpstreamConfig& upstream,
                                        const TargetConfig& target) const;
  // False: the endpoint filled up since it was chosen. begun: null, or the translator of the stream
  // that goes on, taken when true.
  bool send(const Choice& choice, TranslatedRequest request,
            std::unique_ptr<AnswerTranslator>* begun);
  Choice choose(std::span<const uint32_t> without);
  Choice choose() { return choose(tried_); }
  http::ClientRequest upstream_request(const Choice& choice, TranslatedRequest translated) const;
  void plan_hedge();
  void hedge();
  RequestView view() const { return asked_.view(proxy_.clock().unix_s()); }
  int64_t now_ns() const { return proxy_.clock().now_ns(); }

  // What attempts tell.
  void on_sent();
  bool on_answered(UpstreamAttempt& attempt);  // whether it has won; not when the call is over
  // A sink may end the call from within what it is told: then these do nothing.
  void begin_stream(UpstreamAttempt& attempt);
  bool on_piece(std::string_view piece);
  void on_end(UpstreamAttempt& ended, const AttemptOutcome& outcome);

  // ended: null when nothing was sent.
  void retry_or_fail(UpstreamAttempt* ended, const AttemptOutcome& outcome);
  void answer_estimate();
  void tell_wrong_path(const UpstreamAttempt& ended) const;
  void answer_whole(UpstreamAttempt& ended, const AttemptOutcome& outcome);
  void end_stream(UpstreamAttempt& ended, const AttemptOutcome& outcome);
  // The stream, whose translator is stream_, broke off (call_continue.cc).
  void go_on(const TargetConfig& at, AttemptOutcome outcome);
  bool go_on_at(const Choice& choice);
  Choice choose_same(const TargetConfig& target);
  void break_off();
  void fail(const AttemptOutcome& last, int64_t retry_after_ms);
  http::Headers client_headers(const UpstreamAttempt& attempt) const;
  void over(std::string_view how, std::string_view error_code, const StreamObserver* seen,
            std::string refused_as = "");
  // Of the attempt, for the ledger; written when it is known whether the client got it.
  LedgerRow row_of(const UpstreamAttempt& ended, const AttemptOutcome& outcome) const;
  void write_row(bool final);
  struct Took {
    TokenCounts counts;
    bool estimated = false;  // from what came by
  };
  // What the attempt computed; nothing where nobody knows. outcome: null when it is cancelled for
  // want of a client.
  std::optional<Took> took_by(const UpstreamAttempt& attempt, const AttemptOutcome* outcome) const;
  // That goes to spent_, and so to quotas; the ledger's row says the same.
  void spend(const UpstreamAttempt& attempt, const AttemptOutcome* outcome);
  const ModelPrice* price_of(const UpstreamAttempt& attempt) const;
  // For the release that the attempt went to, also when another answered in the end.
  void count(const UpstreamAttempt& ended, const AttemptOutcome& outcome);

  Proxy& proxy_;
  const Asked asked_;
  std::shared_ptr<AnswerSink> sink_;  // shared: it may be nobody else's. Null when over
  Dispatcher::Assigned assigned_;
  std::vector<uint32_t> tried_;  // indexes of endpoints
  std::optional<Error> untold_;  // of the first choice that the request could not be told to
  int32_t attempts_ = 0;
  int64_t first_byte_ns_ = 0;           // when it came; 0: not yet
  std::vector<UpstreamAttempt*> live_;  // owned by the HTTP client
  UpstreamAttempt* winner_ = nullptr;   // of these
  std::optional<LedgerRow> row_;        // of the last attempt that ended, not written yet
  Spent spent_;
  // Of a stream that broke off and may go on, between two attempts; and how it broke.
  std::unique_ptr<AnswerTranslator> stream_;
  std::optional<AttemptOutcome> broke_;
  int32_t continuations_ = 0;  // of whose answers a byte went to the sink
  bool sent_ = false;          // one byte of the request went to an upstream
  bool hedged_ = false;
  bool admitted_ = false;   // it has a place of its model's
  uint64_t waits_ = 0;      // its number among those that wait for one; 0: it does not
  bool streaming_ = false;  // bytes of an answer went to the sink
  bool cancelled_ = false;
  bool whole_ = false;  // when that was done it had all of the answer
  bool over_ = false;
};

}  // namespace weir::gateway
