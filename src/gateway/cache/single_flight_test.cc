#include "gateway/cache/single_flight.h"

#include <gtest/gtest.h>

#include <set>

#include "base/rng.h"

namespace weir::gateway {
namespace {

using Role = SingleFlight::Role;
using Ids = std::vector<SingleFlight::Id>;

constexpr Hash128 kKey{1, 1};
constexpr Hash128 kOther{2, 2};

TEST(SingleFlight, FollowersGetTheLeadersAnswerInOrder) {
  SingleFlight flights({});
  EXPECT_EQ(flights.join(kKey, 1, 0), Role::kLeader);
  EXPECT_EQ(flights.join(kKey, 2, 0), Role::kFollower);
  EXPECT_EQ(flights.join(kOther, 3, 0), Role::kLeader);
  EXPECT_EQ(flights.join(kKey, 4, 0), Role::kFollower);
  EXPECT_TRUE(flights.succeed(2).empty());  // is none
  EXPECT_EQ(flights.succeed(1), (Ids{2, 4}));
  EXPECT_EQ(flights.flights(), 1U);
  EXPECT_EQ(flights.join(kKey, 5, 0), Role::kLeader);
  EXPECT_TRUE(flights.succeed(1).empty());  // is no longer one
}

TEST(SingleFlight, AFailureWakesOneAndTheThirdEndsAll) {
  SingleFlight flights({});
  for (SingleFlight::Id id = 1; id <= 6; ++id) flights.join(kKey, id, 0);
  auto end = flights.fail(1);
  EXPECT_EQ(end.leader, 2U);
  EXPECT_TRUE(end.failed.empty());
  EXPECT_EQ(flights.followers(), 4U);
  end = flights.fail(2);
  EXPECT_EQ(end.leader, 3U);
  end = flights.fail(3);
  EXPECT_FALSE(end.leader);
  EXPECT_EQ(end.failed, (Ids{4, 5, 6}));
  EXPECT_EQ(flights.flights() + flights.followers(), 0U);
  // A leader that just went away did not fail.
  for (SingleFlight::Id id = 1; id <= 6; ++id) flights.join(kKey, id, 0);
  for (SingleFlight::Id id = 1; id <= 4; ++id) EXPECT_EQ(flights.leave(id), id + 1);
  EXPECT_EQ(flights.fail(5).leader, 6U);
  EXPECT_FALSE(flights.leave(6));
  EXPECT_EQ(flights.flights(), 0U);
}

TEST(SingleFlight, WaitingIsBounded) {
  SingleFlightConfig c;
  c.max_flights = 2;
  c.max_followers = 2;
  c.max_wait_ns = 100;
  SingleFlight flights(c);
  EXPECT_EQ(flights.join(kKey, 1, 0), Role::kLeader);
  EXPECT_EQ(flights.join(kKey, 2, 10), Role::kFollower);
  EXPECT_EQ(flights.join(kKey, 3, 20), Role::kFollower);
  EXPECT_EQ(flights.join(kKey, 4, 30), Role::kAlone);
  EXPECT_EQ(flights.join(kOther, 5, 30), Role::kLeader);
  EXPECT_EQ(flights.join({3, 3}, 6, 30), Role::kAlone);
  EXPECT_EQ(flights.next_expiry_ns(), 110);
  EXPECT_TRUE(flights.expire(109).empty());
  EXPECT_EQ(flights.expire(110), (Ids{2}));
  EXPECT_EQ(flights.succeed(1), (Ids{3}));  // the flight went on without it
  EXPECT_FALSE(flights.next_expiry_ns());
}

// Whatever happens in whatever order: a key has one leader at most, and each who joined as a
// follower hears exactly once.
TEST(SingleFlight, EveryFollowerHearsOnce) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Rng rng(seed);
    SingleFlightConfig c;
    c.max_flights = 3;
    c.max_followers = 4;
    c.max_wait_ns = 30;
    SingleFlight flights(c);
    std::set<SingleFlight::Id> leaders;
    std::set<SingleFlight::Id> followers;
    const auto hears = [&](SingleFlight::Id id) { ASSERT_EQ(followers.erase(id), 1U); };
    const auto leads = [&](std::optional<SingleFlight::Id> id) {
      if (!id) return;
      hears(*id);
      leaders.insert(*id);
    };
    const auto any = [&](const std::set<SingleFlight::Id>& of) {
      auto it = of.begin();
      std::advance(it, static_cast<long>(rng.below(of.size())));
      return *it;
    };
    SingleFlight::Id next = 1;
    for (int64_t now = 0; now < 300; ++now) {
      const uint64_t dice = rng.below(10);
      if (dice < 5) {
        const SingleFlight::Id id = next++;
        const Role role = flights.join({rng.below(4), 0}, id, now);
        if (role == Role::kLeader) leaders.insert(id);
        if (role == Role::kFollower) followers.insert(id);
      } else if (dice < 8 && !leaders.empty()) {
        const SingleFlight::Id id = any(leaders);
        leaders.erase(id);
        if (dice == 5) {
          for (const auto served : flights.succeed(id)) hears(served);
        } else if (dice == 6) {
          const auto end = flights.fail(id);
          leads(end.leader);
          for (const auto failed : end.failed) hears(failed);
        } else {
          leads(flights.leave(id));
        }
      } else if (dice == 8 && !followers.empty()) {
        const SingleFlight::Id id = any(followers);
        followers.erase(id);
        EXPECT_FALSE(flights.leave(id));
      } else {
        for (const auto late : flights.expire(now)) hears(late);
      }
      ASSERT_EQ(flights.flights(), leaders.size());
      ASSERT_EQ(flights.followers(), followers.size());
      ASSERT_LE(flights.flights(), 3U);
    }
    while (!leaders.empty()) {
      const SingleFlight::Id id = any(leaders);
      leaders.erase(id);
      for (const auto served : flights.succeed(id)) hears(served);
    }
    EXPECT_TRUE(followers.empty());
  }
}

}  // namespace
}  // namespace weir::gateway
