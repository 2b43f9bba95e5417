#include <algorithm>
#include <charconv>

#include "gateway/call.h"

namespace weir::gateway {
namespace {

// Of an answer that is an error: more of it tells nobody anything.
constexpr size_t kMaxErrorBytes = 64 * 1024;

bool is_type(const http::Response& r, std::string_view type) {
  const auto field = r.headers.find("content-type");
  return field.has_value() && http::iequals(field->substr(0, type.size()), type);
}

}  // namespace

Attempt::Attempt(std::shared_ptr<Call> call, Proxy::Choice choice)
    : call_(std::move(call)), choice_(choice) {
  ++choice_.endpoint->in_flight;
}

Attempt::~Attempt() { --choice_.endpoint->in_flight; }

void Attempt::on_sent() {
  if (wanted_) call_->on_sent();
}

void Attempt::on_head(const http::Response& head) {
  answer_.status = head.status;
  answer_.headers = head.headers;
  if (head.status != 200) return;
  stream_ = call_->incoming_.stream;
  malformed_ = !is_type(head, stream_ ? "text/event-stream" : "application/json");
}

bool Attempt::on_body(std::string_view piece) {
  if (!wanted_) return true;
  if (stream_ && !malformed_) {
    if (!begun_) call_->on_first_piece(*this);
    begun_ = true;
    return call_->on_piece(piece);
  }
  const size_t most = answer_.status == 200 && !malformed_ ? SIZE_MAX : kMaxErrorBytes;
  if (answer_.body.size() < most)
    answer_.body.append(piece.substr(0, std::min(piece.size(), most - answer_.body.size())));
  return true;
}

void Attempt::on_end(const http::Failure* failure) {
  const AttemptEnd end = wanted_ ? end_of(failure) : AttemptEnd::kCancelled;
  const auto counter = call_->proxy_.instruments().attempts.find(choice_.endpoint->upstream->name);
  counter->second.with(attempt_end_name(end)).add();
  if (wanted_) call_->on_end(*this, end);
}

double Attempt::retry_after_s() const {
  const auto field = answer_.headers.find("retry-after");
  double seconds = 0;
  if (field.has_value()) std::from_chars(field->data(), field->data() + field->size(), seconds);
  return std::clamp(seconds, 0.0, 3600.0);
}

AttemptEnd Attempt::end_of(const http::Failure* failure) const {
  if (failure != nullptr) {
    switch (failure->kind) {
      case http::FailureKind::kConnect:
      case http::FailureKind::kTls:
        return AttemptEnd::kConnect;
      case http::FailureKind::kTimeout:
        return failure->sent ? AttemptEnd::kTimeout : AttemptEnd::kConnect;
      case http::FailureKind::kClosed:
        return AttemptEnd::kCut;
      case http::FailureKind::kProtocol:
      case http::FailureKind::kLimit:
        return AttemptEnd::kMalformed;
      case http::FailureKind::kTooMany:
        return AttemptEnd::kOverloaded;
      case http::FailureKind::kCancelled:
      case http::FailureKind::kStopped:
        return AttemptEnd::kCancelled;
    }
  }
  if (answer_.status == 429 || answer_.status == 503) return AttemptEnd::kOverloaded;
  if (answer_.status >= 500) return AttemptEnd::kServerError;
  return malformed_ ? AttemptEnd::kMalformed : AttemptEnd::kAnswered;
}

}  // namespace weir::gateway
