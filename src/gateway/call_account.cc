// What a call leaves behind: usage, the counts of its releases, rows of the ledger.
#include <algorithm>
#include <utility>

#include "base/units.h"
#include "gateway/call.h"
#include "gateway/upstream_error.h"

namespace weir::gateway {
namespace {

LedgerEnd ledger_end(const AttemptOutcome& o, bool gone, bool counts) {
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
  if (o.no_api && counts) return LedgerEnd::kOk;  // the client gets an estimate
  return o.status < 500 && !o.no_api ? LedgerEnd::kClientError : LedgerEnd::kServerError;
}

std::string_view shed_text(ShedReason reason) {
  switch (reason) {
    case ShedReason::kNone:
    case ShedReason::kQueueFull:
      return "as many requests wait as may at its priority";
    case ShedReason::kTooLong:
      return "it would wait longer than it has time";
    case ShedReason::kDisplaced:
      return "a more important request took its place";
    case ShedReason::kWaited:
      break;
  }
  return "no place came free in time";
}

}  // namespace

LedgerRow Call::row_of(const UpstreamAttempt& ended, const AttemptOutcome& outcome) const {
  const Clock& clock = proxy_.clock();
  const UpstreamConfig& u = *ended.choice().endpoint->upstream;
  const TargetConfig& t = *ended.choice().target;
  const double age_ms = static_cast<double>(now_ns() - ended.started_ns()) * 1e-6;
  LedgerRow r;
  r.request_id = asked_.request_id;
  r.attempt = asked_.attempts_before + ended.number();
  r.tenant = asked_.tenant;
  r.key_id = asked_.key_id;
  r.model = asked_.incoming.model;
  r.upstream = u.name;
  r.endpoint = ended.choice().endpoint->config->url;
  r.upstream_model = t.model.empty() ? asked_.incoming.model : t.model;
  r.release = t.release;
  r.started_unix_ms = clock.unix_ns() / kNsPerMs - static_cast<int64_t>(age_ms);
  r.status = outcome.status;
  r.end = whole_ && winner_ == &ended ? LedgerEnd::kOk
                                      : ledger_end(outcome, cancelled_, asked_.incoming.counts);
  const bool left = cancelled_ && outcome.end == AttemptEnd::kCancelled;
  const std::optional<Took> took = took_by(ended, left ? nullptr : &outcome);
  if (took.has_value()) {
    r.input_tokens = took->counts.input;
    r.cached_tokens = took->counts.cached_input;
    r.output_tokens = took->counts.output;
    r.estimated = took->estimated;
  }
  if (ended.answered_ns() != 0)
    r.ttft_ms = static_cast<double>(ended.answered_ns() - ended.started_ns()) * 1e-6;
  r.total_ms = age_ms;
  if (const ModelPrice* price = price_of(ended); price != nullptr && took.has_value())
    r.cost_nanos = token_cost(*price, took->counts);
  // Nothing was computed, which costs nothing.
  if (!took.has_value() &&
      (!sent_ || (ended.answered_ns() == 0 && outcome.end != AttemptEnd::kCancelled)))
    r.cost_nanos = 0;
  if (asked_.incoming.counts) r.cost_nanos = 0;
  if (asked_.shadow) {  // the operator's, whoever's request it is a copy of
    r.cache = kShadowCache;
    r.tenant.clear();
    r.key_id.clear();
  }
  r.hedged = hedged_;
  r.continued = streaming_ && broke_.has_value();
  r.retried = r.attempt > 1 && !r.continued;
  return r;
}

const ModelPrice* Call::price_of(const UpstreamAttempt& attempt) const {
  const std::string& model = attempt.choice().target->model;
  return asked_.config->prices.find(attempt.choice().endpoint->upstream->name,
                                    model.empty() ? asked_.incoming.model : model);
}

// An attempt that failed counts as far as the upstream said what it took. What went to a client,
// and what a client left behind, counts also where the usage did not come to be said: from what
// came by, and at least the prompt once the request was sent.
std::optional<Call::Took> Call::took_by(const UpstreamAttempt& attempt,
                                        const AttemptOutcome* outcome) const {
  const StreamObserver& seen = attempt.observer();
  const TokenUsage& usage = seen.usage();
  // Of a stream that ends early the usage may be that of its beginning.
  const bool whole = (outcome != nullptr && outcome->end == AttemptEnd::kAnswered) ||
                     (whole_ && winner_ == &attempt);
  Took took{.counts = {}, .estimated = !whole || !usage.known};
  if (usage.known) {
    took.counts = {usage.prompt_tokens, usage.cached_tokens, usage.cache_write_tokens,
                   usage.completion_tokens};
  } else if (outcome == nullptr
                 ? sent_
                 : attempt.answered_ns() != 0 &&
                       (outcome->end == AttemptEnd::kAnswered || outcome->passed_on)) {
    took.counts.input = asked_.incoming.input_tokens + tokens_of_bytes(seen.resent_text_bytes());
  } else {
    return std::nullopt;
  }
  if (took.estimated)
    took.counts.output =
        std::max({took.counts.output, seen.own_deltas(), tokens_of_bytes(seen.own_text_bytes())});
  return took;
}

void Call::spend(const UpstreamAttempt& attempt, const AttemptOutcome* outcome) {
  if (asked_.incoming.counts) {
    spent_.any = spent_.any || attempt.answered_ns() != 0;
    return;
  }
  const std::optional<Took> took = took_by(attempt, outcome);
  if (!took.has_value()) return;
  const ModelPrice* price = price_of(attempt);
  spent_.add({.any = true,
              .input_tokens = took->counts.input,
              .output_tokens = took->counts.output,
              .cost_nanos = price == nullptr ? 0 : token_cost(*price, took->counts)});
}

void Call::write_row(bool final) {
  if (row_.has_value()) row_->final = final;
  proxy_.record(std::exchange(row_, std::nullopt));
}

void Call::admitted() {
  waits_ = 0;
  admitted_ = true;
  over_ ? leave() : start();  // its client may have left meanwhile
}

void Call::shed(ShedReason reason, int64_t retry_after_ms) {
  waits_ = 0;
  if (over_) return;
  proxy_.instruments().shed.with(shed_reason_name(reason)).add();
  const ShedConfig& bounds = asked_.model->shed;
  Error e = make_error(ErrorCode::kServerOverloaded,
                       "{}: {} (at once {}, waiting {} for {} ms at most): "
                       "come again when Retry-After says",
                       asked_.incoming.model, shed_text(reason), bounds.max_in_flight,
                       bounds.max_queued, bounds.max_wait_ms);
  e.retry_after_s = static_cast<double>(retry_after_ms) * 1e-3;
  sink_->answer(refusal(e, asked_.protocol, asked_.request_id));
  over("shed", error_code_name(e.code), nullptr);
}

void Call::leave() {
  Admission* door = proxy_.admission(*asked_.model);
  if (waits_ != 0) door->withdraw(std::exchange(waits_, 0));
  if (std::exchange(admitted_, false)) door->leave();
}

void Call::over(std::string_view how, std::string_view error_code, const StreamObserver* seen,
                std::string refused_as) {
  over_ = true;
  leave();
  CallEnd end;
  end.how = how;
  end.error_code = error_code;
  end.refused_as = std::move(refused_as);
  end.good = how == "answered" && error_code.empty();  // a 500 is an answer, too
  end.input_tokens = asked_.incoming.counts ? 0 : asked_.incoming.input_tokens;
  if (seen != nullptr) {
    end.computed = true;
    const TokenUsage usage = seen->total_usage();
    if (usage.known) end.input_tokens = usage.prompt_tokens;
    end.cached_tokens = usage.cached_tokens;
    end.output_tokens = usage.known ? usage.completion_tokens : seen->deltas();
  }
  end.spent = spent_;
  if (winner_ != nullptr) {
    end.upstream = winner_->choice().endpoint->upstream->name;
  } else if (row_.has_value()) {
    end.upstream = row_->upstream;
  }
  if (!cancelled_ || live_.empty()) end.row = std::exchange(row_, std::nullopt);
  std::exchange(sink_, nullptr)->ended(std::move(end));
}

void Call::count(const UpstreamAttempt& ended, const AttemptOutcome& outcome) {
  if (outcome.end == AttemptEnd::kCancelled || outcome.end == AttemptEnd::kNotTried) return;
  const auto window = proxy_.releases().find(ended.choice().target->release);
  if (window == proxy_.releases().end()) return;
  const bool failed = outcome.end != AttemptEnd::kAnswered || outcome.status >= 500 ||
                      outcome.status == 429 || (outcome.no_api && !asked_.incoming.counts);
  const int64_t slo_ms = asked_.model->slo_first_byte_ms;
  const bool late =
      slo_ms > 0 && winner_ == &ended && first_byte_ns_ - asked_.received_ns > slo_ms * kNsPerMs;
  window->second.add(failed || late, now_ns() / 1'000'000'000);
}

}  // namespace weir::gateway
