// What a tenant may take, and whether a request stays within it. Pure: time is passed in.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "access/rate_window.h"
#include "base/result.h"

namespace weir::access {

// A tenant as the keys file describes it. 0: no limit.
struct TenantSpec {
  std::string name;
  double weight = 1.0;                        // share of the engine when tenants compete
  std::string service_class = "interactive";  // or "batch": all its requests may wait
  int64_t requests_per_min = 0;
  int64_t tokens_per_min = 0;  // prompt and output
  int32_t concurrent = 0;      // requests without a complete answer
  int32_t max_input_tokens = 0;
  int32_t max_output_tokens = 0;
  int32_t max_running = 0;  // the engine knows these three, a gateway does not
  int32_t max_queued_requests = 0;
  int64_t max_queued_tokens = 0;
  std::vector<std::string> models;  // it may use; empty: all

  bool may_use(std::string_view model) const;
};

// What a tenant takes at present. One thread.
//
// Tokens are reserved before a request is computed (prompt and the most it may generate) and
// reconciled with what it came to when it is over: what was not used is given back to the second it
// was taken from.
class TenantMeter {
 public:
  struct Reservation {
    int64_t tokens = 0;
    int64_t slot = 0;
  };
  struct View {  // of one window; limit 0: none
    int64_t limit = 0;
    int64_t remaining = 0;
    int64_t reset_ns = 0;
  };

  // Limits change, what was taken stays counted.
  void set_spec(const TenantSpec& spec);

  // Counts a request, which lasts until end(). Error kRateLimitExceeded, with retry_after_s, names
  // the limit; nothing is counted then.
  Status begin(int64_t now_ns);
  void end();
  // Gives a request that was refused for want of room back to requests_per_min; before end().
  void forget(int64_t begun_ns, int64_t now_ns);
  // The same of one that was refused for what it says, as long as these are no more than
  // requests_per_min themselves; those beyond stay counted as if they had been served.
  void refuse(int64_t begun_ns, int64_t now_ns);

  // Error kRateLimitExceeded with retry_after_s; kMaxInputTokensExceeded or
  // kMaxOutputTokensExceeded where a whole minute's tokens do not suffice, so that no retry would.
  Result<Reservation> reserve(int64_t prompt_tokens, int64_t output_tokens, int64_t now_ns);
  void reconcile(const Reservation& reservation, int64_t used_tokens, int64_t now_ns);

  View requests(int64_t now_ns);
  View tokens(int64_t now_ns);
  int32_t concurrent() const { return running_; }

 private:
  std::string name_;
  int32_t concurrent_limit_ = 0;
  int32_t running_ = 0;
  RateWindow requests_;
  RateWindow refused_;
  RateWindow tokens_;
};

}  // namespace weir::access
