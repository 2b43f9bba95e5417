// What other threads want of the engine: a bounded queue of new requests and of orders about
// running ones. Decides admission at once, in the caller's thread.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/thread_annotations.h"
#include "engine/admission.h"
#include "engine/engine.h"
#include "engine/sequence.h"

namespace weir::engine {

struct Order {
  enum class Kind { kCancel, kPause, kResume, kFlushCache };  // the last: of no request
  Kind kind = Kind::kCancel;
  RequestId id = 0;
};

// What a step changed for admission.
struct StepReport {
  struct OfTenant {
    double counter = 0;
    std::array<int64_t, kClasses> computed_tokens{};  // of the backlog, or given up
    int32_t left_queue = 0;                           // requests: a first step, or ended before
    int64_t left_queue_tokens = 0;
  };
  struct FirstToken {
    double predicted_ms = 0;  // before correction
    double actual_ms = 0;
  };
  EngineLoad load;
  std::map<std::string, OfTenant> tenants;
  std::vector<FirstToken> first_tokens;
  int32_t finished_requests = 0;  // their last delivery was made
};

// Every member: any thread.
class Inbox {
 public:
  explicit Inbox(const EngineLimits& limits) : limits_(limits) {}

  // Takes the request or says why not: kServerOverloaded with the bound's name and retry_after_s.
  // In time that grows with the tenants that wait, not with their requests.
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

  void report(const StepReport& report) WEIR_EXCLUDES(mutex_);
  // Submitted and not over.
  int32_t unfinished_requests() const WEIR_EXCLUDES(mutex_);
  int32_t queued_requests() const WEIR_EXCLUDES(mutex_);
  int64_t queued_tokens() const WEIR_EXCLUDES(mutex_);

 private:
  // Refuses for a bound, to come back after so many milliseconds.
  static Error refusal(const char* bound, double wait_ms, std::string message);
  Status check_queue(const ActiveRequest& r, const TenantLoad& tenant, double wait_ms) const
      WEIR_REQUIRES(mutex_);
  Status check_time(const ActiveRequest& r, const Prediction& p) const WEIR_REQUIRES(mutex_);

  const EngineLimits limits_;
  mutable Mutex mutex_;
  ConditionVariable arrived_;
  Contents contents_ WEIR_GUARDED_BY(mutex_);
  RequestId next_id_ WEIR_GUARDED_BY(mutex_) = 1;
  int32_t queued_requests_ WEIR_GUARDED_BY(mutex_) = 0;
  int64_t queued_tokens_ WEIR_GUARDED_BY(mutex_) = 0;
  int32_t unfinished_requests_ WEIR_GUARDED_BY(mutex_) = 0;
  EngineLoad load_ WEIR_GUARDED_BY(mutex_);
  Correction correction_ WEIR_GUARDED_BY(mutex_);
  TenantLoads tenants_ WEIR_GUARDED_BY(mutex_);  // those with something waiting
  bool closed_ WEIR_GUARDED_BY(mutex_) = false;
  bool woken_ WEIR_GUARDED_BY(mutex_) = false;
};

}  // namespace weir::engine
