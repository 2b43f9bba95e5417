// What a visit has to do with answers that are kept: its own and those of others.
#include <algorithm>
#include <chrono>
#include <utility>

#include "base/units.h"
#include "gateway/answer_refresh.h"
#include "gateway/routing.h"
#include "gateway/upstream_error.h"
#include "gateway/visit.h"
#include "http/sse.h"

namespace weir::gateway {
namespace {

constexpr int kConflict = 409;
constexpr std::string_view kCacheField = "x-weir-cache";
constexpr std::string_view kEventStream = "text/event-stream";

// What the file says of a model that bears on its answers: another file, other answers.
std::string answers_as(const ModelConfig& model) {
  std::string out;
  for (const TargetConfig& t : model.targets) out += fmt::format(" {}={}", t.release, t.model);
  if (model.cascade.has_value())
    for (const CascadeStepConfig& step : model.cascade->steps) out += " >" + step.model;
  if (model.prompt_budget.max_input_tokens > 0)
    out += fmt::format(" {}/{}", model.prompt_budget.max_input_tokens,
                       static_cast<int>(model.prompt_budget.action));
  return out;
}

bool can_replay(std::string_view path) {
  return path == "/v1/chat/completions" || path == "/v1/completions";
}

}  // namespace

// --- Idempotency-Key

void Visit::do_once() {
  Idempotency* const idempotency = proxy_.answers().idempotency();
  if (idempotency == nullptr || idempotency_key_.empty()) return look_up();
  if (id_ == 0) id_ = proxy_.answers().next_id();
  if (stage_ == VisitStage::kWaitsForKey) become(VisitStage::kOpening);
  auto begun = idempotency->begin(asked_.tenant, idempotency_key_, asked_.path, asked_.body.text(),
                                  id_, proxy_.clock().unix_ns() / kNsPerMs);
  if (!begun.ok()) {
    const bool busy = begun.error().bound == "idempotency_in_flight";
    proxy_.answers().count_idempotency("refused");
    return refuse(begun.error(), busy ? kConflict : 0);
  }
  switch (begun->verdict) {
    case Idempotency::Verdict::kReplay:
      proxy_.answers().count_idempotency("replay");
      return replay(std::move(begun->reply));
    case Idempotency::Verdict::kWait:
      proxy_.answers().count_idempotency("wait");
      return wait(VisitStage::kWaitsForKey);
    case Idempotency::Verdict::kRun:
      break;
  }
  proxy_.answers().count_idempotency(begun->kept.ok() ? "run" : "unkept");
  tell_kept(begun->kept);
  once_ = asked_.idempotent = true;
  look_up();
}

// An operator hears of an outage once, and of its end.
void Visit::tell_kept(const Status& kept) {
  using News = Outage::News;
  const News news = proxy_.answers().idempotency_outage().note(kept.ok(), proxy_.clock().now_ns());
  if (news == News::kOver) proxy_.log().info("idempotency_kept_again");
  if (news == News::kBegun)
    proxy_.log().warn("idempotency_not_kept", {{"why", kept.error().message}});
}

void Visit::replay(StoredReply reply) {
  http::Response r;
  r.status = reply.status;
  r.headers.set("Content-Type", reply.content_type);
  r.headers.set(std::string(kReplayedField), "true");
  r.body = std::move(reply.body);
  if (place_ != nullptr) place_->use(0, 0);
  writer_.send(std::move(r));
  over("replayed");
}

// good: a stream that is whole. An answer that is not a stream says by its status what it is worth.
void Visit::settle_once(bool good) {
  if (!std::exchange(once_, false)) return;
  Idempotency& idempotency = *proxy_.answers().idempotency();
  if (answer_.has_value())
    reply_ = {answer_->status, std::string(answer_->headers.find("Content-Type").value_or("")),
              answer_->body};
  // Of a status that a retry is meant to get past, finish keeps nothing.
  const bool keeps = (good || answer_.has_value()) && !leaked();
  Idempotency::End end = keeps ? idempotency.finish(id_, reply_) : idempotency.abandon(id_);
  if (!end.stored.ok()) tell_kept(end.stored);
  // Later: those that wait may run to their end at once, and this one is in the middle of its own.
  if (!end.woken.empty())
    proxy_.client().post(
        [&answers = proxy_.answers(), ids = std::move(end.woken)] { answers.wake(ids); });
}

// --- the exact cache

bool Visit::may_store() const {
  if (proxy_.answers().cache() == nullptr || asked_.model->cache == CacheMode::kOff) return false;
  if (!asked_.incoming.stream) return true;
  return asked_.protocol == Protocol::kOpenAi && can_replay(asked_.path);
}

void Visit::look_up() {
  if (!may_store()) return ask();
  AnswerStore& answers = proxy_.answers();
  const auto wish = parse_cache_wish(asked_.headers.find(kCacheWishField).value_or(""));
  if (!wish.ok()) return refuse(wish.error());
  const bool always = asked_.model->cache == CacheMode::kAlways || !asked_.incoming.generates;
  if (!may_cache(*json_, *wish, always)) {
    answers.count_cache("bypass");
    return ask();
  }
  by_temperature_ = *wish == CacheWish::kDefault && !always;
  scope_ = {asked_.tenant, asked_.path, asked_.incoming.model, ""};
  if (asked_.model->name != asked_.incoming.model) scope_.chosen = asked_.model->name;
  scope_.settings = answers_as(*asked_.model);
  scope_.anthropic_version = asked_.headers.find("anthropic-version").value_or("");
  scope_.anthropic_beta = asked_.headers.find("anthropic-beta").value_or("");
  if (!asked_.model->targets.empty()) {  // others ask several models
    asked_.assigned = proxy_.dispatcher().assign(
        *asked_.model, asked_.view(proxy_.clock().unix_s()), proxy_.draw());
    scope_.release = proxy_.dispatcher().release_of(*asked_.model, *asked_.assigned);
  }
  cache_key_ = request_key(answers.secret(), scope_, *json_);
  if (id_ == 0) id_ = answers.next_id();
  if (*wish == CacheWish::kRefresh) {
    answers.count_cache("refresh");
    extra_.set(std::string(kCacheField), "refresh");
    return ask();
  }
  if (const auto hit = answers.cache()->find(*cache_key_, scope_.tenant, proxy_.clock().now_ns())) {
    // What is changed on its way out is not fetched behind anybody's back.
    const bool plain = !asked_.model->redact && asked_.model->leak_check == LeakCheck::kOff &&
                       asked_.model->prompt_budget.max_input_tokens == 0;
    if (!hit->stale || plain) {
      answers.count_cache(hit->stale ? "stale" : "hit");
      if (hit->revalidate) revalidate();
      return serve(*hit->answer, hit->stale ? "stale" : "hit", hit->age_ns);
    }
    if (hit->revalidate) answers.cache()->revalidation_failed(*cache_key_);
  }
  may_mean_the_same() ? ask_for_embedding() : join_flight();
}

void Visit::join_flight() {
  AnswerStore& answers = proxy_.answers();
  switch (answers.flights().join(*cache_key_, id_, proxy_.clock().now_ns())) {
    case SingleFlight::Role::kFollower: {
      answers.count_cache("shared");
      wait(VisitStage::kWaitsForFlight);
      const int64_t until_ns = answers.flights().next_expiry_ns().value_or(0);
      proxy_.client().post_at(
          std::chrono::steady_clock::now() +
              std::chrono::nanoseconds(std::max<int64_t>(until_ns - proxy_.clock().now_ns(), 0)),
          [&proxy = proxy_] {
            for (const AnswerStore::Id id :
                 proxy.answers().flights().expire(proxy.clock().now_ns()))
              if (const auto late = proxy.answers().take(id)) late->ask();
          });
      return;
    }
    case SingleFlight::Role::kLeader:
      leads_ = true;
      break;
    case SingleFlight::Role::kAlone:
      break;
  }
  answers.count_cache("miss");
  extra_.set(std::string(kCacheField), "miss");
  ask();
}

void Visit::serve(const StoredAnswer& stored, std::string_view how, int64_t age_ns) {
  http::Response r;
  r.headers.set("Content-Type", "application/json");
  r.headers.set(std::string(kCacheField), how);
  r.headers.set("Age", std::to_string(age_ns / 1'000'000'000));
  if (!stored.scope.release.empty()) r.headers.set("x-weir-release", stored.scope.release);
  if (!stored.cascade.empty()) r.headers.set("x-weir-cascade", stored.cascade);
  for (const auto& [name, value] : extra_.all()) r.headers.set(name, value);
  r.body = stored.body;
  if (asked_.incoming.stream) {
    const auto answer = text::Json::parse(stored.body);
    auto events = answer.ok()
                      ? replay_stream(*answer, {.include_usage = asked_.incoming.include_usage})
                      : Result<std::vector<std::string>>(answer.error());
    if (!events.ok()) {  // a kind that cannot be played: asked for anew
      cache_key_.reset();
      extra_ = {};
      return ask();
    }
    r.headers.set("Content-Type", kEventStream);
    r.headers.set("Cache-Control", "no-cache");
    r.body.clear();
    for (const std::string& data : *events) http::append_sse_data(r.body, data);
  }
  answer_ = std::move(r);
  settle_once(true);
  if (place_ != nullptr) place_->use(0, 0);
  write_cache_row(how);
  writer_.send(std::move(*answer_));
  over("cached");
}

void Visit::write_cache_row(std::string_view how) {
  if (proxy_.ledger() == nullptr) return;
  LedgerRow row;
  row.request_id = writer_.request_id();
  row.tenant = asked_.tenant;
  row.key_id = asked_.key_id;
  row.model = asked_.incoming.model;
  row.release = scope_.release;
  row.status = 200;
  row.cache = how == "hit" ? "exact" : how;
  const int64_t took_ns = proxy_.clock().now_ns() - received_ns_;
  row.total_ms = static_cast<double>(took_ns) * 1e-6;
  row.started_unix_ms = (proxy_.clock().unix_ns() - took_ns) / kNsPerMs;
  row.cost_nanos = 0;
  proxy_.record(std::move(row));
}

void Visit::revalidate() {
  Asked again = asked_;
  again.request_id += "-revalidate";  // a request of its own in the ledger
  again.deadline = request_deadline(std::nullopt, asked_.model->timeouts, proxy_.clock().now_ns());
  again.received_ns = proxy_.clock().now_ns();
  again.internal = true;
  refresh_answer(proxy_, keep_as(), std::move(again));
}

// --- the end

void Visit::settle(const Outcome& outcome) {
  settle_flight(outcome, keep(outcome));
  settle_once(outcome.good);
}

// Whether its answer is in the cache now.
bool Visit::keep(const Outcome& outcome) {
  if (!cache_key_.has_value() || !recorder_.has_value() || leaked()) return false;
  KeepAs as = keep_as();
  if (question_.has_value()) as.context = question_->context;
  as.embedding = embedding_;
  return proxy_.answers().keep(std::move(as), *recorder_, outcome.good, outcome.release,
                               proxy_.clock().now_ns());
}

KeepAs Visit::keep_as() const {
  KeepAs as;
  as.key = *cache_key_;
  as.scope = scope_;
  as.by_temperature = by_temperature_;
  as.tags = asked_.model->cache_tags;
  as.ttl_ns = asked_.model->cache_ttl_s * 1000 * kNsPerMs;
  return as;
}

void Visit::settle_flight(const Outcome& outcome, bool kept) {
  if (!std::exchange(leads_, false)) return;
  AnswerStore& answers = proxy_.answers();
  if (kept) {
    const auto stored = answers.cache()->peek(*cache_key_, scope_.tenant);
    for (const AnswerStore::Id id : answers.flights().succeed(id_)) {
      const auto follower = answers.take(id);
      if (follower == nullptr) continue;
      stored != nullptr ? follower->serve(*stored, "shared", 0) : follower->ask_later();
    }
    return;
  }
  if (outcome.good) {  // and not for others: another release's, drawn at another temperature,
                       // too big, or none that could be put together
    for (const AnswerStore::Id id : answers.flights().succeed(id_))
      if (const auto follower = answers.take(id)) follower->ask_later();
    return;
  }
  SingleFlight::End end;
  if (outcome.own_fault) {
    end.leader = answers.flights().leave(id_);
  } else {
    end = answers.flights().fail(id_);
  }
  if (end.leader.has_value()) {
    if (const auto next = answers.take(*end.leader)) {
      next->leads_ = true;
      next->ask_later();
    }
  }
  for (const AnswerStore::Id id : end.failed)
    if (const auto follower = answers.take(id)) follower->fail_as(answer_, outcome);
}

// It is kept among those that wait until then, so that it may leave.
void Visit::ask_later() {
  become(VisitStage::kWaitsForTurn);
  proxy_.answers().wait(id_, self());
  proxy_.client().post([&answers = proxy_.answers(), id = id_] {
    if (const auto visit = answers.take(id)) visit->ask();
  });
}

// Until another request is over, and no longer than this one may take.
void Visit::wait(VisitStage for_whom) {
  become(for_whom);
  proxy_.answers().wait(id_, self());
  if (asked_.deadline.at_ns == 0) return;
  const int64_t left_ns = std::max<int64_t>(asked_.deadline.at_ns - proxy_.clock().now_ns(), 0);
  proxy_.client().post_at(std::chrono::steady_clock::now() + std::chrono::nanoseconds(left_ns),
                          [&answers = proxy_.answers(), id = id_] {
                            if (const auto visit = answers.take(id)) visit->too_late();
                          });
}

void Visit::too_late() {
  leave_waits();
  settle_flight({.own_fault = true}, false);
  const AttemptOutcome late{.end = AttemptEnd::kNoFirstByte,
                            .by_deadline = asked_.deadline.of_client(),
                            .deadline_over = true};
  fail_as(upstream_failure(late, 1, 0, asked_.protocol, asked_.deadline),
          {.error_code = upstream_failure_code(late, 1)});
}

// As the one that this one waited for.
void Visit::fail_as(const std::optional<http::Response>& response, const Outcome& outcome) {
  writer_.note([&](http::AnswerNotes& n) { n.error_code = outcome.error_code; });
  if (place_ != nullptr) place_->use(0, 0);
  if (place_ != nullptr && outcome.unasked && response.has_value())
    place_->give_back(response->status);
  settle_once(false);
  writer_.send(response.has_value()
                   ? *response
                   : upstream_failure({.end = AttemptEnd::kCut}, 1, 0, asked_.protocol));
  over("shared_failure");
}

// Of a visit that waits: it does not any more. One that leads hands over in settle_flight.
void Visit::leave_waits() {
  if (id_ == 0) return;
  AnswerStore& answers = proxy_.answers();
  const auto kept = answers.take(id_);  // this one, so that it lives to the end of this
  if (stage_ == VisitStage::kWaitsForKey) (void)answers.idempotency()->abandon(id_);
  if (stage_ == VisitStage::kWaitsForFlight) (void)answers.flights().leave(id_);
}

}  // namespace weir::gateway
