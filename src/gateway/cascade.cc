#include "gateway/cascade.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/units.h"
#include "gateway/chat_question.h"
#include "gateway/request_cost.h"
#include "gateway/routing.h"
#include "gateway/upstream_error.h"
#include "gateway/whole_sink.h"
#include "http/sse.h"

namespace weir::gateway {
namespace {

using text::Json;

// Of an answer whose length nothing tells: half of what chats have at the most, as a rule.
constexpr int64_t kUnknownOutputTokens = 512;
constexpr size_t kMaxVerdictBytes = 64 * 1024;

Deadline earlier(const Deadline& a, int64_t at_ns) {
  if (a.at_ns != 0 && a.at_ns <= at_ns) return a;
  return {.at_ns = at_ns};
}

Json parsed(const std::string& body) {
  auto json = Json::parse(body);
  return json.ok() ? std::move(*json) : Json();
}

}  // namespace

// One POST to a program of the operator's.
class Cascade::HttpCheck final : public http::ResponseHandler {
 public:
  explicit HttpCheck(std::shared_ptr<Cascade> cascade) : cascade_(std::move(cascade)) {}
  void on_head(const http::Response& head) override { response_.status = head.status; }
  bool on_body(std::string_view piece) override {
    const size_t room = kMaxVerdictBytes - std::min(response_.body.size(), kMaxVerdictBytes);
    response_.body += piece.substr(0, room);
    return true;
  }
  void on_end(const http::Failure* failure) override { cascade_->on_program(failure, response_); }

