// How many extra requests a pool may get: a share of those it gets anyway. Without one, a pool that
// is down sees every request as often as the retry policy allows, and stays down. Pure: time is
// passed in.
//
// A token bucket whose tokens expire: each request pays `ratio` tokens into the slot of its second,
// each retry takes one token out of the oldest slots, and a slot is void after kWindowS seconds. A
// slot is worth at least min_per_s tokens, so that a service with few requests can retry. Hence in
// any time from second a to second b the retries are at most the sum over the slots a - 9 .. b of
// max(ratio * requests, min_per_s): above min_per_s / ratio requests a second an upstream that
// fails every request sees 1 + ratio times the load. (Finagle's RetryBudget has the same shape, but
// adds its floor to the share.) Hedged requests draw on one of their own (hedge.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace weir::gateway {

struct RetryBudgetConfig {
  double ratio = 0.1;      // retries per request; 0 .. 1
  double min_per_s = 1.0;  // retries per second that are always there; 0 .. 1000
  friend bool operator==(const RetryBudgetConfig&, const RetryBudgetConfig&) = default;
};

struct RetryBudgetView {
  double available = 0;   // retries that could be made now
  uint64_t requests = 0;  // since the start, as the others
  uint64_t retries = 0;
  uint64_t refused = 0;
};

// One thread.
class RetryBudget {
 public:
  static constexpr int64_t kWindowS = 10;

  explicit RetryBudget(const RetryBudgetConfig& config = {});

  // A request, however many attempts it takes: once.
  void on_request(int64_t now_ns);
  // Takes a retry out of the budget; false: there is none left, and nothing is taken.
  bool withdraw(int64_t now_ns);
  // The last withdrawal was for nothing: the retry was not sent. Nothing when its slot is void.
  void give_back(int64_t now_ns);
  // At least one retry is there.
  bool available(int64_t now_ns);
  RetryBudgetView view(int64_t now_ns);

 private:
  // Millionths of a token: sums are exact.
  struct Slot {
    int64_t paid = 0;
    int64_t taken = 0;
  };
  Slot& at(int64_t second) { return slots_[static_cast<size_t>(second % kWindowS)]; }
  void advance(int64_t now_ns);
  int64_t left(int64_t second);
  int64_t sum();

  int64_t ratio_ppm_;
  int64_t floor_ppm_;
  int64_t first_ = -1;  // second of the first call: slots before it are worth nothing
  int64_t newest_ = -1;
  std::array<Slot, kWindowS> slots_{};
  uint64_t requests_ = 0;
  uint64_t retries_ = 0;
  uint64_t refused_ = 0;
};

}  // namespace weir::gateway
