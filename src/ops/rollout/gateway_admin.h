// What a rollout asks of a gateway's admin listener; the whole interface between the two.
//
//   GET  /admin/rollout?window_s=60   →  {"weights": {"RELEASE": 95, "OTHER": 5},
//                                         "releases": {"RELEASE": {"requests": 120, "burn_rate":
//                                         0.4}}}
//   PUT  /admin/rollout/weights       ←  {"weights": {"RELEASE": 75, "OTHER": 25}}   → 200 or 204
//
// Weights are whole per cents of the traffic and make 100. burn_rate is over the window, null
// without requests. The token is sent as "Authorization: Bearer …". The gateway applies new weights
// to the requests that come after its answer.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "ops/rollout/policy.h"

namespace weir::ops {

using RolloutWeights = std::map<std::string, int, std::less<>>;  // per cent, by release

struct GatewayState {
  RolloutWeights weights;
  std::map<std::string, BurnReading, std::less<>> releases;
};

// One thread.
class GatewayAdmin {
 public:
  virtual ~GatewayAdmin() = default;
  // Errors: kIo when it cannot be reached or refuses; kCorrupt for an answer that is none.
  virtual Result<GatewayState> state(double window_s) = 0;
  virtual Status set_weights(const RolloutWeights& weights) = 0;
};

// The same errors. Bounded: 1 MiB, 1000 releases.
Result<GatewayState> parse_gateway_state(std::string_view json);
std::string weights_json(const RolloutWeights& weights);

// By HTTP. url: "http://host:port", TLS is a proxy's. Errors: those of the URL and of the client.
Result<std::unique_ptr<GatewayAdmin>> http_gateway_admin(const std::string& url,
                                                         const std::string& token);

}  // namespace weir::ops
