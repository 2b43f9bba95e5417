#include "engine/inbox.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

namespace weir::engine {
namespace {
constexpr double kMinRetryAfterS = 1.0;   // what Retry-After can express
constexpr double kMaxRetryAfterS = 60.0;  // beyond, the estimate says nothing
}  // namespace

Error Inbox::overloaded(std::string message) const {
  Error e = make_error(ErrorCode::kServerOverloaded, "{}", message);
  const double wait_s =
      tokens_per_s_ > 0 ? static_cast<double>(queued_tokens_) / tokens_per_s_ : kMinRetryAfterS;
  e.retry_after_s = std::clamp(std::ceil(wait_s), kMinRetryAfterS, kMaxRetryAfterS);
  return e;
}

Result<RequestId> Inbox::submit(std::unique_ptr<ActiveRequest> request) {
  MutexLock lock(mutex_);
  const auto tokens = request->request.prompt_tokens();
  if (closed_) return overloaded("the server is shutting down and takes no new requests");
  if (queued_requests_ >= limits_.max_queued_requests) {
    return overloaded(
        fmt::format("the queue is full: {} requests wait (max_queued_requests)", queued_requests_));
  }
  if (queued_requests_ > 0 && queued_tokens_ + tokens > limits_.max_queued_tokens) {
    return overloaded(
        fmt::format("the queue is full: {} prompt tokens wait (max_queued_tokens is {})",
                    queued_tokens_, limits_.max_queued_tokens));
  }
  const RequestId id = next_id_++;
  request->id = id;
  ++queued_requests_;
  ++unfinished_requests_;
  queued_tokens_ += tokens;
  contents_.requests.push_back(std::move(request));
  arrived_.notify_one();
  return id;
}

void Inbox::give(Order order) {
  MutexLock lock(mutex_);
  contents_.orders.push_back(order);
  arrived_.notify_one();
}

void Inbox::close() {
  MutexLock lock(mutex_);
  closed_ = true;
}

void Inbox::wake() {
  MutexLock lock(mutex_);
  woken_ = true;
  arrived_.notify_one();
}

Inbox::Contents Inbox::take() {
  MutexLock lock(mutex_);
  return std::exchange(contents_, {});
}

void Inbox::wait(double timeout_ms) {
  MutexLock lock(mutex_);
  if (!woken_ && contents_.requests.empty() && contents_.orders.empty()) {
    arrived_.wait_for(mutex_, std::chrono::duration<double, std::milli>(timeout_ms));
  }
  woken_ = false;
}

void Inbox::left_queue(int64_t prompt_tokens) {
  MutexLock lock(mutex_);
  --queued_requests_;
  queued_tokens_ -= prompt_tokens;
}

void Inbox::request_finished() {
  MutexLock lock(mutex_);
  --unfinished_requests_;
}

int32_t Inbox::unfinished_requests() const {
  MutexLock lock(mutex_);
  return unfinished_requests_;
}

void Inbox::set_tokens_per_s(double tokens_per_s) {
  MutexLock lock(mutex_);
  tokens_per_s_ = tokens_per_s;
}

int32_t Inbox::queued_requests() const {
  MutexLock lock(mutex_);
  return queued_requests_;
}

int64_t Inbox::queued_tokens() const {
  MutexLock lock(mutex_);
  return queued_tokens_;
}

}  // namespace weir::engine
