#include "gateway/cache/single_flight.h"

namespace weir::gateway {

SingleFlight::Role SingleFlight::join(const Hash128& key, Id id, int64_t now_ns) {
  if (members_.contains(id)) return Role::kAlone;
  const auto found = flights_.find(key);
  if (found == flights_.end()) {
    if (flights_.size() >= config_.max_flights) return Role::kAlone;
    flights_.try_emplace(key);
    members_[id] = {key, true, {}, {}};
    return Role::kLeader;
  }
  Flight& flight = found->second;
  if (flight.followers.size() >= config_.max_followers) return Role::kAlone;
  const auto place = flight.followers.insert(flight.followers.end(), id);
  const auto waiting = waits_.insert(waits_.end(), Wait{id, key, now_ns + config_.max_wait_ns});
  members_[id] = {key, false, place, waiting};
  return Role::kFollower;
}

void SingleFlight::forget_follower(Id id, Flight& flight) {
  const auto member = members_.find(id);
  flight.followers.erase(member->second.place);
  waits_.erase(member->second.waiting);
  members_.erase(member);
}

std::vector<SingleFlight::Id> SingleFlight::succeed(Id leader) {
  const auto member = members_.find(leader);
  if (member == members_.end() || !member->second.leads) return {};
  const auto found = flights_.find(member->second.key);
  members_.erase(member);
  Flight& flight = found->second;
  std::vector<Id> served(flight.followers.begin(), flight.followers.end());
  for (const Id id : served) forget_follower(id, flight);
  flights_.erase(found);
  return served;
}

// The flight goes on under its first follower; without one it is over.
std::optional<SingleFlight::Id> SingleFlight::hand_over(const Hash128& key, Flight& flight) {
  if (flight.followers.empty()) {
    flights_.erase(key);
    return std::nullopt;
  }
  const Id next = flight.followers.front();
  forget_follower(next, flight);
  members_[next] = {key, true, {}, {}};
  return next;
}

SingleFlight::End SingleFlight::fail(Id leader) {
  const auto member = members_.find(leader);
  if (member == members_.end() || !member->second.leads) return {};
  const Hash128 key = member->second.key;
  Flight& flight = flights_.find(key)->second;
  if (++flight.leaders > kMaxLeaders) {
    return {std::nullopt, succeed(leader)};
  }
  members_.erase(member);
  return {hand_over(key, flight), {}};
}

std::optional<SingleFlight::Id> SingleFlight::leave(Id id) {
  const auto member = members_.find(id);
  if (member == members_.end()) return std::nullopt;
  const Hash128 key = member->second.key;
  Flight& flight = flights_.find(key)->second;
  if (!member->second.leads) {
    forget_follower(id, flight);
    return std::nullopt;
  }
  members_.erase(member);  // nothing failed: it does not count as a leader that did
  return hand_over(key, flight);
}

std::vector<SingleFlight::Id> SingleFlight::expire(int64_t now_ns) {
  std::vector<Id> late;
  while (!waits_.empty() && waits_.front().until_ns <= now_ns) {
    const Wait wait = waits_.front();
    forget_follower(wait.id, flights_.find(wait.key)->second);
    late.push_back(wait.id);
  }
  return late;
}

std::optional<int64_t> SingleFlight::next_expiry_ns() const {
  if (waits_.empty()) return std::nullopt;
  return waits_.front().until_ns;
}

}  // namespace weir::gateway
