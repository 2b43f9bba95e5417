#include "ops/plan/sim_fleet.h"

#include <algorithm>
#include <cmath>

namespace weir::ops {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();
// As Kubernetes: within a tenth of what is wanted nothing changes.
constexpr double kTolerance = 0.1;

}  // namespace

FleetSim::FleetSim(std::span<const SimRequest> requests, const SimFleet& fleet,
                   const StepTime& time, SimOutcome& out)
    : requests_(requests), fleet_(fleet), out_(out) {
  const double begin = requests.front().arrival_s;
  const int32_t most = fleet.autoscaler ? fleet.autoscaler->most : fleet.replicas;
  replicas_.reserve(static_cast<size_t>(most));
  for (int32_t i = 0; i < most; ++i) replicas_.emplace_back(requests, fleet.replica, time, out);
  members_.resize(static_cast<size_t>(most));
  for (int32_t i = 0; i < fleet.replicas; ++i) members_[static_cast<size_t>(i)].state = State::kUp;
  next_decision_s_ = fleet.autoscaler ? begin + fleet.autoscaler->every_s : kNever;
  scale_since_s_ = begin;
  out_.scale.push_back({begin, paid()});
}

void FleetSim::run() {
  for (size_t i = 0; i < requests_.size(); ++i) {
    const double now = requests_[i].arrival_s;
    while (next_change_s() <= now) change(next_change_s());
    advance(now);
    arrive(i, now);
  }
  // What is left may still wait for a replica to come back or to start.
  while (busy()) {
    const double t = next_change_s();
    advance(t);
    if (!busy() || t == kNever) break;
    change(t);
  }
  finish();
}

bool FleetSim::busy() const {
  return !backlog_.empty() || std::any_of(replicas_.begin(), replicas_.end(),
                                          [](const ReplicaSim& r) { return !r.empty(); });
}

void FleetSim::advance(double until_s) {
  for (ReplicaSim& r : replicas_) r.advance(until_s);
}

double FleetSim::next_change_s() const {
  double next = next_decision_s_;
  if (next_failure_ < fleet_.failures.size())
    next = std::min(next, fleet_.failures[next_failure_].at_s);
  for (const Member& m : members_) {
    if (m.state == State::kStarting || m.state == State::kDown) next = std::min(next, m.since_s);
  }
  return next;
}

// Of what is due at once: first who comes back, then who fails, then the autoscaler.
void FleetSim::change(double now_s) {
  advance(now_s);
  settle(now_s);
  while (next_failure_ < fleet_.failures.size() && fleet_.failures[next_failure_].at_s <= now_s)
    fail(fleet_.failures[next_failure_++]);
  if (next_decision_s_ <= now_s) {
    decide(now_s);
    next_decision_s_ += fleet_.autoscaler->every_s;
  }
  give_backlog(now_s);
  note_scale(now_s);
}

void FleetSim::settle(double now_s) {
  for (size_t i = 0; i < members_.size(); ++i) {
    Member& m = members_[i];
    const bool due = m.since_s <= now_s;
    if ((m.state == State::kStarting || m.state == State::kDown) && due) m.state = State::kUp;
    if (m.state == State::kEmptying && replicas_[i].empty()) m.state = State::kOff;
  }
}

void FleetSim::fail(const SimFailure& failure) {
  const auto i = static_cast<size_t>(failure.replica);
  Member& m = members_[i];
  if (m.state == State::kOff) return;
  m = {State::kDown, failure.at_s + failure.down_s};
  for (const ReplicaSim::Lost& lost : replicas_[i].fail(failure.at_s)) {
    ++out_.restarted;
    backlog_.push_back({lost, failure.at_s});
  }
}

void FleetSim::decide(double now_s) {
  const SimAutoscaler& a = *fleet_.autoscaler;
  int32_t wanted_of = 0;
  size_t waiting = backlog_.size();
  for (size_t i = 0; i < members_.size(); ++i) {
    const State s = members_[i].state;
    if (s == State::kUp || s == State::kStarting || s == State::kDown) ++wanted_of;
    waiting += replicas_[i].waiting();
  }
  const double ratio =
      static_cast<double>(waiting) / (a.queued_per_replica * std::max(1, wanted_of));
  const bool near = std::fabs(ratio - 1) <= kTolerance;
  const auto wish = near ? wanted_of : static_cast<int32_t>(std::ceil(wanted_of * ratio));
  wishes_.push_back({now_s, std::clamp(wish, a.least, a.most)});
  while (wishes_.front().at_s < now_s - a.calm_s) wishes_.pop_front();
  int32_t most_lately = 0;
  for (const Wish& w : wishes_) most_lately = std::max(most_lately, w.replicas);
  resize(wishes_.back().replicas > wanted_of ? wishes_.back().replicas
                                             : std::min(most_lately, wanted_of),
         now_s);
}