 private:
  const std::shared_ptr<Cascade> cascade_;  // shared: it waits for this
  http::Response response_;
};

Cascade::Cascade(Proxy& proxy, const CascadeKit& kit, Asked asked, std::shared_ptr<AnswerSink> sink)
    : proxy_(proxy),
      kit_(kit),
      asked_(std::move(asked)),
      body_(parsed(asked_.body.text())),
      question_(read_question(body_)),
      sink_(std::move(sink)),
      plan_(*kit.config, asked_.received_ns) {
  attempts_ = asked_.attempts_before;
}

void Cascade::begin() {
  if (asked_.incoming.stream) {
    http::Headers head = asked_.tell;
    head.set("Content-Type", http::kSseContentType);
    head.set("Cache-Control", "no-cache");
    sink_->hold(head, kit_.config->keep_alive_ms);
  }
  next();
}

void Cascade::next() {
  const auto step = plan_.next(proxy_.clock().now_ns(), [this](size_t s) { return cost_of(s); });
  if (!step.has_value()) return deliver();
  step_ = *step;
  ask();
}

// At the lengths that are known or likely by now, with its judge.
int64_t Cascade::cost_of(size_t step) const {
  int64_t input = asked_.incoming.input_tokens;
  int64_t output = asked_.incoming.max_output_tokens;
  if (any_ && held_.good) {
    input = held_.end.input_tokens;
    output = output > 0 ? std::min(output, held_.end.output_tokens) : held_.end.output_tokens;
  }
  if (output == 0) output = kUnknownOutputTokens;
  return dearest_cost(*asked_.config,
                      asked_by(*asked_.config, kit_.config->steps[step], input, output));
}

// For whoever is asked next; the body is missing.
Asked Cascade::question(const ModelConfig& model, const Deadline& deadline) const {
  Asked a;
  a.path = asked_.path;
  a.headers = asked_.headers;
  a.protocol = asked_.protocol;
  a.incoming = asked_.incoming;
  a.incoming.stream = false;
  a.model = &model;
  a.request_id = asked_.request_id;
  a.tenant = asked_.tenant;
  a.key_id = asked_.key_id;
  a.deadline = deadline;
  a.received_ns = proxy_.clock().now_ns();
  a.attempts_before = attempts_;
  a.idempotent = asked_.idempotent;
  a.config = asked_.config;
  a.routing = asked_.routing;
  a.internal = true;
  return a;
}

void Cascade::ask() {
  const CascadeStepConfig& step = kit_.config->steps[step_];
  const ModelConfig& model = *asked_.routing->model(step.model);
  Asked a = question(model, plan_.deadline(asked_.deadline));
  a.body = whole_request(body_, asked_.path, step.check.wants_logprobs());
  back_.reset();
  if (step.check.wants_logprobs() && asked_.protocol == Protocol::kAnthropic) put_as_chat(model, a);
  if (proxy_.dispatcher().wants_blocks(model))
    a.blocks = prompt_blocks(body_, asked_.tenant, proxy_.dispatcher().prompt_key());
  // The call may end, and this with it, before begin() returns.
  const auto call = std::make_shared<Call>(
      proxy_, std::move(a),
      std::make_shared<WholeSink>([self = shared_from_this()](http::Response r, CallEnd end) {
        self->on_answer(std::move(r), std::move(end));
      }));
  call_ = call;
  call->begin();
}

void Cascade::put_as_chat(const ModelConfig& model, Asked& asked) {
  const bool extras =
      std::all_of(model.targets.begin(), model.targets.end(), [this](const TargetConfig& t) {
        return proxy_.fleet().upstream(t.upstream).engine != "openai";
      });
  auto chat = ask_as_chat(body_, asked_.incoming.model, extras, proxy_.clock().unix_s());
  if (!chat.ok()) return;  // the call says why
  asked.path = kChatPath;
  asked.protocol = Protocol::kOpenAi;
  asked.body = std::move(chat->body);
  back_ = std::move(chat->back);
  altered_ = std::move(chat->altered);
}

void Cascade::put_back(http::Response& response, CallEnd& end) {
  const auto back = std::exchange(back_, nullptr);
  if (back == nullptr || response.status == 0) return;
  auto whole = back->whole(response.status, response.headers.find("content-type").value_or(""),
                           response.body);
  if (whole.ok()) {
    response.body = std::move(whole->body);
    response.headers.set("Content-Type", whole->content_type);
    if (altered_.empty()) return;
    // Beside what was altered on the way from the chat to the upstream.
    const std::string also(response.headers.find("x-weir-altered").value_or(""));
    response.headers.set("x-weir-altered", also.empty() ? altered_ : altered_ + ", " + also);
    return;
  }
  const AttemptOutcome malformed{.end = AttemptEnd::kMalformed};
  response = upstream_failure(malformed, 1, 0, asked_.protocol);
  end.error_code = upstream_failure_code(malformed, 1);
  end.good = false;
}

void Cascade::settle(std::optional<LedgerRow> row) const {
  if (row.has_value()) row->final = false;
  proxy_.record(std::move(row));
}

// What the client gets unless something better comes.
void Cascade::hold(Held now) {
  if (any_) settle(std::exchange(held_.end.row, std::nullopt));
  held_ = std::move(now);
  any_ = true;
}

// The client went away: whether `end` is of a call that had attempts decides whose row is final.
void Cascade::leave(CallEnd end, bool tried) {
  if (tried && any_) settle(std::exchange(held_.end.row, std::nullopt));
  if (!tried && any_) end.row = std::exchange(held_.end.row, std::nullopt);
  over(std::move(end));
}

// Whether the call that has ended had attempts of its own.
bool Cascade::take_call(const CallEnd& end) {
  const auto call = std::exchange(call_, nullptr);
  const bool tried = call->attempts() > attempts_;
  attempts_ = call->attempts();
  spent_.add(end.spent);
  if (end.row.has_value()) plan_.spend(end.row->cost_nanos.value_or(0));
  return tried;
}

void Cascade::on_answer(http::Response response, CallEnd end) {
  const bool tried = take_call(end);
  if (cancelled_) return leave(std::move(end), tried);
  Json answer;
  if (end.good) answer = parsed(response.body);
  const AnswerContent content = read_answer_content(answer);
  if (back_ != nullptr) {
    put_back(response, end);
    answer = end.good ? parsed(response.body) : Json();
  }
  if (!answer.is_object()) {
    plan_.failed(end.error_code.empty() ? end.how : end.error_code);
    count("failed");
    if (any_ && held_.good) {
      settle(std::move(end.row));
    } else {
      hold({std::move(response), Json(), std::move(end), false});
    }
    return next();
  }
  const AnswerChecks& checks = kit_.checks[step_];
  if (checks.config().wants_logprobs() && !asks_logprobs(body_)) {
    strip_logprobs(answer);
    response.body = answer.dump();
  }
  hold({std::move(response), std::move(answer), std::move(end), true});
  const std::string_view refused_by = checks.refused_by(content);
  if (!refused_by.empty()) return judged(refused_by);
  if (checks.config().http.has_value()) return ask_program();
  ask_judge();
}

void Cascade::ask_program() {
  const HttpCheckConfig& check = *kit_.checks[step_].config().http;
  const Deadline deadline = earlier(plan_.deadline(asked_.deadline),
                                    proxy_.clock().now_ns() + check.timeout_ms * kNsPerMs);
  http::ClientRequest r;
  r.url = check.to;
  r.method = "POST";
  r.target = check.to.path.empty() ? "/" : "";
  r.headers.set("Content-Type", "application/json");
  r.headers.set("x-request-id", asked_.request_id);
  r.body = http_check_body(kit_.config->steps[step_].model, asked_.path, asked_.body.text(),
                           held_.response.body);
  const std::chrono::milliseconds left(remaining_ms(deadline, proxy_.clock().now_ns()));
  r.timeouts = {.connect = left, .first_byte = left, .idle = left, .total = left};
  checking_ = true;
  // It may have ended before send() returns.
  const auto id =
      proxy_.client().send(std::move(r), std::make_unique<HttpCheck>(shared_from_this()));
  if (checking_) program_ = id;
}

void Cascade::on_program(const http::Failure* failure, const http::Response& response) {
  if (!std::exchange(checking_, false)) return;  // nobody waits for it any more
  if (failure != nullptr) return judged("http_error");
  const Result<bool> accepts = http_check_verdict(response.status, response.body);
  if (!accepts.ok()) return judged("http_error");
  if (!*accepts) return judged("http");
  ask_judge();
}

void Cascade::ask_judge() {
  const AnswerChecks& checks = kit_.checks[step_];
  if (!checks.config().judge.has_value()) return judged("");
  const JudgeConfig& judge = *checks.config().judge;
  Asked a = question(*asked_.routing->model(judge.model),
                     earlier(plan_.deadline(asked_.deadline),
                             proxy_.clock().now_ns() + judge.timeout_ms * kNsPerMs));
  a.path = kChatPath;
  a.protocol = Protocol::kOpenAi;
  a.body = checks.judge_request(question_, read_answer_content(held_.answer).text);
  a.incoming.input_tokens = tokens_of_bytes(a.body.size());
  a.incoming.max_output_tokens = judge.max_tokens;
  a.incoming.generates = true;
  a.idempotent = true;  // nobody sees it but this
  const auto call =
      std::make_shared<Call>(proxy_, std::move(a),
                             std::make_shared<WholeSink>(
                                 [self = shared_from_this()](const http::Response& r, CallEnd end) {
                                   self->on_verdict(r, std::move(end));
                                 }));
  call_ = call;
  call->begin();
}

void Cascade::on_verdict(const http::Response& response, CallEnd end) {
  const bool tried = take_call(end);
  if (cancelled_) return leave(std::move(end), tried);
  const bool good = end.good;
  settle(std::move(end.row));
  if (!good) return judged("judge_error");
  const std::string verdict = read_answer_content(parsed(response.body)).text;
  judged(kit_.checks[step_].judge_accepts(verdict) ? "" : "judge");
}

void Cascade::judged(std::string_view refused_by) {
  count(refused_by.empty() ? "accepted" : refused_by);
  if (refused_by.empty()) {
    plan_.accepted();
    return deliver();
  }
  plan_.rejected(refused_by);
  next();
}

void Cascade::count(std::string_view verdict) const {
  kit_.verdicts[step_].with(std::string(verdict)).add();
}

void Cascade::deliver() {
  http::Response& r = held_.response;
  for (const auto& field : asked_.tell.all()) r.headers.set(field.name, field.value);
  r.headers.set("x-weir-cascade", plan_.told());
  r.headers.set("x-weir-attempts", std::to_string(attempts_));
  const auto since_ns = static_cast<double>(proxy_.clock().now_ns() - asked_.received_ns);
  if (held_.good) proxy_.instruments().first_byte_s.observe(since_ns * 1e-9);
  if (!held_.good || !asked_.incoming.stream) {
    sink_->answer(std::move(r));
    return over(std::move(held_.end));
  }
  auto events = play_as_stream(held_.answer, r.body, asked_.path, asked_.protocol,
                               asked_.incoming.include_usage);
  if (!events.ok()) {
    const Error error = make_error(ErrorCode::kInternal, "the answer cannot be streamed");
    sink_->answer(refusal(error, asked_.protocol, asked_.request_id));
    held_.end.error_code = error_code_name(error.code);
    return over(std::move(held_.end));
  }
  events_ = std::move(*events);
  r.headers.set("Content-Type", http::kSseContentType);
  r.headers.set("Cache-Control", "no-cache");
  playing_ = true;
  sink_->begin_stream(std::move(r.headers));
  play();
}

void Cascade::play() {
  while (played_ < events_.size()) {
    if (!sink_->piece(events_[played_++])) return;
  }
  playing_ = false;
  over(std::move(held_.end));
}

void Cascade::resume() {
  if (playing_) play();
}

void Cascade::cancel(std::string_view how, std::string_view error_code) {
  if (sink_ == nullptr) return;
  cancelled_ = true;
  playing_ = false;
  if (const auto call = call_) return call->cancel(how, error_code);
  if (std::exchange(checking_, false)) proxy_.client().cancel(program_);
  CallEnd end;
  end.how = how;
  end.error_code = error_code;
  leave(std::move(end), false);
}

void Cascade::over(CallEnd end) {
  end.spent = spent_;
  std::exchange(sink_, nullptr)->ended(std::move(end));
}

}  // namespace weir::gateway
