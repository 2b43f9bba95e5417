// Where the answer of a call goes: to a client, or to whoever asked in a client's place (a judge, a
// cache that wants a new answer, nobody at all for shadow traffic). On the proxy's thread.
//
//   hold                                a stream is to come, in a while
//   answer                              a whole one, or an error with its status
//   begin_stream ─► piece … ─► (error event)    one that comes as events
//   ended                               once, last, whatever came before
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/state/ledger.h"
#include "http/message.h"

namespace weir::gateway {

// What upstreams computed over all attempts, for quotas: where they counted what they said, else an
// estimate of what came.
struct Spent {
  bool any = false;  // an upstream computed something
  int64_t input_tokens = 0;
  int64_t output_tokens = 0;
  int64_t cost_nanos = 0;  // of what has a price
  void add(const Spent& more) {
    any = any || more.any;
    input_tokens += more.input_tokens;
    output_tokens += more.output_tokens;
    cost_nanos += more.cost_nanos;
  }
};

struct CallEnd {
  std::string_view how;         // "answered", "upstream_refused", "cut", …; of static storage
  std::string_view error_code;  // of the error that was told; "": none. Static storage
  // Of an upstream's refusal that was passed on: its code there, or "upstream_refused"; else "".
  std::string refused_as = {};
  // Who gave the answer, or was the last to fail at it; "": nobody.
  std::string upstream = {};
  bool good = false;      // a whole answer below 400
  bool computed = false;  // an upstream gave an answer or a part of one
  // Tokens of that answer, as the upstream counted or, where it did not, as estimated; else the
  // prompt's estimate and 0.
  int64_t input_tokens = 0;
  int64_t cached_tokens = 0;
  int64_t output_tokens = 0;
  Spent spent = {};
  // Of the last attempt, for whoever knows whether it is the request's final one; nothing when none
  // was made or the call was cancelled with attempts under way (it writes theirs itself).
  std::optional<LedgerRow> row = std::nullopt;

  // Nobody was asked, as the gateway found when it looked for somebody.
  bool unasked() const {
    return !spent.any && (how == "refused" || how == "shed" || how == "nobody");
  }
};

class AnswerSink {
 public:
  AnswerSink() = default;
  AnswerSink(const AnswerSink&) = delete;
  AnswerSink& operator=(const AnswerSink&) = delete;
  virtual ~AnswerSink() = default;

  // It will be events, and not soon: until then whoever waits is to be kept waiting.
  virtual void hold(const http::Headers& /*head*/, int64_t /*keep_alive_ms*/) {}
  virtual void answer(http::Response response) = 0;
  virtual void begin_stream(http::Headers headers) = 0;
  // Whole events. False: no more for now; Call::resume() when there is room again.
  virtual bool piece(std::string_view events) = 0;
  virtual void ended(CallEnd end) = 0;
};

}  // namespace weir::gateway
