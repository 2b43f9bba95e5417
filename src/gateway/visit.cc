#include "gateway/visit.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <utility>

#include "api/replies.h"
#include "gateway/estimated_count.h"
#include "gateway/routing.h"
#include "gateway/upstream_error.h"
#include "http/sse.h"
#include "text/json.h"

namespace weir::gateway {
namespace {

// How it ends, beside what calls say.
constexpr std::string_view kQuotaExceeded = "quota_exceeded";
constexpr std::string_view kCutShort = "cut_short";
constexpr std::string_view kWithheld = "withheld";
constexpr std::string_view kResponses = "/v1/responses";

Error shutting_down() {
  Error e = make_error(ErrorCode::kServerOverloaded,
                       "the gateway shuts down and the answer was not whole in time");
  e.retry_after_s = 1;
  return e;
}

}  // namespace

Visit::Visit(Proxy& proxy, http::Request request, http::ResponseWriter writer,
             std::unique_ptr<Place> place)
    : proxy_(proxy),
      instruments_(proxy.instruments()),
      config_(proxy.shared_config()),
      routing_(proxy.routing()),
      writer_(std::move(writer)),
      place_(std::move(place)),
      idempotency_key_(request.headers.find(kIdempotencyField).value_or("")),
      received_ns_(request.received_ns),
      quota_(proxy.quotas(), *config_) {
  asked_.config = config_;
  asked_.routing = routing_;
  asked_.path = std::move(request.path);
  asked_.body = std::move(request.body);
  asked_.headers = std::move(request.headers);
  asked_.received_ns = received_ns_;
  asked_.request_id = writer_.request_id();
  asked_.protocol = protocol_of_path(asked_.path);
  if (place_ != nullptr) {
    asked_.tenant = place_->spec().name;
    asked_.key_id = place_->key_id();
  }
  proxy_.instruments().in_flight.add(1);
  proxy_.arrived(*this);
}

Visit::~Visit() {
  proxy_.left(*this);
  if (stage_ != VisitStage::kOver)
    instruments_.in_flight.add(-1);  // it ended by an exception, or with the gateway
}

// A tenant's bound holds also where the request says none.
void Visit::bound_answer(text::Json& body) {
  Incoming& in = asked_.incoming;
  if (place_ == nullptr || !in.generates || in.max_output_tokens > 0) return;
  const int64_t most = place_->spec().max_output_tokens;
  if (most <= 0) return;
  in.max_output_tokens = most;
  body.set(asked_.path == kResponses ? "max_output_tokens" : "max_tokens", most);
  asked_.body = body.dump();
}

Status Visit::read() {
  WEIR_TRY(api::check_json(asked_.headers));
  WEIR_ASSIGN(text::Json body, asked_.body.read());
  WEIR_ASSIGN(const bool renamed, rename_bound(body));
  if (renamed) asked_.body = body.dump();
  WEIR_ASSIGN(asked_.incoming, read_incoming(asked_.path, body));
  const Incoming& in = asked_.incoming;
  asked_.model = proxy_.model(in.model);
  if (asked_.model == nullptr)
    return param_error(ErrorCode::kModelNotFound, "model",
                       "there is no model \"{}\": GET /v1/models lists them",
                       in.model.substr(0, 100));
  writer_.note([&](http::AnswerNotes& n) { n.model = in.model; });
  if (place_ != nullptr) WEIR_TRY(place_->reserve(in));
  bound_answer(body);
  WEIR_TRY(routing_->route(asked_, body));
  WEIR_ASSIGN(const std::optional<int64_t> wanted_ms, client_deadline_ms(asked_.headers));
  asked_.deadline = request_deadline(wanted_ms, asked_.model->timeouts, received_ns_);
  if (proxy_.dispatcher().wants_blocks(*asked_.model))
    asked_.blocks = prompt_blocks(body, asked_.tenant, proxy_.dispatcher().prompt_key());
  const ModelConfig& model = *asked_.model;
  if (may_store() || model.redact || model.prompt_budget.max_input_tokens > 0)
    json_ = std::move(body);
  return {};
}

void Visit::begin() {
  if (const Status ok = read(); !ok.ok()) return refuse(ok.error());
  writer_.on_closed([weak = weak_from_this()](http::CloseReason) {
    const auto visit = weak.lock();  // when the gateway ends it goes with the client, or before
    if (visit == nullptr) return;
    visit->note_what_came();  // the request's line of the log is written next
    visit->proxy_.client().post([weak] {
      if (const auto still = weak.lock()) still->on_client_gone();
    });
  });
  asked_.incoming.counts ? count() : do_once();
}

void Visit::count() {
  const ModelConfig& model = *asked_.model;
  const bool known =
      std::any_of(model.targets.begin(), model.targets.end(), [this](const TargetConfig& t) {
        return proxy_.fleet().upstream(t.upstream).protocol == Protocol::kAnthropic;
      });
  const bool asks = known && !model.redact;
  become(VisitStage::kAsking);
  reserve([visit = self(), asks] { asks ? visit->send() : visit->estimate(); });
}

void Visit::estimate() {
  auto estimated = estimated_count(asked_.body.text());
  if (!estimated.ok()) return refuse(estimated.error());
  quota_.spend({.any = true});
  for (const auto& [name, value] : extra_.all()) estimated->headers.set(name, value);
  writer_.send(std::move(*estimated));
  over("estimated");
}

void Visit::become(VisitStage next) {
  assert(may_follow(stage_, next));
  stage_ = next;
}

void Visit::ask() {
  become(VisitStage::kAsking);
  if (const Status ok = prepare(); !ok.ok()) return refuse(ok.error());
  if (cache_key_.has_value()) recorder_.emplace(config_->answers.cache.max_answer_bytes);
  reserve([visit = self()] { visit->send(); });
}

void Visit::reserve(std::function<void()> then) {
  quota_.reserve(asked_, [visit = self(), then = std::move(then)](const Error* refused) {
    for (const auto& [name, value] : visit->quota_.told().all()) visit->extra_.set(name, value);
    if (refused == nullptr) return then();
    visit->refuse(*refused);
  });
}

void Visit::send() {
  // Held here as well: it may end, and the visit with it, before begin() returns.
  const auto call = routing_->ask(std::move(asked_), self());
  call_ = call;
  call->begin();
}

void Visit::refuse(const Error& error, int status) {
  writer_.note([&](http::AnswerNotes& n) { n.error_code = error_code_name(error.code); });
  answer_ = refusal(error, asked_.protocol, writer_.request_id());
  if (status != 0) answer_->status = status;
  if (place_ != nullptr) place_->give_back(answer_->status);
  for (const auto& [name, value] : quota_.told().all()) answer_->headers.set(name, value);
  settle({.own_fault = true, .error_code = error_code_name(error.code)});
  writer_.send(std::move(*answer_));
  over("refused");
}

void Visit::hold(const http::Headers& head, int64_t keep_alive_ms) {
  held_ = head;
  for (const auto& [name, value] : extra_.all()) held_.set(name, value);
  writer_.hold_head(200, held_);
  writer_.keep_alive(std::chrono::milliseconds(keep_alive_ms), std::string(http::kSseKeepAlive));
}

// Sent when it is known what it took: notes belong before the last byte.
void Visit::answer(http::Response response) {
  if (filter_.has_value()) {
    filter_->whole(response.body);
    if (filter_->leaked()) tell_leak();
    if (!stopped_by_.empty()) response = answer_withheld(asked_.protocol);
  }
  if (recorder_.has_value()) recorder_->answer(response);
  for (const auto& [name, value] : extra_.all()) response.headers.set(name, value);
  answer_ = std::move(response);
}

void Visit::begin_stream(http::Headers headers) {
  become(VisitStage::kStreaming);
  writer_.on_writable([weak = std::weak_ptr<Asking>(call_)] {
    if (const auto call = weak.lock()) call->resume();
  });
  for (const auto& [name, value] : extra_.all()) headers.set(name, value);
  reply_.content_type = headers.find("Content-Type").value_or("");
  if (recorder_.has_value()) recorder_->begin_stream(headers);
  if (writer_.started()) return tell_late(headers);
  writer_.begin_stream(200, std::move(headers));
}

void Visit::tell_late(const http::Headers& head) {
  std::string comment;
  for (const auto& [name, value] : head.all())
    if (name.starts_with("x-weir-") && !held_.contains(name))
      comment += fmt::format(": {}: {}\n", name, value);
  if (!comment.empty()) writer_.write(comment + "\n");
}

bool Visit::piece(std::string_view events) {
  if (!stopped_by_.empty()) return true;
  if (filter_.has_value()) {
    out_.clear();
    const bool told = filter_->leaked();
    filter_->events(events, out_);
    if (filter_->leaked() && !told) tell_leak();
    if (!stopped_by_.empty()) {
      writer_.write(answer_withheld_event(asked_.protocol));
      // Not here: the call is in the middle of telling this piece.
      proxy_.client().post([call = call_] { call->cancel(kWithheld); });
      return true;
    }
    events = out_;
  }
  if (recorder_.has_value()) recorder_->piece(events);
  if (once_ && reply_.body.size() <= config_->answers.idempotency.max_reply_bytes)
    reply_.body += events;
  const bool room = writer_.write_now(events) != http::WriteStatus::kSlow;
  return within_quota() && room;
}

bool Visit::within_quota() {
  const int64_t tokens = call_->streamed_tokens();
  if (!quota_.wants_more(tokens)) return !quota_.must_wait(tokens);
  const auto visit = shared_from_this();  // it may end here
  quota_.extend(tokens, [visit](const Error* refused) { visit->on_quota_of_stream(refused); });
  return !quota_.must_wait(tokens);
}

void Visit::on_quota_of_stream(const Error* refused) {
  if (refused == nullptr) return call_->resume();
  if (!stopped_by_.empty()) return;  // it ends anyway, and has said why
  stopped_by_ = error_code_name(refused->code);
  writer_.write(refusal_event(*refused, asked_.protocol, writer_.request_id()));
  // Not here: the call may be in the middle of telling a piece, or the last one.
  proxy_.client().post([visit = self()] {
    if (visit->stage_ != VisitStage::kOver)
      visit->call_->cancel(kQuotaExceeded, visit->stopped_by_);
  });
}

void Visit::ended(CallEnd end) {
  if (!stopped_by_.empty()) {
    end.good = false;
    end.how = stopped_by_ == kAnswerWithheld ? kWithheld : kQuotaExceeded;
    end.error_code = stopped_by_;
  } else if (cut_short_ && !end.good) {
    tell_cut();
  }
  writer_.note([&](http::AnswerNotes& n) {
    n.error_code = end.error_code.empty() ? std::string_view(end.refused_as) : end.error_code;
    n.upstream = end.upstream;
    n.prompt_tokens = end.input_tokens;
    n.cached_tokens = end.cached_tokens;
    n.completion_tokens = end.output_tokens;
  });
  if (place_ != nullptr && end.computed) place_->use(end.input_tokens, end.output_tokens);
  if (place_ != nullptr && end.unasked() && answer_.has_value()) place_->give_back(answer_->status);
  settle({.good = end.good,
          .own_fault = asked_.deadline.of_client() || end.how == kEndClientGone ||
                       end.how == "shed" || end.how == kQuotaExceeded,
          .unasked = end.unasked(),
          .error_code = end.error_code,
          .release = end.row.has_value() ? std::string_view(end.row->release) : ""});
  quota_.spend(end.spent);
  if (stage_ == VisitStage::kStreaming) {
    writer_.finish();
  } else if (answer_.has_value()) {
    send_answer();
  }
  if (end.row.has_value() && cache_key_.has_value()) end.row->cache = "miss";
  proxy_.record(std::move(end.row));
  over(end.how);
}

void Visit::note_what_came() {
  if (call_ == nullptr || stage_ != VisitStage::kStreaming) return;
  writer_.note([this](http::AnswerNotes& n) {
    n.upstream = call_->streaming_from();
    n.prompt_tokens = asked_.incoming.input_tokens;
    n.completion_tokens = call_->streamed_tokens();
  });
}

void Visit::cut_short() {
  if (stage_ == VisitStage::kOver) return;
  cut_short_ = true;
  const std::string_view code = error_code_name(ErrorCode::kServerOverloaded);
  if (const auto call = call_) return call->cancel(kCutShort, code);
  if (const auto side = std::exchange(side_call_, nullptr)) side->cancel(kCutShort, code);
  leave_waits();
  refuse(shutting_down());
}

void Visit::tell_cut() {
  const Error e = shutting_down();
  if (stage_ == VisitStage::kStreaming) {
    writer_.write(refusal_event(e, asked_.protocol, writer_.request_id()));
  } else {
    answer_ = refusal(e, asked_.protocol, writer_.request_id());
  }
}

void Visit::send_answer() {
  if (!writer_.started()) {
    writer_.send(std::move(*answer_));
    return;
  }
  // A comment that kept the client waiting has begun a stream: an error event ends it.
  tell_late(answer_->headers);
  writer_.write(error_event(answer_->body, asked_.protocol));
  writer_.finish();
}

void Visit::on_client_gone() {
  if (stage_ == VisitStage::kOver) return;
  if (const auto call = call_) return call->cancel();
  const auto kept = shared_from_this();
  if (const auto side = std::exchange(side_call_, nullptr)) side->cancel(kEndClientGone, "");
  leave_waits();
  settle({.own_fault = true});
  over(kEndClientGone);
}

void Visit::over(std::string_view how) {
  become(VisitStage::kOver);
  place_.reset();
  quota_.finish();
  Instruments& i = proxy_.instruments();
  i.in_flight.add(-1);
  i.requests.with(how).add();
  i.request_s.observe(static_cast<double>(proxy_.clock().now_ns() - received_ns_) * 1e-9);
}

}  // namespace weir::gateway
