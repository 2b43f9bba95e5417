#include "gateway/upstream_attempt.h"

#include <algorithm>

#include "base/units.h"
#include "gateway/call.h"
#include "gateway/translate/answers.h"
#include "http/retry_after.h"

namespace weir::gateway {
namespace {

constexpr int kNotFound = 404;
// Of an answer that is an error: more of it tells nobody anything.
constexpr size_t kMaxErrorBytes = 64 * 1024;

std::string_view content_type(const http::Response& r) {
  return r.headers.find("content-type").value_or("");
}

}  // namespace

UpstreamAttempt::UpstreamAttempt(std::shared_ptr<Call> call, int32_t number, Choice choice,
                                 PoolPermit permit, std::unique_ptr<AnswerTranslator> translator)
    : call_(std::move(call)),
      choice_(std::move(choice)),
      permit_(permit),
      translator_(std::move(translator)),
      number_(number),
      started_ns_(call_->now_ns()) {
  choice_.endpoint->queued_tokens += call_->asked_.incoming.input_tokens;
}

UpstreamAttempt::~UpstreamAttempt() {
  if (!answered_) choice_.endpoint->queued_tokens -= call_->asked_.incoming.input_tokens;
}

void UpstreamAttempt::on_sent() {
  if (wanted_) call_->on_sent();
}

void UpstreamAttempt::on_head(const http::Response& head) {
  answer_.status = head.status;
  answer_.headers = head.headers;
  if (head.status >= 400) return;
  if (call_->asked_.incoming.stream) {
    stream_ = translator_->begin(head.status, content_type(head)).ok();
    malformed_ = !stream_;
  } else {
    answered();
  }
}

void UpstreamAttempt::answered() {
  if (answered_) return;
  answered_ = true;
  answered_ns_ = call_->now_ns();
  choice_.endpoint->queued_tokens -= call_->asked_.incoming.input_tokens;
  choice_.endpoint->pool->first_byte(permit_, call_->now_ns());
  if (wanted_ && !call_->on_answered(*this)) wanted_ = false;
}

bool UpstreamAttempt::on_body(std::string_view piece) {
  if (!wanted_ || malformed_) return true;
  if (stream_) return to_client(piece);
  const size_t most = answer_.status < 400 ? SIZE_MAX : kMaxErrorBytes;
  if (answer_.body.size() < most)
    answer_.body.append(piece.substr(0, std::min(piece.size(), most - answer_.body.size())));
  return true;
}

bool UpstreamAttempt::to_client(std::string_view piece) {
  out_.clear();
  const Status fed = translator_->feed(piece, out_);
  if (!fed.ok() && !begun_) {  // an error event, or nonsense, in place of an answer
    malformed_ = true;
    call_->proxy_.client().cancel(id);
    return true;
  }
  if (out_.empty() && fed.ok()) return true;
  answered();
  if (!wanted_) return true;
  if (!begun_) call_->begin_stream(*this);
  begun_ = true;
  const bool more = call_->on_piece(out_);
  if (!fed.ok()) {
    malformed_ = true;
    call_->proxy_.client().cancel(id);
  }
  return more;
}

AttemptOutcome UpstreamAttempt::outcome(const http::Failure* failure) const {
  AttemptOutcome o;
  o.status = answer_.status;
  o.sent = failure == nullptr || failure->sent;
  o.passed_on = begun_;
  o.waited_ms = ((answered_ns_ != 0 ? answered_ns_ : call_->now_ns()) - started_ns_) / kNsPerMs;
  o.retry_after_ms =
      http::retry_after_of(answer_.headers, call_->proxy_.clock().unix_ns() / kNsPerMs);
  const auto should = answer_.headers.find("x-should-retry");
  o.no_retry = should.has_value() && *should == "false";
  if (malformed_) {
    o.end = AttemptEnd::kMalformed;
  } else if (failure != nullptr) {
    o.end = attempt_end_of(*failure, answer_.status != 0);
    o.deadline_over = failure->kind == http::FailureKind::kTimeout && ended_by_deadline();
    o.by_deadline = failure->kind == http::FailureKind::kTimeout &&
                    (answer_.status == 0 ? first_byte_by_deadline_ : o.deadline_over);
  }
  return o;
}

// And not by idle_ms. Timers go by whole milliseconds: they are up to one early.
bool UpstreamAttempt::ended_by_deadline() const {
  return total_by_deadline_ && remaining_ms(call_->asked_.deadline, call_->now_ns()) <= 1;
}

Status UpstreamAttempt::end_stream() {
  out_.clear();
  WEIR_TRY(translator_->end(out_));
  if (out_.empty()) return {};
  if (!begun_) call_->begin_stream(*this);
  begun_ = true;
  call_->on_piece(out_);
  return {};
}

void UpstreamAttempt::on_end(const http::Failure* failure) {
  AttemptOutcome o = outcome(failure);
  if (!wanted_ && o.end == AttemptEnd::kAnswered) o.end = AttemptEnd::kCancelled;
  if (wanted_ && o.end == AttemptEnd::kAnswered && stream_ && !end_stream().ok())
    o.end = AttemptEnd::kCut;
  o.no_api = o.end == AttemptEnd::kAnswered && o.status == kNotFound &&
             !translate::is_api_error(answer_.body);
  if (wanted_ && o.end == AttemptEnd::kAnswered && !stream_ && answer_.status != 0) {
    auto whole = translator_->whole(answer_.status, content_type(answer_), answer_.body);
    if (whole.ok()) {
      answer_.status = whole->status;
      answer_.headers.set("content-type", whole->content_type);
      answer_.body = std::move(whole->body);
    } else if (o.status < 400) {
      o.end = AttemptEnd::kMalformed;
    }
  }
  choice_.endpoint->pool->finish(permit_, o, call_->now_ns());
  const std::string& name = choice_.endpoint->upstream->name;
  const bool refused = o.end == AttemptEnd::kAnswered && o.status >= 400;
  call_->proxy_.instruments()
      .attempts.find(name)
      ->second
      .with(refused ? fmt::format("status_{}", o.status) : std::string(attempt_end_name(o.end)))
      .add();
  call_->on_end(*this, o);
}

}  // namespace weir::gateway
