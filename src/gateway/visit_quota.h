// The quotas of one visit: what it has reserved, whether its stream may go on, what it came to in
// the end. Internal to gateway/; on the proxy's thread.
//
//   reserve ─► granted ─► (streamed: extend, where it goes beyond) ─► spend … ─► finish
//           └► refused
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "gateway/answer_sink.h"
#include "gateway/call.h"
#include "gateway/config.h"
#include "gateway/quotas.h"
#include "http/message.h"

namespace weir::gateway {

class VisitQuota {
 public:
  // refused: null when the request may go on.
  using Then = std::function<void(const Error* refused)>;

  // Both borrowed; config: the one that the visit began under.
  VisitQuota(Quotas& quotas, const GatewayConfig& config) : quotas_(quotas), config_(config) {}

  // `then` keeps the visit alive, and may be called before this returns. It is not called when the
  // visit finished meanwhile: what was reserved is given back.
  void reserve(const Asked& asked, Then then);

  // For the head of the answer: what is left of the limits (quota_headers.h). Empty before reserve
  // has its answer, and where nothing is counted.
  const http::Headers& told() const { return told_; }

  // Of a stream, after each piece; tokens: of its answer so far.
  bool wants_more(int64_t tokens) const;
  // Precondition: wants_more. `then` as reserve's; refused: the stream has to end.
  void extend(int64_t tokens, Then then);
  // No more of the stream until extend has its answer.
  bool must_wait(int64_t tokens) const { return extending_ && tokens >= output_tokens_; }

  // What a call of the visit came to.
  void spend(const Spent& spent) { spent_.add(spent); }
  // Once, when the visit is over: books what was spent, or gives all back where nothing was.
  void finish();

 private:
  Quotas& quotas_;
  const GatewayConfig& config_;
  const ModelConfig* model_ = nullptr;
  std::vector<QuotaLimit> limits_;
  http::Headers told_;
  std::string reservation_;    // "": none, or nothing is counted
  int64_t output_tokens_ = 0;  // reserved so far
  int64_t lead_tokens_ = 0;    // more is asked for when no more than this is left
  bool bounded_ = false;       // the answer cannot become longer
  bool extending_ = false;
  bool finished_ = false;
  Spent spent_;
};

}  // namespace weir::gateway