// Up: those that still empty come back at once, then cold ones start. Down: who starts is stopped
// first, then the last ones empty.
void FleetSim::resize(int32_t wanted, double now_s) {
  const auto is = [this](size_t i, State s) { return members_[i].state == s; };
  int32_t have = 0;
  for (size_t i = 0; i < members_.size(); ++i)
    have += is(i, State::kUp) || is(i, State::kStarting) || is(i, State::kDown) ? 1 : 0;
  for (const State from : {State::kEmptying, State::kOff}) {
    for (size_t i = 0; i < members_.size() && have < wanted; ++i) {
      if (!is(i, from)) continue;
      members_[i] = from == State::kEmptying
                        ? Member{State::kUp, 0}
                        : Member{State::kStarting, now_s + fleet_.autoscaler->cold_start_s};
      ++have;
    }
  }
  for (const State from : {State::kStarting, State::kUp}) {
    for (size_t i = members_.size(); i-- > 0 && have > wanted;) {
      if (!is(i, from)) continue;
      members_[i].state =
          from == State::kUp && !replicas_[i].empty() ? State::kEmptying : State::kOff;
      --have;
    }
  }
}

void FleetSim::give_backlog(double now_s) {
  while (!backlog_.empty() && any_up()) {
    const auto [lost, since_s] = backlog_.front();
    backlog_.pop_front();
    out_.in_system_s += now_s - since_s;
    if (lost.generated == 0) {
      arrive(lost.request, now_s);
    } else {
      replicas_[choose(requests_[lost.request])].take_over(lost, now_s);
    }
  }
}

void FleetSim::arrive(size_t request, double now_s) {
  if (!any_up()) {
    backlog_.push_back({{request, 0, 0}, now_s});
    return;
  }
  if (!replicas_[choose(requests_[request])].arrive(request, now_s)) ++out_.refused;
}

bool FleetSim::any_up() const {
  return std::any_of(members_.begin(), members_.end(),
                     [](const Member& m) { return m.state == State::kUp; });
}

// Precondition: one is up.
size_t FleetSim::choose(const SimRequest& r) {
  if (fleet_.routing == SimRouting::kRoundRobin) {
    while (members_[turn_ % members_.size()].state != State::kUp) ++turn_;
    return turn_++ % members_.size();
  }
  size_t best = 0;
  double least = kNever;
  for (size_t i = 0; i < replicas_.size(); ++i) {
    if (members_[i].state != State::kUp) continue;
    auto tokens = static_cast<double>(replicas_[i].waiting_tokens());
    // A cached prefix counts as work that is done.
    if (fleet_.routing == SimRouting::kPrefixAware && replicas_[i].holds(r.group))
      tokens -= static_cast<double>(r.prefix_tokens);
    if (tokens < least) {
      least = tokens;
      best = i;
    }
  }
  return best;
}

int32_t FleetSim::paid() const {
  return static_cast<int32_t>(std::count_if(
      members_.begin(), members_.end(), [](const Member& m) { return m.state != State::kOff; }));
}

void FleetSim::note_scale(double now_s) {
  const int32_t now_paid = paid();
  if (now_paid == out_.scale.back().replicas) return;
  out_.replica_s += out_.scale.back().replicas * (now_s - scale_since_s_);
  scale_since_s_ = now_s;
  out_.scale.push_back({now_s, now_paid});
}

void FleetSim::finish() {
  double end = requests_.front().arrival_s;
  for (ReplicaSim& r : replicas_) {
    end = std::max(end, r.last_token_s());
    out_.busy_s += r.busy_s();
    out_.in_system_s += r.in_system_s();
    out_.gaps.merge(r.gaps());
  }
  out_.replica_s += out_.scale.back().replicas * std::max(0.0, end - scale_since_s_);
  out_.span_s = end - requests_.front().arrival_s;
}

}  // namespace weir::ops
