#include "gateway/call.h"

#include <algorithm>
#include <utility>

#include "gateway/estimated_count.h"
#include "gateway/route/gie.h"
#include "gateway/routing.h"
#include "gateway/translate/translate.h"
#include "gateway/upstream_error.h"
#include "http/retry_after.h"
#include "text/json.h"

namespace weir::gateway {
namespace {

constexpr std::string_view kDeadlineHeader = "x-weir-deadline-ms";
constexpr std::string_view kSessionHeader = "x-session-id";

// What of a header's value may go on: ids and lists of names, nothing that could mean more.
constexpr size_t kMaxTokenBytes = 512;
bool is_plain_token(std::string_view value) {
  return !value.empty() && value.size() <= kMaxTokenBytes &&
         std::all_of(value.begin(), value.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  std::string_view("-_.:, ").find(c) != std::string_view::npos;
         });
}

double seconds(int64_t from_ns, int64_t to_ns) {
  return static_cast<double>(to_ns - from_ns) * 1e-9;
}

}  // namespace

RequestView Asked::view(int64_t unix_s) const {
  RequestView v;
  v.model = incoming.model;
  v.route = path;
  v.tenant = tenant;
  v.user = incoming.user;
  v.session = headers.find(kSessionHeader).value_or("");
  v.headers = headers.all();
  v.blocks = blocks;
  v.input_tokens = incoming.input_tokens;
  v.unix_s = unix_s;
  return v;
}

Call::Call(Proxy& proxy, Asked asked, std::shared_ptr<AnswerSink> sink)
    : proxy_(proxy), asked_(std::move(asked)), sink_(std::move(sink)) {}

void Call::begin() {
  Admission* door = proxy_.admission(*asked_.model);
  if (door == nullptr) return start();
  const size_t priority =
      asked_.config->priorities.of(asked_.tenant, asked_.key_id, asked_.headers);
  const Admission::Answer a =
      door->enter(shared_from_this(), priority, remaining_ms(asked_.deadline, now_ns()));
  if (a.entry == Admission::Entry::kShed) return shed(a.reason, a.retry_after_ms);
  waits_ = a.number;
  if (a.entry == Admission::Entry::kIn) admitted();
}

void Call::start() {
  const ModelConfig& model = *asked_.model;
  proxy_.hedge(model).on_request(now_ns());
  assigned_ = asked_.assigned.has_value()
                  ? *asked_.assigned
                  : proxy_.dispatcher().assign(model, view(), proxy_.draw());
  if (!asked_.internal && !asked_.incoming.counts)
    asked_.routing->expose(model, assigned_, view(), asked_.request_id);
  std::optional<Told> told = next_told();
  if (!told.has_value()) {
    if (untold_.has_value() && (!asked_.picked.empty() || !can_be_told())) return refuse(*untold_);
    return fail({}, proxy_.ready_in_ms(model, now_ns()));
  }
  told->choice.endpoint->pool->on_request(now_ns());  // its budget pays for what is sent again
  if (attempt(std::move(*told))) plan_hedge();
}

void Call::refuse(const Error& error) {
  sink_->answer(refusal(error, asked_.protocol, asked_.request_id));
  over("refused", error_code_name(error.code), nullptr);
}

Choice Call::choose(std::span<const uint32_t> without) {
  if (!asked_.picked.empty())
    return proxy_.dispatcher().choose_picked(*asked_.model, assigned_, asked_.picked, without,
                                             now_ns());
  return proxy_.dispatcher().choose(*asked_.model, assigned_, view(), without, proxy_.draw(),
                                    now_ns());
}

Result<TranslatedRequest> Call::request_for(const UpstreamConfig& upstream,
                                            const TargetConfig& target) const {
  TranslateOptions options = upstream.translate;
  options.upstream_model = target.model;
  options.client_model = asked_.incoming.model;
  options.created_unix_s = proxy_.clock().unix_s();
  options.engine_extras = upstream.engine != "openai";
  return translate_request(asked_.protocol, upstream.protocol, asked_.path, asked_.body.text(),
                           options, asked_.body.spots());
}

