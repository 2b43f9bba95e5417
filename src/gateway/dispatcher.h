// Where the requests of each model go: the release by the sticky split, then the order of endpoints
// by tiers, policy, load and what they probably have in their prefix caches. Decides by the pure
// policies of route/ over the fleet as it is at the moment. One thread: the proxy's.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "gateway/config.h"
#include "gateway/fleet.h"
#include "gateway/route/failover.h"
#include "gateway/route/pick.h"
#include "gateway/route/prefix_index.h"
#include "gateway/route/split.h"

namespace weir::gateway {

struct Choice {
  EndpointPtr endpoint;  // null: nobody is left
  const TargetConfig* target = nullptr;
};

class Dispatcher {
 public:
  // Both outlive it, or until another is adopted. secret: keys the hashes of prompts and sessions.
  Dispatcher(const GatewayConfig& config, Fleet& fleet, HashKey secret);

  // From now on decisions are those of this configuration; models of the one before are known until
  // it is forgotten. A model with the same releases and shares in the file keeps those that
  // set_weights gave it. Targets have the fleet's numbers of pools.
  void adopt(const GatewayConfig& config);
  void forget(const GatewayConfig& config);

  // What is known of a request before its first attempt.
  struct Assigned {
    size_t arm = 0;                     // of the model's releases
    std::optional<Assignment> exposed;  // of a split that has more than one
  };
  Assigned assign(const ModelConfig& model, const RequestView& request, uint64_t draw) const;

  // The release that such a request is of, while its endpoints take it.
  const std::string& release_of(const ModelConfig& model, const Assigned& assigned) const;

  // The best endpoint that was not tried and may be asked now.
  Choice choose(const ModelConfig& model, const Assigned& assigned, const RequestView& request,
                std::span<const uint32_t> tried, uint64_t draw, int64_t now_ns);
  // The first of `picked` that answers for the model, was not tried and may be asked now: whoever
  // picked has decided.
  Choice choose_picked(const ModelConfig& model, const Assigned& assigned,
                       std::span<const uint32_t> picked, std::span<const uint32_t> tried,
                       int64_t now_ns);
  // What the assignment tells an analysis; nothing where there is one release.
  std::optional<Exposure> exposure(const ModelConfig& model, const Assigned& assigned,
                                   const RequestView& request, std::string_view request_id) const;
  // The request's prompt goes to that endpoint.
  void sent(const Choice& choice, const RequestView& request);
  // Whether the model's policy looks at prompts.
  bool wants_blocks(const ModelConfig& model) const {
    return model.pick.policy == PickPolicy::kCacheAware;
  }

  // Releases with their share of the traffic in per cent, over the models that split by them.
  using Weights = std::map<std::string, int, std::less<>>;
  Weights weights() const;
  // For all models whose releases these are. Errors: kInvalidValue when no model has exactly these,
  // or they do not make 100; nothing is changed then.
  Status set_weights(const Weights& weights);

  const HashKey& prompt_key() const { return secret_; }

 private:
  // The candidates of a model for one of its releases: that one first, others in need.
  struct Arm {
    std::string release;
    std::vector<Candidate> candidates;
    std::vector<const TargetConfig*> target_of;  // by candidate
    Failover failover;
    std::optional<int64_t> updated_ns;  // nothing: not yet
    uint64_t turn = 0;
  };
  struct Route {
    std::optional<Split> split;  // none: one release
    std::vector<Arm> arms;
  };
  // Null: other models answer for it.
  const Route* routed(const ModelConfig& model) const;
  // Precondition: the model has targets.
  Result<Route> make_route(const ModelConfig& model, const Weights* weights) const;
  // Anew from the pools as they are; what failover knows of the tiers stays.
  void fill_arm(const ModelConfig& model, Arm& arm) const;
  // Follows the fleet when endpoints came or went.
  void sync();
  void show(const Endpoint& endpoint);
  void refresh(const ModelConfig& model, Arm& arm, int64_t now_ns);
  uint32_t place(const std::string& name);

  const GatewayConfig* config_;  // the present one
  Fleet& fleet_;
  const HashKey secret_;
  uint64_t version_ = 0;  // of the fleet, that the next are made from
  std::unordered_map<const ModelConfig*, Route> routes_;
  std::vector<EndpointView> views_;                      // of all endpoints, by index
  std::vector<uint64_t> serials_;                        // of them, 0: none; by index
  std::map<std::string, uint32_t, std::less<>> places_;  // numbers of regions and zones
  FleetView view_;
  PrefixIndex prefixes_;
  std::vector<uint32_t> matched_;
  PickScratch scratch_;
};

}  // namespace weir::gateway
