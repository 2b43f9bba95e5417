// The part of a configuration's description that bounds requests: times, retries, hedges, how many
// at once, priorities, health checks, prices. Internal to gateway/.
#pragma once

#include <string>

#include "gateway/config.h"
#include "text/json.h"

namespace weir::gateway {

// Lines that stand under the model's name.
std::string describe_bounds(const ModelConfig& model);
// Members: timeouts, retry, hedge, shed (null where nobody is shed).
void add_bounds(text::Json& json, const ModelConfig& model);

// One line for each upstream, of its checks and how many it is sent at once.
std::string describe_checks(const GatewayConfig& config);
// Members: health_path and metrics (null where there are none).
void add_checks(text::Json& json, const UpstreamConfig& upstream);

// Of priorities and prices, where the file has any; of redaction always.
std::string describe_rest(const GatewayConfig& config);
text::Json priorities_json(const PriorityConfig& priorities);
text::Json prices_json(const PriceTable& prices);

}  // namespace weir::gateway
