// One client's request: what has to be known and decided before the fleet is asked, and what
// becomes of the answer on its way back. Internal to gateway/; on the proxy's thread.
//
//   read ─► do_once ─► look_up ─► prepare ─► quotas ─► Call ─► the answer, in reverse: restore,
//   keep, send
//    │         │          │          └ prompt budget, redaction (visit_filter.cc)
//    │         │          └ exact cache, or waits for one that asks the same (visit_store.cc)
//    │         └ Idempotency-Key: a stored reply, or waits for the one under way (visit_store.cc)
//    └ model, tenant's limits, deadline; counts of tokens go straight to quotas, or are estimated
//
// Which stage may follow which, visit_stage.h says. Kept by its call, which tells it the answer,
// and by what it waits for.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/answer_filter.h"
#include "gateway/answer_recorder.h"
#include "gateway/answer_sink.h"
#include "gateway/answer_store.h"
#include "gateway/asking.h"
#include "gateway/cache/request_key.h"
#include "gateway/call.h"
#include "gateway/proxy.h"
#include "gateway/visit_quota.h"
#include "gateway/visit_stage.h"
#include "http/message.h"
#include "http/response_writer.h"

namespace weir::gateway {

class Visit final : public AnswerSink, public std::enable_shared_from_this<Visit> {
 public:
  // place: of its tenant; null when nobody needs a key.
  Visit(Proxy& proxy, http::Request request, http::ResponseWriter writer,
        std::unique_ptr<Place> place);
  ~Visit() override;
  // Reads the request and asks for an answer, or says why not.
  void begin();
  // Runs the request unless one with its Idempotency-Key has run or runs.
  void do_once();
  // The gateway ends, and this is not over.
  void cut_short();

  void hold(const http::Headers& head, int64_t keep_alive_ms) override;
  void answer(http::Response response) override;
  void begin_stream(http::Headers headers) override;
  bool piece(std::string_view events) override;
  void ended(CallEnd end) override;

 private:
  friend class EmbeddingSink;
  Status read();
  void bound_answer(text::Json& body);
  void ask();
  // then: once the quotas have room for it.
  void reserve(std::function<void()> then);
  void send();
  // Of a request that only counts its tokens: asks an upstream, where one of the model can count
  // and may see the prompt, else tells an estimate, and that it is one.
  void count();
  void estimate();
  void refuse(const Error& error, int status = 0);
  // Of a stream: false: no more for now. It ends where a quota does not let it go on.
  bool within_quota();
  void on_quota_of_stream(const Error* refused);
  // For the log, of a stream that its client leaves.
  void note_what_came();
  void on_client_gone();
  void tell_cut();
  void send_answer();
  // Where a comment that kept the client waiting has sent the head already.
  void tell_late(const http::Headers& head);
  void over(std::string_view how);
  void become(VisitStage next);
  std::shared_ptr<Visit> self() { return shared_from_this(); }

  // visit_store.cc
  void look_up();
  bool may_store() const;
  void join_flight();
  // visit_semantic.cc: answers a question that means the same, or goes on to join_flight().
  bool may_mean_the_same();
  void ask_for_embedding();
  void on_embedding(std::optional<std::vector<float>> embedding);
  void serve(const StoredAnswer& answer, std::string_view how, int64_t age_ns);
  void replay(StoredReply reply);
  void revalidate();
  struct Outcome {
    bool good = false;
    // What went wrong is this client's alone (it left, was refused, had no time): another one that
    // asks the same may fare better.
    bool own_fault = false;
    bool unasked = false;  // no upstream was, and nothing was taken of the tenant's
    std::string_view error_code = {};
    std::string_view release = {};  // that the answer is of
  };
  void settle(const Outcome& outcome);
  bool keep(const Outcome& outcome);
  KeepAs keep_as() const;
  void settle_flight(const Outcome& outcome, bool kept);
  void settle_once(bool good);
  void tell_kept(const Status& kept);
  void ask_later();
  void wait(VisitStage for_whom);
  void too_late();
  void fail_as(const std::optional<http::Response>& response, const Outcome& outcome);
  void leave_waits();
  void write_cache_row(std::string_view how);

  // visit_filter.cc
  Status prepare();
  void tell_leak();
  // A key showed in the answer: it is kept for nobody.
  bool leaked() const { return filter_.has_value() && filter_->leaked(); }

  Proxy& proxy_;
  Instruments& instruments_;  // they outlive the proxy
  // That it goes on under.
  const std::shared_ptr<const GatewayConfig> config_;
  const std::shared_ptr<Routing> routing_;
  http::ResponseWriter writer_;
  std::unique_ptr<Place> place_;  // null: nobody needs a key
  const std::string idempotency_key_;
  const int64_t received_ns_;
  Asked asked_;                       // given to the call when there is one
  std::optional<text::Json> json_;    // the body, where more than its bytes is wanted
  std::shared_ptr<Call> side_call_;   // for an embedding; null: the visit does not wait for one
  std::shared_ptr<Asking> call_;      // shared with what it waits for; null: not asked yet
  AnswerStore::Id id_ = 0;            // among those that keep and wait
  StoredReply reply_;                 // what is kept under it
  std::optional<Hash128> cache_key_;  // its answer may be kept, and given to others
  CacheScope scope_;                  // whose answer that is
  bool by_temperature_ = false;       // nobody asked for that: its temperature is 0
  std::optional<SemanticQuestion> question_;
  std::vector<float> embedding_;  // of it; empty: not known
  std::optional<AnswerRecorder> recorder_;
  std::optional<AnswerFilter> filter_;    // changes or watches the answer
  http::Headers extra_;                   // of the answer, beside the call's
  http::Headers held_;                    // the head that a comment may have begun a stream with
  std::optional<http::Response> answer_;  // not sent yet
  std::string out_;                       // scratch
  VisitQuota quota_;
  VisitStage stage_ = VisitStage::kOpening;  // changed by become() alone
  // What it owes to those that wait for it, and settles once.
  bool once_ = false;   // it runs under its idempotency key
  bool leads_ = false;  // it asks for all that ask the same
  // The code of what keeps the rest of the answer from the client: kAnswerWithheld, or a quota's
  // refusal of a stream. "": it gets all of it.
  std::string_view stopped_by_;
  bool cut_short_ = false;  // by the gateway's end
};

}  // namespace weir::gateway