std::optional<Call::Told> Call::tell(const Choice& choice) {
  auto request = request_for(*choice.endpoint->upstream, *choice.target);
  if (request.ok()) return Told{choice, std::move(*request)};
  if (!untold_.has_value()) untold_ = request.error();
  return std::nullopt;
}

std::optional<Call::Told> Call::next_told() {
  while (true) {
    const Choice choice = choose();
    if (choice.endpoint == nullptr) return std::nullopt;
    if (auto told = tell(choice)) return told;
    tried_.push_back(choice.endpoint->index);
    // Nor can it be told to the others of the pool.
    for (const EndpointPtr& e : proxy_.fleet().of(choice.target->upstream))
      if (e->upstream == choice.endpoint->upstream) tried_.push_back(e->index);
  }
}

bool Call::can_be_told() const {
  return std::any_of(asked_.model->targets.begin(), asked_.model->targets.end(),
                     [&](const TargetConfig& t) {
                       return request_for(proxy_.fleet().upstream(t.upstream), t).ok();
                     });
}

bool Call::attempt(Told told) {
  tried_.push_back(told.choice.endpoint->index);
  if (send(told.choice, std::move(told.request), nullptr)) return true;
  // Of two attempts the other goes on.
  if (live_.empty()) retry_or_fail(nullptr, {.end = AttemptEnd::kNotTried});
  return false;
}

bool Call::send(const Choice& choice, TranslatedRequest request,
                std::unique_ptr<AnswerTranslator>* begun) {
  const auto permit = choice.endpoint->pool->start(choice.endpoint->number, now_ns());
  if (!permit.has_value()) return false;
  ++attempts_;
  auto made = std::make_unique<UpstreamAttempt>(
      shared_from_this(), attempts_, choice, *permit,
      begun != nullptr ? std::move(*begun) : make_answer_translator(std::move(request.plan)));
  UpstreamAttempt& a = *made;
  a.set_altered(altered_header(request.altered));
  a.set_path(request.path);
  live_.push_back(&a);
  const AttemptTimeouts t = attempt_timeouts(
      asked_.model->timeouts, asked_.deadline, now_ns(),
      std::max(asked_.model->retry.max_attempts - attempts_ + 1, 1), asked_.incoming.stream);
  a.set_deadlines(t.first_byte_by_deadline, t.total_by_deadline);
  http::ClientRequest r = upstream_request(choice, std::move(request));
  r.timeouts = t.client;
  proxy_.dispatcher().sent(choice, view());
  // The client may end it before send() returns; then it is not to be touched.
  const http::Client::RequestId id = proxy_.client().send(std::move(r), std::move(made));
  if (std::find(live_.begin(), live_.end(), &a) != live_.end()) a.id = id;
  return true;
}

http::ClientRequest Call::upstream_request(const Choice& choice,
                                           TranslatedRequest translated) const {
  const UpstreamConfig& u = *choice.endpoint->upstream;
  http::ClientRequest r;
  r.url = choice.endpoint->config->to;
  r.tls = choice.endpoint->tls;
  r.method = "POST";
  r.target = std::move(translated.path);
  r.body = std::move(translated.body);
  r.headers = std::move(translated.headers);
  r.headers.set("Content-Type", "application/json");
  r.headers.set("Accept", asked_.incoming.stream ? "text/event-stream" : "application/json");
  r.headers.set("x-request-id", asked_.request_id);
  if (!u.key.empty()) {
    if (u.protocol == Protocol::kAnthropic) {
      r.headers.set("x-api-key", u.key);
    } else {
      r.headers.set("Authorization", "Bearer " + u.key);
    }
  }
  if (u.pass_anthropic_headers && u.protocol == Protocol::kAnthropic &&
      asked_.protocol == Protocol::kAnthropic) {
    for (const std::string_view name : {"anthropic-version", "anthropic-beta"}) {
      const auto value = asked_.headers.find(name);
      if (value.has_value() && is_plain_token(*value)) r.headers.set(name, *value);
    }
  }
  if (const auto trace = asked_.headers.find("traceparent")) r.headers.set("traceparent", *trace);
  if (const int64_t left = remaining_ms(asked_.deadline, now_ns()); left > 0)
    r.headers.set(kDeadlineHeader, std::to_string(left));
  r.replay_stale = true;  // a connection that was closed while idle: nothing was computed
  return r;
}

