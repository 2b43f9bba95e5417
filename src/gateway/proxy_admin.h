// What operators ask of a gateway's admin listener beside draining it:
//
//   GET  /admin/fleet                  every endpoint as it is, and who says which there are
//   GET  /admin/rollout?window_s=60    {"weights": {RELEASE: per cent}, "releases": {RELEASE:
//                                      {"requests": n, "burn_rate": x or null}}}
//   PUT  /admin/rollout/weights        {"weights": {RELEASE: per cent}}, for what comes from then
//   on
//
// burn_rate: the share of requests that missed the SLO over the share that it allows.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "gateway/fleet_keeper.h"
#include "gateway/proxy.h"

namespace weir::gateway {

// All on the proxy's thread.
std::string fleet_json(Proxy& proxy, const FleetKeeper& keeper);
std::string rollout_json(Proxy& proxy, int64_t window_s);
// Errors: kInvalidJson, kInvalidValue.
Status put_weights(Proxy& proxy, std::string_view body);

// Of the query "window_s=60"; without one a minute. Error: kInvalidValue.
Result<int64_t> window_of(std::string_view query);

}  // namespace weir::gateway
