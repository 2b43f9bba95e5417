#include "access/tenant_limits.h"

#include <algorithm>

namespace weir::access {
namespace {

// When a place among the concurrent requests will be free is not known.
constexpr double kConcurrentRetryAfterS = 1;

Error over_limit(std::string_view limit, int64_t value, int64_t wait_ns) {
  Error e = make_error(ErrorCode::kRateLimitExceeded, "over {} of {}; try again in {:.1f} s", limit,
                       value, static_cast<double>(wait_ns) * 1e-9);
  e.retry_after_s = static_cast<double>(wait_ns) * 1e-9;
  return e;
}

TenantMeter::View view(RateWindow& window, int64_t now_ns) {
  return {window.limit(), window.remaining(now_ns), window.reset_ns(now_ns)};
}

}  // namespace

bool TenantSpec::may_use(std::string_view model) const {
  return models.empty() || std::find(models.begin(), models.end(), model) != models.end();
}

void TenantMeter::set_spec(const TenantSpec& spec) {
  name_ = spec.name;
  concurrent_limit_ = spec.concurrent;
  requests_.set_limit(spec.requests_per_min);
  refused_.set_limit(spec.requests_per_min);
  tokens_.set_limit(spec.tokens_per_min);
}

Status TenantMeter::begin(int64_t now_ns) {
  if (concurrent_limit_ > 0 && running_ >= concurrent_limit_) {
    Error e =
        make_error(ErrorCode::kRateLimitExceeded,
                   "{} requests of this key's tenant are being answered (concurrent)", running_);
    e.retry_after_s = kConcurrentRetryAfterS;
    return e;
  }
  if (const int64_t wait = requests_.wait_ns(1, now_ns); wait != 0)
    return over_limit("requests_per_min", requests_.limit(), wait);
  requests_.take(1, now_ns);
  ++running_;
  return {};
}

void TenantMeter::end() { --running_; }

void TenantMeter::forget(int64_t begun_ns, int64_t now_ns) {
  requests_.give_back(begun_ns / 1'000'000'000, 1, now_ns);
}

void TenantMeter::refuse(int64_t begun_ns, int64_t now_ns) {
  if (refused_.wait_ns(1, now_ns) != 0) return;
  forget(begun_ns, now_ns);
  refused_.take(1, now_ns);
}

Result<TenantMeter::Reservation> TenantMeter::reserve(int64_t prompt_tokens, int64_t output_tokens,
                                                      int64_t now_ns) {
  const int64_t tokens = prompt_tokens + output_tokens;
  const int64_t wait = tokens_.wait_ns(tokens, now_ns);
  if (wait == RateWindow::kNever) {
    const bool prompt_alone = prompt_tokens >= tokens_.limit();
    return param_error(
        prompt_alone ? ErrorCode::kMaxInputTokensExceeded : ErrorCode::kMaxOutputTokensExceeded,
        prompt_alone ? "" : "max_tokens",
        "{} prompt tokens and up to {} of output are more than the {} tokens that "
        "this key's tenant has a minute (tokens_per_min)",
        prompt_tokens, output_tokens, tokens_.limit());
  }
  if (wait != 0) return over_limit("tokens_per_min", tokens_.limit(), wait);
  return Reservation{tokens, tokens_.take(tokens, now_ns)};
}

void TenantMeter::reconcile(const Reservation& r, int64_t used_tokens, int64_t now_ns) {
  if (used_tokens < r.tokens) {
    tokens_.give_back(r.slot, r.tokens - used_tokens, now_ns);
  } else if (used_tokens > r.tokens) {
    tokens_.take(used_tokens - r.tokens, now_ns);  // never more than reserved, unless by a bug
  }
}

TenantMeter::View TenantMeter::requests(int64_t now_ns) { return view(requests_, now_ns); }
TenantMeter::View TenantMeter::tokens(int64_t now_ns) { return view(tokens_, now_ns); }

}  // namespace weir::access