void Call::plan_hedge() {
  const auto delay_ns = proxy_.hedge(*asked_.model).delay_ns(now_ns());
  if (!delay_ns.has_value()) return;
  proxy_.client().post_at(std::chrono::steady_clock::now() + std::chrono::nanoseconds(*delay_ns),
                          [weak = weak_from_this()] {
                            if (const auto call = weak.lock()) call->hedge();
                          });
}

void Call::hedge() {
  if (over_ || streaming_ || winner_ != nullptr || live_.size() != 1) return;
  std::optional<Told> other = next_told();
  HedgeCase c;
  c.repeatable = asked_.incoming.generates && asked_.model->retry.rerun_generation;
  c.hedged = hedged_;
  c.other_endpoint = other.has_value();
  c.utilization = live_.front()->choice().endpoint->pool->utilization(now_ns());
  const HedgeRefusal refusal = proxy_.hedge(*asked_.model).try_hedge(c, now_ns());
  proxy_.instruments().hedges.with(hedge_refusal_name(refusal)).add();
  if (refusal != HedgeRefusal::kNone) return;
  hedged_ = true;  // it may end before attempt() returns
  if (!attempt(std::move(*other))) hedged_ = false;
}

void Call::on_sent() {
  if (std::exchange(sent_, true) || asked_.internal) return;
  proxy_.instruments().overhead_s.observe(seconds(asked_.received_ns, now_ns()));
}

bool Call::on_answered(UpstreamAttempt& attempt) {
  if (over_) return false;
  if (winner_ != nullptr) return winner_ == &attempt;
  winner_ = &attempt;
  if (first_byte_ns_ != 0) return true;  // it goes on with another's stream
  first_byte_ns_ = now_ns();
  if (!asked_.internal)
    proxy_.instruments().first_byte_s.observe(seconds(asked_.received_ns, now_ns()));
  for (const UpstreamAttempt* a : live_) {
    if (asked_.incoming.stream && a->number() == 1)
      proxy_.hedge(*asked_.model).on_first_byte(now_ns() - a->started_ns(), now_ns());
  }
  for (UpstreamAttempt* other : live_) {
    if (other == winner_) continue;
    other->let_go();
    proxy_.client().cancel(other->id);
  }
  return true;
}

http::Headers Call::client_headers(const UpstreamAttempt& attempt) const {
  http::Headers headers;
  for (const std::string_view name : {"content-type", "openai-processing-ms", "server-timing"})
    if (const auto value = attempt.answer().headers.find(name)) headers.add(name, *value);
  headers.add("x-weir-upstream", attempt.choice().endpoint->upstream->name);
  headers.add("x-weir-release", attempt.choice().target->release);
  headers.add("x-weir-attempts", std::to_string(attempts()));
  if (!attempt.altered().empty()) headers.add("x-weir-altered", attempt.altered());
  for (const std::string_view name : {"x-request-id", "request-id"}) {
    const auto id = attempt.answer().headers.find(name);
    if (!id.has_value() || *id == asked_.request_id || !is_plain_token(*id)) continue;
    headers.add("x-weir-upstream-request-id", *id);
    break;
  }
  for (const auto& field : asked_.tell.all()) headers.set(field.name, field.value);
  if (!asked_.picked.empty()) {
    const http::Url& to = attempt.choice().endpoint->config->to;
    headers.set(kDestinationServedHeader, fmt::format("{}:{}", to.host, to.port));
  }
  return headers;
}

