// One client's request on its way through the gateway. Internal to gateway/.
//
//   begin ─► attempt ─► UpstreamAttempt ─► its first good byte: it has won, others are cancelled
//               ▲            │                 └─► the answer goes to the client as it comes ─►
//               over └────────────┘ nothing went to the client yet, and the policy says once more
//
// On the proxy's thread. Shared by its attempts, which the HTTP client owns, by timers and by
// callbacks of its writer.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/dispatcher.h"
#include "gateway/incoming.h"
#include "gateway/proxy.h"
#include "gateway/resilience/attempt.h"
#include "gateway/resilience/deadline.h"
#include "gateway/route/prompt_blocks.h"
#include "gateway/upstream_attempt.h"
#include "http/client.h"
#include "http/response_writer.h"

namespace weir::gateway {

class Call : public std::enable_shared_from_this<Call> {
 public:
  Call(Proxy& proxy, http::Request request, http::ResponseWriter writer,
       std::unique_ptr<Place> place);
  // Reads the request, then makes the first attempt, or answers why not.
  void begin();

 private:
  friend class UpstreamAttempt;

  Status read();
  void refuse(const Error& error);
  // Sends it; false: the endpoint does not take it, or the request cannot be told to it.
  bool attempt(const Choice& choice);
  Choice choose();
  http::ClientRequest upstream_request(const Choice& choice, TranslatedRequest translated) const;
  void plan_hedge();
  void hedge();
  RequestView view() const;
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
  void note_usage(const StreamObserver& seen);
  void on_client_gone();
  void over(std::string_view how);
  // Of the attempt, for the ledger; written when it is known whether the client got it.
  LedgerRow row_of(const UpstreamAttempt& ended, const AttemptOutcome& outcome) const;
  void write_row(bool final);
  // For the release that the attempt went to, also when another answered in the end.
  void count(const UpstreamAttempt& ended, const AttemptOutcome& outcome);

  Proxy& proxy_;
  const http::Request request_;
  http::ResponseWriter writer_;
  std::unique_ptr<Place> place_;  // null: nobody needs a key
  const Protocol protocol_;       // the client's
  Incoming incoming_;
  std::vector<PromptBlock> blocks_;
  const ModelConfig* model_ = nullptr;
  Dispatcher::Assigned assigned_;
  Deadline deadline_;
  std::vector<uint32_t> tried_;  // indexes of endpoints
  int32_t attempts_ = 0;
  int64_t first_byte_ns_ = 0;           // when it came; 0: not yet
  std::vector<UpstreamAttempt*> live_;  // owned by the HTTP client
  UpstreamAttempt* winner_ = nullptr;   // of these
  std::optional<LedgerRow> row_;        // of the last attempt that ended, not written yet
  bool sent_ = false;                   // one byte of the request went to an upstream
  bool hedged_ = false;
  bool streaming_ = false;  // bytes of an answer went to the client
  bool gone_ = false;       // the client
  bool over_ = false;
};

}  // namespace weir::gateway
