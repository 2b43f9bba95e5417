// Which share of a model's traffic goes to which tier of its endpoints. A tier is a priority
// (configured: own accelerators before hosted ones) and within it the distance to this gateway:
// same zone, same region, elsewhere.
//
// A tier of which the fraction h of the weight is up can take min(1, overprovisioning * h) of the
// traffic; the first tier takes what it can, the next what is left, and so on; when all together
// can take less than everything, they are scaled up (Envoy, "Priority levels", with its factor of
// 1.4: while 71 % of a tier are up nothing leaves it). Traffic leaves a tier at once, but comes
// back only when the tier has been better for failback_ms, and to the lowest level it had in that
// time: an endpoint that comes and goes moves no traffic back and forth, and the caches of the tier
// it fled to are used a while longer.
//
// Pure, time is passed in; one thread. "Full" is not "down": pick.h spills over without delay.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "gateway/route/fleet_view.h"

namespace weir::gateway {

inline constexpr uint32_t kMaxPriorities = 8;
inline constexpr size_t kTiers = size_t{kMaxPriorities} * 3;

struct FailoverConfig {
  double overprovisioning = 1.4;  // >= 1
  int64_t failback_ms = 30'000;   // 0: comes back at once
  bool locality = true;           // false: all endpoints of a priority are one tier
};

// An endpoint as one of those that serve a model: another model may use it otherwise.
struct Candidate {
  uint32_t endpoint = 0;  // index; not twice
  uint8_t priority = 0;   // 0 is used first; kMaxPriorities or more counts as the last
  double weight = 1;      // > 0; multiplies the endpoint's own
};

// Its tier, lower is used first. Where this gateway's zone or region is not told, every endpoint is
// elsewhere.
size_t tier_of(const FailoverConfig& config, const FleetView& fleet, const Candidate& candidate);

using TierShares = std::array<double, kTiers>;  // 0 .. 1, sum 1; all 0: nothing is up

// Of one model: what changes seldom, so that a decision need not find it out again.
class Failover {
 public:
  explicit Failover(const FailoverConfig& config) : config_(config) {}

  // To be called when one of the candidates goes up or down or changes its weight, when there are
  // others, and about every second.
  void update(const FleetView& fleet, std::span<const Candidate> candidates, int64_t now_ns);

  const TierShares& shares() const { return shares_; }
  struct Member {
    uint32_t endpoint = 0;  // index
    uint32_t tier = 0;
    double weight = 1;  // of candidate and endpoint
    // 1 / (weight, times its prefill speed over the mean of those that are up and tell theirs):
    // what a token of load there weighs.
    double load_factor = 1;
  };
  std::span<const Member> members() const { return members_; }
  const FailoverConfig& config() const { return config_; }

 private:
  struct Tier {
    double trusted = -1;       // health that traffic is sent by; -1: not seen yet
    double least = 0;          // health at its lowest since `better_since`
    int64_t better_since = 0;  // when health rose above `trusted`
    bool better = false;
  };
  void judge(Tier& tier, double health, int64_t now_ns) const;

  FailoverConfig config_;
  std::array<Tier, kTiers> tiers_{};
  TierShares shares_{};
  std::vector<Member> members_;
};

}  // namespace weir::gateway