void Call::begin_stream(UpstreamAttempt& attempt) {
  if (over_) return;
  if (std::exchange(streaming_, true)) {
    ++continuations_;
    sink_->piece(fmt::format(": weir continued at {}, attempt {}\n\n",
                             attempt.choice().endpoint->upstream->name, attempts()));
    return;
  }
  http::Headers headers = client_headers(attempt);
  headers.set("Cache-Control", "no-cache");
  sink_->begin_stream(std::move(headers));
}

bool Call::on_piece(std::string_view piece) { return over_ || sink_->piece(piece); }

void Call::resume() {
  if (winner_ != nullptr) proxy_.client().resume(winner_->id);
}

void Call::on_end(UpstreamAttempt& ended, const AttemptOutcome& outcome) {
  std::erase(live_, &ended);
  count(ended, outcome);
  write_row(false);
  row_ = row_of(ended, outcome);
  spend(ended, &outcome);
  if (over_) return write_row(cancelled_ && live_.empty());
  if (winner_ == &ended) {
    winner_ = nullptr;
  } else if (!live_.empty()) {
    return;  // another one is still trying, or has won
  }
  if (streaming_) return end_stream(ended, outcome);
  const bool good = outcome.end == AttemptEnd::kAnswered && outcome.status < 400;
  if (good && asked_.incoming.stream) return end_stream(ended, outcome);
  if (good) return answer_whole(ended, outcome);
  retry_or_fail(&ended, outcome);
}

void Call::retry_or_fail(UpstreamAttempt* ended, const AttemptOutcome& outcome) {
  std::optional<Told> other = next_told();
  Choice same;
  if (ended != nullptr) same = ended->choice();
  PoolGuard& pool = same.endpoint != nullptr
                        ? *same.endpoint->pool
                        : proxy_.fleet().pool(asked_.model->targets[0].upstream);
  RetryCase c;
  c.now_ns = now_ns();
  c.deadline_ns = asked_.deadline.at_ns;
  c.attempts = std::max(attempts_, 1);
  c.idempotency_key = asked_.idempotent;
  c.generation = true;  // embeddings and counts, too, change nothing at the upstream
  c.other_endpoint = other.has_value();
  c.jitter = static_cast<double>(proxy_.draw() >> 11) * 0x1.0p-53;
  const RetryDecision d = decide_retry(asked_.model->retry, c, outcome, pool.budget());
  if (d.action == RetryAction::kRetry) {
    proxy_.instruments().retries.with("sent").add();
    if (!other.has_value() && same.endpoint != nullptr) other = tell(same);
    if (d.delay_ms == 0 && other.has_value()) {
      attempt(std::move(*other));
      return;
    }
    proxy_.client().post_at(
        std::chrono::steady_clock::now() + std::chrono::milliseconds(d.delay_ms),
        // shared: nobody else holds it while no attempt is made.
        [call = shared_from_this(), last = outcome, same, &pool] {
          if (call->over_) return pool.budget().give_back(call->now_ns());
          std::optional<Told> now = call->next_told();
          if (!now.has_value() && same.endpoint != nullptr) now = call->tell(same);
          if (!now.has_value()) {
            pool.budget().give_back(call->now_ns());
            return call->fail(last, 0);
          }
          call->attempt(std::move(*now));
        });
    return;
  }
  proxy_.instruments().retries.with(retry_reason_name(d.reason)).add();
  if (outcome.no_api && asked_.incoming.counts) return answer_estimate();
  if (outcome.no_api && ended != nullptr) tell_wrong_path(*ended);
  if (ended != nullptr && outcome.end == AttemptEnd::kAnswered && outcome.status < 500 &&
      outcome.status != 429 && outcome.status != 408 && !outcome.no_api)
    return answer_whole(*ended, outcome);  // what the client did wrong stays wrong elsewhere
  int64_t wait_ms = outcome.retry_after_ms.value_or(0);
  if (wait_ms == 0) wait_ms = proxy_.ready_in_ms(*asked_.model, now_ns());
  fail(outcome, wait_ms);
}

