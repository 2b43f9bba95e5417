// What other threads want of the engine: a bounded queue of new requests and of orders about
// running ones. Decides admission at once, in the caller's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "base/thread_annotations.h"
#include "engine/engine.h"
#include "engine/sequence.h"

namespace weir::engine {

struct Order {
  enum class Kind { kCancel, kPause, kResume, kFlushCache };  // the last: of no request
  Kind kind = Kind::kCancel;
  RequestId id = 0;
};

// Every member: any thread.
class Inbox {
 public:
  explicit Inbox(const EngineLimits& limits) : limits_(limits) {}

  // Takes the request or says why not: kServerOverloaded with retry_after_s.
  Result<RequestId> submit(std::unique_ptr<ActiveRequest> request) WEIR_EXCLUDES(mutex_);
  void give(Order order) WEIR_EXCLUDES(mutex_);
  void close() WEIR_EXCLUDES(mutex_);  // no more requests
  void wake() WEIR_EXCLUDES(mutex_);

  struct Contents {
    std::vector<std::unique_ptr<ActiveRequest>> requests;
    std::vector<Order> orders;
  };
  Contents take() WEIR_EXCLUDES(mutex_);
  // Waits until something arrives, wake() is called or the time is over.
  void wait(double timeout_ms) WEIR_EXCLUDES(mutex_);

  // A request left the queue: it had its first step or ended before.
  void left_queue(int64_t prompt_tokens) WEIR_EXCLUDES(mutex_);
  // A request is over: its last delivery was made.
  void request_finished() WEIR_EXCLUDES(mutex_);
  // Submitted and not over.
  int32_t unfinished_requests() const WEIR_EXCLUDES(mutex_);
  // The engine's speed, for retry_after_s.
  void set_tokens_per_s(double tokens_per_s) WEIR_EXCLUDES(mutex_);
  int32_t queued_requests() const WEIR_EXCLUDES(mutex_);
  int64_t queued_tokens() const WEIR_EXCLUDES(mutex_);

 private:
  Error overloaded(std::string message) const WEIR_REQUIRES(mutex_);

  const EngineLimits limits_;
  mutable Mutex mutex_;
  ConditionVariable arrived_;
  Contents contents_ WEIR_GUARDED_BY(mutex_);
  RequestId next_id_ WEIR_GUARDED_BY(mutex_) = 1;
  int32_t queued_requests_ WEIR_GUARDED_BY(mutex_) = 0;
  int64_t queued_tokens_ WEIR_GUARDED_BY(mutex_) = 0;
  int32_t unfinished_requests_ WEIR_GUARDED_BY(mutex_) = 0;
  double tokens_per_s_ WEIR_GUARDED_BY(mutex_) = 0;
  bool closed_ WEIR_GUARDED_BY(mutex_) = false;
  bool woken_ WEIR_GUARDED_BY(mutex_) = false;
};

}  // namespace weir::engine
