// A request that several models are asked in turn, the smallest first, until one's answer passes
// its checks: the client gets that one. Internal to gateway/; on the proxy's thread.
//
//   begin ─► ask: a Call ─► its whole answer ─► checks ─► judge: a Call, or an HTTP check ─►
//   deliver
//              ▲                                  └─ refused, and CascadePlan has a further step ─┐
//              └──────────────────────────────────────────────────────────────────────────────────┘
//
// A client that wants a stream gets the answer that passed as one; meanwhile its connection is kept
// alive. Every attempt of every step has its row in the ledger, and the one that the client got is
// the final one.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/answer_checks.h"
#include "gateway/answer_sink.h"
#include "gateway/asking.h"
#include "gateway/call.h"
#include "gateway/cascade_plan.h"
#include "gateway/translate/translate.h"
#include "http/client.h"
#include "telemetry/metrics.h"
#include "text/json.h"

namespace weir::gateway {

// What the cascades of a model share.
struct CascadeKit {
  const CascadeConfig* config = nullptr;
  std::vector<AnswerChecks> checks;                // of each step
  std::vector<telemetry::CounterFamily> verdicts;  // weir_gateway_cascade_steps_total{verdict}
};

class Cascade final : public Asking, public std::enable_shared_from_this<Cascade> {
 public:
  // kit outlives it.
  Cascade(Proxy& proxy, const CascadeKit& kit, Asked asked, std::shared_ptr<AnswerSink> sink);
  void begin() override;
  void cancel(std::string_view how, std::string_view error_code) override;
  void resume() override;

 private:
  class HttpCheck;
  // An answer, or an error, that the client may get.
  struct Held {
    http::Response response;
    text::Json answer;  // of a good one: its body
    CallEnd end;
    bool good = false;
  };

  void next();
  int64_t cost_of(size_t step) const;
  Asked question(const ModelConfig& model, const Deadline& deadline) const;
  void ask();
  // The step's question as a chat where its check needs one; as it is where that cannot be.
  void put_as_chat(const ModelConfig& model, Asked& asked);
  // The answer to one in the client's protocol; a failure where it is no answer.
  void put_back(http::Response& response, CallEnd& end);
  bool take_call(const CallEnd& end);
  void on_answer(http::Response response, CallEnd end);
  void ask_program();
  void on_program(const http::Failure* failure, const http::Response& response);
  void ask_judge();
  void on_verdict(const http::Response& response, CallEnd end);
  void judged(std::string_view refused_by);  // "": by none
  void hold(Held now);
  void settle(std::optional<LedgerRow> row) const;  // of an attempt that is not the final one
  void leave(CallEnd end, bool tried);
  void count(std::string_view verdict) const;
  void deliver();
  void play();
  void over(CallEnd end);

  Proxy& proxy_;
  const CascadeKit& kit_;
  const Asked asked_;
  const text::Json body_;
  const Question question_;
  std::shared_ptr<AnswerSink> sink_;  // null when over
  CascadePlan plan_;
  size_t step_ = 0;
  int32_t attempts_ = 0;        // of all steps and judges so far
  std::shared_ptr<Call> call_;  // of the step or the judge; shared with its attempts
  // Of the step under way, where it was put as a chat; null: it was not.
  std::unique_ptr<AnswerTranslator> back_;
  std::string altered_;                  // by that
  http::Client::RequestId program_ = 0;  // of the check over HTTP, while checking_
  bool checking_ = false;
  Held held_;                        // the best so far
  bool any_ = false;                 // there is one
  std::vector<std::string> events_;  // that are played
  size_t played_ = 0;
  bool playing_ = false;
  Spent spent_;  // on all steps and judges
  bool cancelled_ = false;
};

}  // namespace weir::gateway