// To the operator alone: clients are told no addresses.
void Call::tell_wrong_path(const UpstreamAttempt& ended) const {
  const EndpointConfig& endpoint = *ended.choice().endpoint->config;
  proxy_.log().warn("upstream_url_not_found",
                    {{"request_id", asked_.request_id},
                     {"upstream", ended.choice().endpoint->upstream->name},
                     {"url", endpoint.url},
                     {"path", ended.path()},
                     {"status", 404},
                     {"remedy",
                      "check the base path of the url: what answers there knows no such "
                      "path"}});
}

void Call::answer_whole(UpstreamAttempt& ended, const AttemptOutcome& outcome) {
  http::Response& answer = ended.answer();
  http::Response r;
  r.status = answer.status;
  r.headers = client_headers(ended);
  if (r.status >= 400 && r.status < 500 && outcome.retry_after_ms.has_value())
    r.headers.set("Retry-After",
                  std::to_string(http::retry_after_seconds(*outcome.retry_after_ms)));
  r.body = std::move(answer.body);
  if (outcome.status < 400) {
    sink_->answer(std::move(r));
    return over("answered", "", &ended.observer());
  }
  std::string code = refusal_code(r.body);
  sink_->answer(std::move(r));
  over("upstream_refused", "", &ended.observer(), std::move(code));
}

// The upstream has no such path: many of Anthropic's kind take messages and nothing else.
void Call::answer_estimate() {
  auto estimated = estimated_count(asked_.body.text());
  if (!estimated.ok()) return refuse(estimated.error());
  for (const auto& field : asked_.tell.all()) estimated->headers.set(field.name, field.value);
  sink_->answer(std::move(*estimated));
  over("answered", "", nullptr);
}

void Call::end_stream(UpstreamAttempt& ended, const AttemptOutcome& outcome) {
  if (outcome.end == AttemptEnd::kAnswered && outcome.status < 400)
    return over("answered", "", &ended.observer());
  const TargetConfig& at = *ended.choice().target;
  stream_ = ended.take_translator();
  go_on(at, outcome);
}

void Call::fail(const AttemptOutcome& last, int64_t retry_after_ms) {
  http::Response r =
      upstream_failure(last, attempts(), retry_after_ms, asked_.protocol, asked_.deadline);
  r.headers.set("x-weir-attempts", std::to_string(attempts()));
  for (const auto& field : asked_.tell.all()) r.headers.set(field.name, field.value);
  sink_->answer(std::move(r));
  over(attempts() == 0                     ? "nobody"
       : last.end == AttemptEnd::kAnswered ? "upstream_failed"
                                           : attempt_end_name(last.end),
       upstream_failure_code(last, attempts()), nullptr);
}

void Call::cancel(std::string_view how, std::string_view error_code) {
  if (over_) return;
  cancelled_ = true;
  // Clients close behind the last event, before the upstream has ended its side.
  whole_ = streaming_ && winner_ != nullptr && winner_->observer().is_done();
  for (UpstreamAttempt* a : live_) {
    spend(*a, nullptr);
    a->let_go();
    if (whole_ && a == winner_) {
      proxy_.client().resume(a->id);  // it may have waited for the client
    } else {
      proxy_.client().cancel(a->id);
    }
  }
  if (whole_) return over("answered", "", &winner_->observer());
  over(how, error_code, streaming_ && winner_ != nullptr ? &winner_->observer() : nullptr);
}

}  // namespace weir::gateway
