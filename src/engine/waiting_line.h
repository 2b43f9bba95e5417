// The sequences whose prompt is still to be computed, whole or in part, in the order of the
// fairness policy. Pure; one thread.
//
// Order: the interactive class, then batch (ClassShare turns it at times). Within a class by
// fairness: kVtc takes the tenant with the lowest counter, counts its sequence as served, and so
// on; kFifo takes priority, then arrival. Within a tenant lower priority first, then arrival.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "engine/fairness.h"
#include "engine/request.h"

namespace weir::engine {

struct Sequence;

struct Waiter {
  int32_t priority = 0;    // lower first
  uint64_t seniority = 0;  // lower is older; unique
  ServiceClass service_class = ServiceClass::kInteractive;
  TenantState* tenant = nullptr;
  Sequence* sequence = nullptr;  // whose it is; not looked at
  int64_t tokens = 0;            // to be computed
  bool started = false;          // holds pages

  bool operator<(const Waiter& o) const {
    return priority != o.priority ? priority < o.priority : seniority < o.seniority;
  }
};

class WaitingLine {
 public:
  WaitingLine(Fairness fairness, TenantTable& tenants) : fairness_(fairness), tenants_(tenants) {}

  // Of one that is there: takes its new `tokens` and `started`.
  void add(const Waiter& waiter);
  void remove(const Waiter& waiter);

  // Tokens of prompts were computed for a class: for the share of batch.
  void served(ServiceClass service_class, int64_t tokens);
  bool batch_first() const { return share_.batch_first(); }

  // The first `count` in order; of a tenant no more that have not started than its max_running
  // allows. O(count · log tenants + tenants).
  void first(size_t count, std::vector<Waiter>& out) const;
  size_t size() const { return size_; }
  bool waits(ServiceClass service_class) const { return !lanes(service_class).empty(); }

 private:
  struct Lane {  // of one tenant and class
    std::set<Waiter> started;
    std::set<Waiter> fresh;
    size_t erase(const Waiter& w) { return started.erase(w) + fresh.erase(w); }
  };
  struct Cursor;
  using Lanes = std::map<TenantState*, Lane>;
  const Lanes& lanes(ServiceClass c) const { return c == ServiceClass::kBatch ? batch_ : inter_; }
  Lanes& lanes(ServiceClass c) { return c == ServiceClass::kBatch ? batch_ : inter_; }
  void first_of(const Lanes& lanes, size_t count, std::vector<Waiter>& out) const;

  const Fairness fairness_;
  TenantTable& tenants_;
  Lanes inter_;
  Lanes batch_;
  size_t size_ = 0;
  ClassShare share_;
};

}  // namespace weir::engine
