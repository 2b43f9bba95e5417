#include "ops/eval/remote_retry.h"

#include <algorithm>
#include <cmath>

namespace weir::ops {

std::optional<double> retry_wait_s(const RetryPolicy& policy, int failed,
                                   const TryOutcome& outcome) {
  const int status = outcome.status;
  const bool again = status == 0 ? !outcome.hopeless
                                 : status == 429 || status == 502 || status == 503 || status == 504;
  if (!again || failed > policy.retries) return std::nullopt;
  if (outcome.retry_after_s) {
    if (*outcome.retry_after_s > policy.longest_s) return std::nullopt;
    return *outcome.retry_after_s;
  }
  return std::min(policy.longest_s, policy.first_s * std::exp2(std::min(failed - 1, 30)));
}

}  // namespace weir::ops
