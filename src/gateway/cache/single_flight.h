// One request in place of many that ask the same at once: the first one leads and goes to the
// upstream, the others follow and wait for its answer.
//
// A leader that fails hands over to one follower, not to all; after kMaxLeaders failures the rest
// fail with the last of them, so that a request that cannot succeed is not sent once for each who
// asks. A follower waits at most max_wait_ns and then goes by itself. Pure: time is passed in
// (steady nanoseconds). One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/hash.h"

namespace weir::gateway {

struct SingleFlightConfig {
  size_t max_flights = 10'000;
  size_t max_followers = 256;  // of one flight
  int64_t max_wait_ns = 30'000'000'000;
  bool operator==(const SingleFlightConfig&) const = default;
};

class SingleFlight {
 public:
  static constexpr int kMaxLeaders = 3;  // of one flight, one after the other

  using Id = uint64_t;  // the caller's name for a request; each is in one flight at most
  enum class Role {
    kLeader,    // goes to the upstream; succeed, fail or leave must follow
    kFollower,  // waits for one of them, or for expire
    kAlone,     // a bound is reached: goes to the upstream and is none of ours
  };
  struct End {
    std::optional<Id> leader;  // a follower that leads from now on
    std::vector<Id> failed;    // followers that fail as the leader did
  };

  explicit SingleFlight(const SingleFlightConfig& config) : config_(config) {}

  Role join(const Hash128& key, Id id, int64_t now_ns);
  // The leader has an answer that may be shared: who gets it, in the order they came.
  std::vector<Id> succeed(Id leader);
  // The leader has failed, or its answer may not be shared.
  End fail(Id leader);
  // The request's client went away. Of a follower: nothing more happens.
  std::optional<Id> leave(Id id);
  // Followers that have waited long enough; they go alone.
  std::vector<Id> expire(int64_t now_ns);
  std::optional<int64_t> next_expiry_ns() const;

  size_t flights() const { return flights_.size(); }
  size_t followers() const { return waits_.size(); }

 private:
  struct KeyHash {
    size_t operator()(const Hash128& k) const { return static_cast<size_t>(k.low); }
  };
  struct Wait {
    Id id = 0;
    Hash128 key;
    int64_t until_ns = 0;
  };
  struct Flight {
    int leaders = 1;  // those that failed, and the present one
    std::list<Id> followers;
  };
  struct Member {
    Hash128 key;
    bool leads = false;
    std::list<Id>::iterator place;      // of a follower, in its flight
    std::list<Wait>::iterator waiting;  // and in waits_
  };

  void forget_follower(Id id, Flight& flight);
  std::optional<Id> hand_over(const Hash128& key, Flight& flight);

  const SingleFlightConfig config_;
  std::unordered_map<Hash128, Flight, KeyHash> flights_;
  std::unordered_map<Id, Member> members_;
  std::list<Wait> waits_;  // by the time they end, since all wait equally long
};

}  // namespace weir::gateway
