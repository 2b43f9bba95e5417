#include "gateway/state/quota_book.h"

#include <algorithm>

namespace weir::gateway {
namespace {

constexpr size_t kSweepPlaces = 16;  // of the hash table that each reserve looks at
constexpr size_t kExpireEach = 16;   // reservations that each reserve may end

size_t index_of(QuotaMetric metric) { return static_cast<size_t>(metric); }

}  // namespace

// What lies before the window goes. Clocks may step back: a bucket more is kept of days and months.
void QuotaBook::prune(Counter& c, int64_t unix_ms) {
  const int64_t keep = window_at(c.window, unix_ms).first - 1;
  const auto end = std::find_if(c.buckets.begin(), c.buckets.end(),
                                [&](const Bucket& b) { return b.number >= keep; });
  c.buckets.erase(c.buckets.begin(), end);
}

// What lies in the bucket is in the window.
bool QuotaBook::counts(const Counter& c, const Bucket& bucket, int64_t unix_ms) {
  return bucket_leaves_ms(c.window, bucket.number, bucket.last_ms) > unix_ms;
}

int64_t QuotaBook::sum(const Counter& c, int64_t unix_ms) {
  int64_t all = 0;
  for (const Bucket& b : c.buckets) all += counts(c, b, unix_ms) ? b.amount : 0;
  return all;
}

void QuotaBook::add(Counter& c, int64_t bucket, int64_t amount, int64_t unix_ms) {
  if (amount == 0) return;
  auto at = std::find_if(c.buckets.begin(), c.buckets.end(),
                         [&](const Bucket& b) { return b.number >= bucket; });
  if (at == c.buckets.end() || at->number != bucket) at = c.buckets.insert(at, {bucket, 0, 0});
  at->amount += amount;
  at->last_ms = std::max(at->last_ms, unix_ms);
}

// Nothing when the bucket has been forgotten.
void QuotaBook::give_back(Counter& c, int64_t bucket, int64_t amount) {
  const auto at = std::find_if(c.buckets.begin(), c.buckets.end(),
                               [&](const Bucket& b) { return b.number == bucket; });
  if (at != c.buckets.end()) at->amount -= std::min(amount, at->amount);
}

QuotaBook::Counter& QuotaBook::counter(const QuotaLimit& limit) {
  Counter& c = counters_[limit.counter];
  c.window = limit.window;
  return c;
}

// False: `answer` says why.
bool QuotaBook::fits(const QuotaLimit& limit, size_t place, int64_t amount, int64_t unix_ms,
                     QuotaAnswer& answer) {
  const auto it = counters_.find(limit.counter);
  const int64_t taken = it == counters_.end() ? 0 : sum(it->second, unix_ms);
  if (amount == 0 || taken + amount <= limit.limit) return true;
  answer.verdict = QuotaVerdict::kRefused;
  answer.refused = place;
  answer.refused_used = taken;
  answer.refused_wanted = amount;
  answer.retry_after_ms = QuotaAnswer::kNever;
  if (amount > limit.limit || it == counters_.end()) return false;
  int64_t over = taken + amount - limit.limit;
  for (const Bucket& b : it->second.buckets) {
    if (!counts(it->second, b, unix_ms)) continue;
    over -= b.amount;
    if (over > 0) continue;
    answer.retry_after_ms = bucket_leaves_ms(limit.window, b.number, b.last_ms) - unix_ms;
    break;
  }
  return false;
}

QuotaAnswer QuotaBook::first_refusal(const std::vector<QuotaLimit>& limits,
                                     const QuotaAmounts& estimate, int64_t unix_ms) {
  QuotaAnswer answer;
  for (size_t i = 0; i < limits.size(); ++i) {
    if (!fits(limits[i], i, estimate.of(limits[i].metric), unix_ms, answer)) break;
  }
  return answer;
}

QuotaAnswer QuotaBook::reserve(const std::vector<QuotaLimit>& limits, const QuotaAmounts& estimate,
                               int64_t unix_ms, std::vector<QuotaChange>& changes) {
  if (limits.empty()) return {};
  sweep(unix_ms);
  expire(unix_ms, kExpireEach, changes);
  QuotaAnswer answer = first_refusal(limits, estimate, unix_ms);
  if (answer.verdict != QuotaVerdict::kGranted) return answer;
  answer.verdict = QuotaVerdict::kUnavailable;
  answer.why = quota_problem(limits);
  if (!answer.why.empty()) return answer;
  if (reservations_.size() >= options_.max_reservations) {
    answer.why = fmt::format("{} reservations are open (max_reservations)", reservations_.size());
    return answer;
  }
  if (counters_.size() + limits.size() > options_.max_counters) {
    answer.why = fmt::format("{} counters are in use (max_counters)", counters_.size());
    return answer;
  }
  answer.verdict = QuotaVerdict::kGranted;
  answer.reservation = fmt::format("{}", next_++);
  const auto it = reservations_.emplace(answer.reservation, Reservation{}).first;
  for (const QuotaLimit& l : limits) it->second.parts.push_back({l, 0, 0});
  set_due(it, unix_ms + options_.lifetime_ms);
  grow(it->second, estimate, unix_ms, changes);
  for (const QuotaLimit& l : limits) answer.used.push_back(used(l.counter, unix_ms));
  return answer;
}

// One at a time, and nobody anew while what the last one took beyond the limit is in the window.
bool QuotaBook::may_overdraw(const QuotaLimit& limit, const std::string& id, int64_t taken) {
  const std::string& holder = counter(limit).overdraft;
  if (holder == id) return true;
  return taken <= limit.limit && (holder.empty() || !reservations_.contains(holder));
}

QuotaAnswer QuotaBook::extend(const std::string& reservation, const QuotaAmounts& more,
                              int64_t unix_ms, std::vector<QuotaChange>& changes) {
  const auto it = reservations_.find(reservation);
  if (it == reservations_.end()) return {};
  QuotaAmounts taken = more;
  taken.requests = 0;
  QuotaAnswer answer;
  Reservation& r = it->second;
  for (size_t i = 0; i < r.parts.size(); ++i) {
    const QuotaLimit& l = r.parts[i].limit;
    if (!fits(l, i, taken.of(l.metric), unix_ms, answer) &&
        !may_overdraw(l, reservation, answer.refused_used))
      return answer;
  }
  answer = QuotaAnswer{};
  answer.reservation = reservation;
  for (size_t i = 0; i < r.parts.size(); ++i) {
    const QuotaLimit& l = r.parts[i].limit;
    QuotaAnswer ignored;
    if (!fits(l, i, taken.of(l.metric), unix_ms, ignored)) counter(l).overdraft = reservation;
  }
  r.expired = false;
  set_due(it, unix_ms + options_.lifetime_ms);
  grow(r, taken, unix_ms, changes);
  for (const Part& p : r.parts) answer.used.push_back(used(p.limit.counter, unix_ms));
  return answer;
}

// What is held and not spent yet is spent from now on: it moves to the present, where it stays in
// the window for longest.
void QuotaBook::grow(Reservation& r, const QuotaAmounts& more, int64_t unix_ms,
                     std::vector<QuotaChange>& changes) {
  for (Part& p : r.parts) {
    Counter& c = counter(p.limit);
    prune(c, unix_ms);
    const WindowPlace now = window_at(p.limit.window, unix_ms);
    const int64_t amount = more.of(p.limit.metric);
    const int64_t moved = p.bucket >= now.first && p.bucket <= now.bucket ? p.held : 0;
    give_back(c, p.bucket, moved);
    add(c, now.bucket, moved + amount, unix_ms);
    p.bucket = now.bucket;
    p.held = moved + amount;
    note(p.limit, unix_ms, changes);
  }
  for (size_t m = 0; m < kQuotaMetrics; ++m) r.total[m] += more.of(static_cast<QuotaMetric>(m));
}

void QuotaBook::settle(Reservation& r, const std::string& id, const QuotaAmounts& actual,
                       int64_t unix_ms, std::vector<QuotaChange>& changes) {
  for (Part& p : r.parts) {
    Counter& c = counter(p.limit);
    prune(c, unix_ms);
    const int64_t over = actual.of(p.limit.metric) - r.total[index_of(p.limit.metric)];
    if (over > 0)
      add(c, window_at(p.limit.window, unix_ms).bucket, over, unix_ms);
    else
      give_back(c, p.bucket, std::min(-over, p.held));
    if (c.overdraft == id) c.overdraft.clear();
    note(p.limit, unix_ms, changes);
  }
}

bool QuotaBook::reconcile(const std::string& reservation, const QuotaAmounts& actual,
                          int64_t unix_ms, std::vector<QuotaChange>& changes) {
  const auto it = reservations_.find(reservation);
  if (it == reservations_.end()) return false;
  settle(it->second, reservation, actual, unix_ms, changes);
  due_.erase({it->second.due_ms, reservation});
  reservations_.erase(it);
  return true;
}

size_t QuotaBook::expire(int64_t unix_ms, size_t most, std::vector<QuotaChange>& changes) {
  size_t ended = 0;
  for (; ended < most && !due_.empty() && due_.begin()->first <= unix_ms; ++ended) {
    const auto it = reservations_.find(due_.begin()->second);
    Reservation& r = it->second;
    if (r.expired) {
      due_.erase(due_.begin());
      reservations_.erase(it);
      continue;
    }
    if (options_.expiry == QuotaExpiry::kRefund) {
      settle(r, it->first, QuotaAmounts{.requests = 0}, unix_ms, changes);
      for (Part& p : r.parts) p.held = 0;
      r.total = {};
    }
    r.expired = true;
    ++expired_;
    set_due(it, unix_ms + options_.remember_ms);
  }
  return ended;
}

void QuotaBook::set_due(Reservations::iterator it, int64_t due_ms) {
  due_.erase({it->second.due_ms, it->first});
  it->second.due_ms = due_ms;
  due_.emplace(due_ms, it->first);
}

void QuotaBook::note(const QuotaLimit& limit, int64_t unix_ms, std::vector<QuotaChange>& changes) {
  const WindowPlace now = window_at(limit.window, unix_ms);
  changes.push_back(
      {limit.counter, limit.window, now.bucket, sum(counter(limit), unix_ms), limit.limit});
}

std::vector<int64_t> QuotaBook::read(const std::vector<QuotaLimit>& limits, int64_t unix_ms) {
  std::vector<int64_t> out;
  out.reserve(limits.size());
  for (const QuotaLimit& l : limits) out.push_back(used(l.counter, unix_ms));
  return out;
}

void QuotaBook::restore(const std::string& name, QuotaWindow window, int64_t bucket,
                        int64_t amount) {
  Counter& c = counters_[name];
  c.window = window;
  add(c, bucket, amount, second_ends_ms(bucket));
}

int64_t QuotaBook::used(const std::string& name, int64_t unix_ms) {
  const auto it = counters_.find(name);
  if (it == counters_.end()) return 0;
  return sum(it->second, unix_ms);
}

// A few places of the table at a time: counters whose window has passed go. What a reservation
// still holds of such a one has left its window too, and a counter is made anew where it is
// missing.
void QuotaBook::sweep(int64_t unix_ms) {
  for (size_t i = 0; i < kSweepPlaces && !counters_.empty(); ++i) {
    swept_ = (swept_ + 1) % counters_.bucket_count();
    std::vector<std::string> gone;
    for (auto it = counters_.begin(swept_); it != counters_.end(swept_); ++it) {
      prune(it->second, unix_ms);
      if (it->second.buckets.empty() && it->second.overdraft.empty()) gone.push_back(it->first);
    }
    for (const std::string& name : gone) counters_.erase(name);
  }
}

}  // namespace weir::gateway
