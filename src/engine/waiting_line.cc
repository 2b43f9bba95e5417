#include "engine/waiting_line.h"

#include <algorithm>
#include <iterator>
#include <queue>
#include <tuple>
#include <utility>

namespace weir::engine {

void WaitingLine::add(const Waiter& waiter) {
  Lane& lane = lanes(waiter.service_class)[waiter.tenant];
  if (lane.erase(waiter) == 0) {
    ++size_;
    tenants_.begin_waiting(*waiter.tenant);
  }
  (waiter.started ? lane.started : lane.fresh).insert(waiter);
}

void WaitingLine::remove(const Waiter& waiter) {
  Lanes& all = lanes(waiter.service_class);
  const auto lane = all.find(waiter.tenant);
  if (lane == all.end() || lane->second.erase(waiter) == 0) return;
  if (lane->second.started.empty() && lane->second.fresh.empty()) all.erase(lane);
  --size_;
  tenants_.end_waiting(*waiter.tenant);
}

void WaitingLine::served(ServiceClass service_class, int64_t tokens) {
  if (service_class == ServiceClass::kBatch) {
    share_.served_batch(tokens);
  } else {
    share_.served_interactive(tokens, !batch_.empty());
  }
}

void WaitingLine::first(size_t count, std::vector<Waiter>& out) const {
  out.clear();
  first_of(batch_first() ? batch_ : inter_, count, out);
  first_of(batch_first() ? inter_ : batch_, count, out);
}

// Where the walk along a tenant's lane is.
struct WaitingLine::Cursor {
  double counter;  // as it will be when those taken have been served
  std::set<Waiter>::const_iterator started, started_end, fresh, fresh_end;

  bool done() const { return started == started_end && fresh == fresh_end; }
  bool at_started() const {
    return fresh == fresh_end || (started != started_end && *started < *fresh);
  }
  const Waiter& at() const { return at_started() ? *started : *fresh; }
  void advance() { at_started() ? ++started : ++fresh; }
};

void WaitingLine::first_of(const Lanes& lanes, size_t count, std::vector<Waiter>& out) const {
  const auto later = [this](const Cursor& a, const Cursor& b) {
    if (fairness_ == Fairness::kFifo) return b.at() < a.at();
    return std::tie(a.counter, a.at().seniority) > std::tie(b.counter, b.at().seniority);
  };
  std::priority_queue<Cursor, std::vector<Cursor>, decltype(later)> heads(later);
  for (const auto& [tenant, lane] : lanes) {
    auto fresh_end = lane.fresh.end();
    if (tenant->max_running > 0) {
      const int32_t may_start = std::max(0, tenant->max_running - tenant->running);
      if (std::cmp_less(may_start, lane.fresh.size()))
        fresh_end = std::next(lane.fresh.begin(), may_start);
    }
    const Cursor c{tenant->counter, lane.started.begin(), lane.started.end(), lane.fresh.begin(),
                   fresh_end};
    if (!c.done()) heads.push(c);
  }
  while (!heads.empty() && out.size() < count) {
    Cursor c = heads.top();
    heads.pop();
    const Waiter& w = c.at();
    out.push_back(w);
    c.counter += kInputWeight * static_cast<double>(w.tokens) / w.tenant->weight;
    c.advance();
    if (!c.done()) heads.push(c);
  }
}

}  // namespace weir::engine
