#include "gateway/visit_quota.h"

#include <algorithm>
#include <utility>

#include "gateway/quota_estimate.h"
#include "gateway/quota_headers.h"
#include "gateway/request_cost.h"

namespace weir::gateway {

void VisitQuota::reserve(const Asked& asked, Then then) {
  limits_ = config_.quotas.rules.limits_of(asked.tenant, asked.key_id, asked.incoming.model);
  if (limits_.empty()) return then(nullptr);
  model_ = asked.model;
  const QuotaEstimate estimate = estimate_quota(config_, *model_, asked.incoming, limits_);
  output_tokens_ = estimate.amounts.output_tokens;
  bounded_ = estimate.bounded;
  // A tight limit is not asked for a whole step at the first token.
  lead_tokens_ = std::min(output_tokens_, config_.quotas.estimate.step_tokens) / 2;
  quotas_.reserve(limits_, estimate.amounts, [this, then = std::move(then)](QuotaAnswer answer) {
    told_ = quota_headers(limits_, answer, quotas_.unix_ms());
    if (answer.verdict != QuotaVerdict::kGranted) {
      if (finished_) return;
      const Error refused = quota_error(answer, limits_);
      return then(&refused);
    }
    if (finished_) return quotas_.reconcile(answer.reservation, {.requests = 0});
    reservation_ = std::move(answer.reservation);
    then(nullptr);
  });
}

bool VisitQuota::wants_more(int64_t tokens) const {
  return !bounded_ && !extending_ && !reservation_.empty() &&
         tokens + lead_tokens_ >= output_tokens_;
}

void VisitQuota::extend(int64_t tokens, Then then) {
  QuotaAmounts more{.requests = 0};
  more.output_tokens =
      config_.quotas.estimate.step_tokens + std::max<int64_t>(tokens - output_tokens_, 0);
  more.money_nanos = dearest_cost(config_, *model_, 0, more.output_tokens);
  extending_ = true;
  quotas_.extend(reservation_, limits_, more,
                 [this, n = more.output_tokens, then = std::move(then)](const QuotaAnswer& answer) {
                   if (finished_) return;
                   if (answer.verdict != QuotaVerdict::kGranted) {
                     const Error refused = quota_error(answer, limits_);
                     return then(&refused);  // nor is it asked again
                   }
                   extending_ = false;
                   output_tokens_ += n;
                   then(nullptr);
                 });
}

void VisitQuota::finish() {
  finished_ = true;
  if (reservation_.empty()) return;
  const QuotaAmounts actual{.requests = spent_.any ? 1 : 0,
                            .input_tokens = spent_.input_tokens,
                            .output_tokens = spent_.output_tokens,
                            .money_nanos = spent_.cost_nanos};
  quotas_.reconcile(std::exchange(reservation_, ""), actual);
}

}  // namespace weir::gateway
