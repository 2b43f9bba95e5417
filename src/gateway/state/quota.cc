#include "gateway/state/quota.h"

#include <algorithm>

#include "gateway/state/prices.h"

namespace weir::gateway {
namespace {

constexpr size_t kMaxCounterBytes = 1024;

std::string amount_text(QuotaMetric metric, int64_t amount) {
  return metric == QuotaMetric::kMoney ? money_text(amount) : fmt::format("{}", amount);
}

}  // namespace

std::string_view quota_metric_name(QuotaMetric metric) {
  switch (metric) {
    case QuotaMetric::kRequests:
      return "requests";
    case QuotaMetric::kInputTokens:
      return "input tokens";
    case QuotaMetric::kOutputTokens:
      return "output tokens";
    case QuotaMetric::kTotalTokens:
      return "tokens";
    case QuotaMetric::kMoney:
      return "money";
  }
  return "requests";
}

int64_t QuotaAmounts::of(QuotaMetric metric) const {
  const auto within = [](int64_t n) { return std::clamp<int64_t>(n, 0, kMaxQuota); };
  switch (metric) {
    case QuotaMetric::kRequests:
      return within(requests);
    case QuotaMetric::kInputTokens:
      return within(input_tokens);
    case QuotaMetric::kOutputTokens:
      return within(output_tokens);
    case QuotaMetric::kTotalTokens:
      return within(within(input_tokens) + within(output_tokens));
    case QuotaMetric::kMoney:
      return within(money_nanos);
  }
  return 0;
}

Error quota_error(const QuotaAnswer& answer, const std::vector<QuotaLimit>& limits) {
  if (answer.verdict == QuotaVerdict::kUnavailable || answer.refused >= limits.size()) {
    Error e = make_error(ErrorCode::kServerOverloaded, "quotas cannot be checked: {}",
                         answer.why.empty() ? "the store does not answer" : answer.why);
    e.retry_after_s = 1;
    e.bound = "quota_store";
    return e;
  }
  const QuotaLimit& l = limits[answer.refused];
  if (answer.retry_after_ms == QuotaAnswer::kNever) {
    Error e = make_error(ErrorCode::kRateLimitExceeded,
                         "{}: this request may take {}, and the whole limit is {}: no retry will "
                         "fit; ask for less",
                         l.name, amount_text(l.metric, answer.refused_wanted),
                         amount_text(l.metric, l.limit));
    e.retry_after_s = -1;
    return e;
  }
  // By the clock of another gateway that shares the store it may be a second more than a minute.
  const int64_t longest_ms = l.window == QuotaWindow::kMinute ? 60'000 : INT64_MAX;
  const int64_t wait_ms = std::clamp<int64_t>(answer.retry_after_ms, 1, longest_ms);
  const double wait_s = static_cast<double>(wait_ms) * 1e-3;
  const bool by_answer = l.metric != QuotaMetric::kRequests &&
                         l.metric != QuotaMetric::kInputTokens && answer.refused_used < l.limit;
  Error e =
      make_error(ErrorCode::kRateLimitExceeded,
                 "{}: {} of {} are taken, and this request may take {}; {}try again in {:.1f} s",
                 l.name, amount_text(l.metric, answer.refused_used), amount_text(l.metric, l.limit),
                 amount_text(l.metric, answer.refused_wanted),
                 by_answer ? "ask for fewer by max_tokens, or " : "", wait_s);
  e.retry_after_s = wait_s;
  return e;
}

std::string quota_problem(const std::vector<QuotaLimit>& limits) {
  if (limits.size() > kMaxQuotaLimits)
    return fmt::format("more than {} limits for one request", kMaxQuotaLimits);
  for (const QuotaLimit& l : limits) {
    if (l.limit < 0 || l.limit > kMaxQuota)
      return fmt::format("{}: the limit must be from 0 to {}", l.name, kMaxQuota);
    if (l.counter.empty() || l.counter.size() > kMaxCounterBytes)
      return fmt::format("{}: a counter has 1 to {} bytes", l.name, kMaxCounterBytes);
  }
  return "";
}

}  // namespace weir::gateway
