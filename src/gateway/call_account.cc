// What a call leaves behind: usage, the counts of its releases, rows of the ledger.
#include <utility>

#include "gateway/call.h"

namespace weir::gateway {
namespace {

constexpr int64_t kMs = 1'000'000;

LedgerEnd ledger_end(const AttemptOutcome& o, bool gone) {
  switch (o.end) {
    case AttemptEnd::kConnectFailed:
      return LedgerEnd::kConnect;
    case AttemptEnd::kNoFirstByte:
    case AttemptEnd::kStalled:
      return LedgerEnd::kTimeout;
    case AttemptEnd::kCut:
    case AttemptEnd::kMalformed:
    case AttemptEnd::kTooLarge:
      return LedgerEnd::kBroken;
    case AttemptEnd::kCancelled:
      return gone ? LedgerEnd::kCancelled : LedgerEnd::kSuperseded;
    case AttemptEnd::kNotTried:
      return LedgerEnd::kRefused;
    case AttemptEnd::kAnswered:
      break;
  }
  if (o.status < 400) return LedgerEnd::kOk;
  if (o.status == 429 || o.status == 503 || o.status == 529) return LedgerEnd::kRefused;
  return o.status < 500 ? LedgerEnd::kClientError : LedgerEnd::kServerError;
}

}  // namespace

LedgerRow Call::row_of(const UpstreamAttempt& ended, const AttemptOutcome& outcome) const {
  const Clock& clock = proxy_.clock();
  const UpstreamConfig& u = *ended.choice().endpoint->upstream;
  const TargetConfig& t = *ended.choice().target;
  const TokenUsage& usage = ended.observer().usage();
  const double age_ms = static_cast<double>(now_ns() - ended.started_ns()) * 1e-6;
  LedgerRow r;
  r.request_id = asked_.request_id;
  r.attempt = asked_.attempts_before + ended.number();
  r.tenant = asked_.tenant;
  r.key_id = asked_.key_id;
  r.route = asked_.incoming.model;
  r.upstream = u.name;
  r.endpoint = ended.choice().endpoint->config->url;
  r.model = t.model.empty() ? asked_.incoming.model : t.model;
  r.release = t.release;
  r.started_unix_ms = clock.unix_ns() / kMs - static_cast<int64_t>(age_ms);
  r.status = outcome.status;
  r.end = ledger_end(outcome, cancelled_);
  r.input_tokens = usage.known ? usage.prompt_tokens : 0;
  r.cached_tokens = usage.cached_tokens;
  r.output_tokens = usage.known ? usage.completion_tokens : ended.observer().deltas();
  if (ended.answered_ns() != 0)
    r.ttft_ms = static_cast<double>(ended.answered_ns() - ended.started_ns()) * 1e-6;
  r.total_ms = age_ms;
  if (const ModelPrice* price = proxy_.config().prices.find(u.name, r.model);
      price != nullptr && usage.known)
    r.cost_nanos = token_cost(*price, {usage.prompt_tokens, usage.cached_tokens,
                                       usage.cache_write_tokens, usage.completion_tokens});
  if (asked_.shadow) r.cache = kShadowCache;
  r.hedged = hedged_;
  r.retried = r.attempt > 1;
  return r;
}

void Call::write_row(bool final) {
  if (!row_.has_value()) return;
  row_->final = final;
  if (proxy_.ledger() != nullptr) proxy_.ledger()->add(std::move(*row_));
  row_.reset();
}

void Call::over(std::string_view how, std::string_view error_code, const StreamObserver* seen) {
  over_ = true;
  CallEnd end;
  end.how = how;
  end.error_code = error_code;
  end.good = how == "answered" && error_code.empty();  // a 500 is an answer, too
  end.input_tokens = asked_.incoming.input_tokens;
  if (seen != nullptr) {
    end.computed = true;
    const TokenUsage& usage = seen->usage();
    if (usage.known) end.input_tokens = usage.prompt_tokens;
    end.cached_tokens = usage.cached_tokens;
    end.output_tokens = usage.known ? usage.completion_tokens : seen->deltas();
  }
  if (!cancelled_ || live_.empty()) end.row = std::exchange(row_, std::nullopt);
  std::exchange(sink_, nullptr)->ended(std::move(end));
}

void Call::count(const UpstreamAttempt& ended, const AttemptOutcome& outcome) {
  if (outcome.end == AttemptEnd::kCancelled || outcome.end == AttemptEnd::kNotTried) return;
  const auto window = proxy_.releases().find(ended.choice().target->release);
  if (window == proxy_.releases().end()) return;
  const bool failed =
      outcome.end != AttemptEnd::kAnswered || outcome.status >= 500 || outcome.status == 429;
  const int64_t slo_ms = asked_.model->slo_first_byte_ms;
  const bool late =
      slo_ms > 0 && winner_ == &ended && first_byte_ns_ - asked_.received_ns > slo_ms * kMs;
  window->second.add(failed || late, now_ns() / 1'000'000'000);
}

}  // namespace weir::gateway
