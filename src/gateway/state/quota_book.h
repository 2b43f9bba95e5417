// The books of quotas in memory: what quota.h says, without threads, files or a clock. Internal to
// gateway/: quota_memory.h adds these.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "gateway/state/quota.h"

namespace weir::gateway {

struct QuotaBookOptions : QuotaExpiryOptions {
  size_t max_counters = 200'000;  // with something in them; beyond: kUnavailable
  size_t max_reservations = 100'000;
};

// A counter that a call has changed.
struct QuotaChange {
  std::string counter;
  QuotaWindow window = QuotaWindow::kMinute;
  int64_t bucket = 0;  // of the present
  int64_t used = 0;    // in the window, after the call
  int64_t limit = 0;
};

// One thread.
class QuotaBook {
 public:
  explicit QuotaBook(QuotaBookOptions options) : options_(options) {}

  // As QuotaStore's. Each puts what it changed behind `changes`.
  QuotaAnswer reserve(const std::vector<QuotaLimit>& limits, const QuotaAmounts& estimate,
                      int64_t unix_ms, std::vector<QuotaChange>& changes);
  QuotaAnswer extend(const std::string& reservation, const QuotaAmounts& more, int64_t unix_ms,
                     std::vector<QuotaChange>& changes);
  // False: not known.
  bool reconcile(const std::string& reservation, const QuotaAmounts& actual, int64_t unix_ms,
                 std::vector<QuotaChange>& changes);
  std::vector<int64_t> read(const std::vector<QuotaLimit>& limits, int64_t unix_ms);

  // Ends reservations whose time is over, at most `most` of them.
  size_t expire(int64_t unix_ms, size_t most, std::vector<QuotaChange>& changes);
  // What a file remembers: `amount` in one bucket, taken as late in it as can be. Before any other
  // call.
  void restore(const std::string& counter, QuotaWindow window, int64_t bucket, int64_t amount);
  // Of what is now in a counter's window; 0 for one that is not known.
  int64_t used(const std::string& counter, int64_t unix_ms);

  size_t counters() const { return counters_.size(); }
  size_t reservations() const { return reservations_.size(); }
  uint64_t expired() const { return expired_; }  // so far

 private:
  struct Bucket {
    int64_t number = 0;
    int64_t amount = 0;
    int64_t last_ms = 0;  // something was taken in it
  };
  struct Counter {
    QuotaWindow window = QuotaWindow::kMinute;
    std::vector<Bucket> buckets;  // ascending
    std::string overdraft;        // the reservation that may go beyond the limit; "": none
  };
  struct Part {  // of a reservation: one limit
    QuotaLimit limit;
    int64_t bucket = 0;  // where `held` lies
    int64_t held = 0;    // that can be given back
  };
  struct Reservation {
    std::vector<Part> parts;
    std::array<int64_t, kQuotaMetrics> total{};  // reserved so far
    int64_t due_ms = 0;                          // expires, or is forgotten
    bool expired = false;
  };
  using Reservations = std::unordered_map<std::string, Reservation>;

  static void prune(Counter& c, int64_t unix_ms);
  static bool counts(const Counter& c, const Bucket& bucket, int64_t unix_ms);
  static int64_t sum(const Counter& c, int64_t unix_ms);
  // At unix_ms.
  static void add(Counter& c, int64_t bucket, int64_t amount, int64_t unix_ms);
  static void give_back(Counter& c, int64_t bucket, int64_t amount);
  Counter& counter(const QuotaLimit& limit);
  bool fits(const QuotaLimit& limit, size_t place, int64_t amount, int64_t unix_ms,
            QuotaAnswer& answer);
  bool may_overdraw(const QuotaLimit& limit, const std::string& id, int64_t taken);
  QuotaAnswer first_refusal(const std::vector<QuotaLimit>& limits, const QuotaAmounts& estimate,
                            int64_t unix_ms);
  void grow(Reservation& r, const QuotaAmounts& more, int64_t unix_ms,
            std::vector<QuotaChange>& changes);
  void settle(Reservation& r, const std::string& id, const QuotaAmounts& actual, int64_t unix_ms,
              std::vector<QuotaChange>& changes);
  void note(const QuotaLimit& limit, int64_t unix_ms, std::vector<QuotaChange>& changes);
  void set_due(Reservations::iterator it, int64_t due_ms);
  void sweep(int64_t unix_ms);

  const QuotaBookOptions options_;
  std::unordered_map<std::string, Counter> counters_;
  Reservations reservations_;
  std::set<std::pair<int64_t, std::string>> due_;  // of every reservation
  uint64_t next_ = 1;
  uint64_t expired_ = 0;
  size_t swept_ = 0;  // a place of the hash table
};

}  // namespace weir::gateway
