#include "engine/inbox.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

namespace weir::engine {
namespace {
constexpr double kMinRetryAfterS = 0.1;  // sooner, a retry is only more load
constexpr double kUnknownRetryAfterS = 1.0;
constexpr double kMaxRetryAfterS = 60.0;  // beyond, the prediction says nothing

// A tenant has at most so many times what is free of the queue, three quarters of it when no other
// waits: whoever comes next finds room (Choudhury and Hahne, "Dynamic queue length thresholds for
// shared-memory packet switches", 1998). One that waits with nothing is always let in.
constexpr int64_t kShareOfFree = 3;
}  // namespace

Error Inbox::refusal(const char* bound, double wait_ms, std::string message) {
  Error e = make_error(ErrorCode::kServerOverloaded, "{}", message);
  e.bound = bound;
  e.retry_after_s = wait_ms > 0 ? std::clamp(wait_ms * 1e-3, kMinRetryAfterS, kMaxRetryAfterS)
                                : kUnknownRetryAfterS;
  return e;
}

Status Inbox::check_queue(const ActiveRequest& r, const TenantLoad& own, double wait_ms) const {
  const int64_t tokens = r.request.prompt_tokens();
  const Tenant& t = r.request.tenant;
  if (closed_)
    return refusal("draining", wait_ms, "the server is shutting down and takes no new requests");
  if (queued_requests_ >= limits_.max_queued_requests) {
    return refusal(
        "max_queued_requests", wait_ms,
        fmt::format("the queue is full: {} requests wait (max_queued_requests)", queued_requests_));
  }
  if (queued_requests_ > 0 && queued_tokens_ + tokens > limits_.max_queued_tokens) {
    return refusal("max_queued_tokens", wait_ms,
                   fmt::format("the queue is full: {} prompt tokens wait (max_queued_tokens is {})",
                               queued_tokens_, limits_.max_queued_tokens));
  }
  if (!t.name.empty() && own.queued_requests > 0) {
    const int64_t free_requests = limits_.max_queued_requests - queued_requests_;
    const int64_t free_tokens = limits_.max_queued_tokens - queued_tokens_;
    if (own.queued_requests >= kShareOfFree * free_requests ||
        own.queued_tokens + tokens > kShareOfFree * free_tokens) {
      return refusal(
          "tenant.share_of_queue", wait_ms,
          fmt::format("{} requests with {} prompt tokens of yours wait already; the rest "
                      "of the queue is kept for others",
                      own.queued_requests, own.queued_tokens));
    }
  }
  if (t.max_queued_requests > 0 && own.queued_requests >= t.max_queued_requests) {
    return refusal("tenant.max_queued_requests", wait_ms,
                   fmt::format("{} of your requests wait already, as many as are allowed "
                               "(max_queued_requests of the tenant)",
                               own.queued_requests));
  }
  if (t.max_queued_tokens > 0 && own.queued_requests > 0 &&
      own.queued_tokens + tokens > t.max_queued_tokens) {
    return refusal("tenant.max_queued_tokens", wait_ms,
                   fmt::format("{} prompt tokens of yours wait already (max_queued_tokens of the "
                               "tenant is {})",
                               own.queued_tokens, t.max_queued_tokens));
  }
  return {};
}

Status Inbox::check_time(const ActiveRequest& r, const Prediction& p) const {
  const double ttft_ms = p.ttft_ms * correction_.mean();
  if (r.request.deadline_ns != 0) {
    const double left_ms = static_cast<double>(r.request.deadline_ns - r.submitted_ns) * 1e-6;
    if (ttft_ms > left_ms) {
      return refusal("deadline", ttft_ms - left_ms,
                     fmt::format("the first token is expected after {:.0f} ms, the request's "
                                 "deadline is in {:.0f} ms",
                                 std::ceil(ttft_ms), std::floor(left_ms)));
    }
  }
  const bool batch = r.request.service_class == ServiceClass::kBatch;
  const double slo_ms = (batch ? limits_.batch : limits_.interactive).ttft_ms;
  const double latest_ms = p.ttft_ms * correction_.high();
  // A prompt that takes longer by itself is taken when nothing is before it: later is no better.
  if (slo_ms > 0 && latest_ms > slo_ms && p.wait_ms > 0) {
    return refusal("slo.ttft_ms", std::min(latest_ms - slo_ms, p.wait_ms * correction_.high()),
                   fmt::format("the first token may take {:.0f} ms; slo.ttft_ms allows {:.0f} ms",
                               std::ceil(latest_ms), std::floor(slo_ms)));
  }
  return {};
}

Result<RequestId> Inbox::submit(std::unique_ptr<ActiveRequest> request) {
  MutexLock lock(mutex_);
  const Request& q = request->request;
  const int64_t tokens = q.prompt_tokens();
  const Newcomer newcomer{q.tenant.name, q.tenant.weight > 0 ? q.tenant.weight : 1.0,
                          q.service_class, tokens};
  const Prediction p = predict_first_token(load_, tenants_, limits_.fairness, newcomer);
  const auto known = tenants_.find(q.tenant.name);
  WEIR_TRY(check_queue(*request, known != tenants_.end() ? known->second : TenantLoad{},
                       p.wait_ms * correction_.mean()));
  WEIR_TRY(check_time(*request, p));
  request->raw_prediction_ms = p.ttft_ms;
  request->predicted_ttft_ms = p.ttft_ms * correction_.mean();
  const RequestId id = next_id_++;
  request->id = id;
  ++queued_requests_;
  ++unfinished_requests_;
  queued_tokens_ += tokens;
  const bool fresh = known == tenants_.end();
  TenantLoad& own = fresh ? tenants_[q.tenant.name] : known->second;
  if (fresh) own.counter = lowest_counter(tenants_, &own);
  own.weight = newcomer.weight;
  own.backlog_tokens[class_index(q.service_class)] += tokens;
  ++own.queued_requests;
  own.queued_tokens += tokens;
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

void Inbox::report(const StepReport& report) {
  MutexLock lock(mutex_);
  load_ = report.load;
  for (const StepReport::FirstToken& f : report.first_tokens)
    correction_.learn(f.predicted_ms, f.actual_ms);
  unfinished_requests_ -= report.finished_requests;
  for (const auto& [name, change] : report.tenants) {
    queued_requests_ -= change.left_queue;
    queued_tokens_ -= change.left_queue_tokens;
    const auto at = tenants_.find(name);
    if (at == tenants_.end()) continue;
    TenantLoad& t = at->second;
    t.counter = change.counter;
    for (size_t c = 0; c < kClasses; ++c) t.backlog_tokens[c] -= change.computed_tokens[c];
    t.queued_requests -= change.left_queue;
    t.queued_tokens -= change.left_queue_tokens;
    if (t.idle()) tenants_.erase(at);
  }
}

int32_t Inbox::unfinished_requests() const {
  MutexLock lock(mutex_);
  return unfinished_requests_;
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
