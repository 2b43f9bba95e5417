#include "gateway/quota_headers.h"

#include <algorithm>
#include <string_view>

#include "access/rate_headers.h"
#include "base/units.h"

namespace weir::gateway {
namespace {

struct Left {
  const QuotaLimit* limit = nullptr;  // null: none of the kind
  int64_t amount = 0;
};

void note(const QuotaLimit& limit, int64_t used, Left& tightest) {
  const int64_t left = std::max<int64_t>(limit.limit - used, 0);
  const bool tighter = tightest.limit == nullptr || left < tightest.amount ||
                       (left == tightest.amount && limit.window < tightest.limit->window);
  if (tighter) tightest = {&limit, left};
}

void tell(std::string_view what, const Left& left, int64_t unix_ms, http::Headers& headers) {
  if (left.limit == nullptr) return;
  const QuotaWindow window = left.limit->window;
  const int64_t over_ms = bucket_leaves_ms(window, window_at(window, unix_ms).bucket, unix_ms);
  access::set_rate_headers(headers, what, left.limit->limit, left.amount,
                           (over_ms - unix_ms) * kNsPerMs);
}

}  // namespace

http::Headers quota_headers(const std::vector<QuotaLimit>& limits, const QuotaAnswer& answer,
                            int64_t unix_ms) {
  Left requests;
  Left tokens;
  const auto see = [&](const QuotaLimit& limit, int64_t used) {
    if (limit.metric == QuotaMetric::kRequests) note(limit, used, requests);
    if (limit.metric == QuotaMetric::kTotalTokens) note(limit, used, tokens);
  };
  if (answer.verdict == QuotaVerdict::kRefused && answer.refused < limits.size())
    see(limits[answer.refused], answer.refused_used);
  if (answer.verdict == QuotaVerdict::kGranted)
    for (size_t i = 0; i < std::min(limits.size(), answer.used.size()); ++i)
      see(limits[i], answer.used[i]);
  http::Headers headers;
  tell("requests", requests, unix_ms, headers);
  tell("tokens", tokens, unix_ms, headers);
  return headers;
}

}  // namespace weir::gateway
