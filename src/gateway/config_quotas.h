// quotas:, quota_estimate: and state: of gateway.yaml. Internal to gateway/.
//
//   state: {redis: {url: "redis://10.0.0.5:6379/0", password_env: PASSWORD}}  # or {sqlite: FILE}
//   quotas:
//     - {name: fair, tenant: "*", metric: total_tokens, window: day, limit: 2000000}
//     - {name: budget, tenant: acme, metric: money, window: month, limit: "200.00"}
#pragma once

#include <string>
#include <string_view>

#include "config/yaml.h"
#include "gateway/config.h"
#include "gateway/config_reader.h"

namespace weir::gateway {

// Into config.quotas, once its upstreams, models, prices and keys_file are read. What is wrong is
// noted by the reader: also a quota that no request is subject to, and one of money where a model
// that it counts can go where no price is known.
void read_quotas(const ConfigReader& reader, const config::Node& file, GatewayConfig& config);

// As the file calls it: "total_tokens".
std::string_view quota_metric_key(QuotaMetric metric);

// Lines for people; "" without quotas.
std::string describe_quotas(const GatewayConfig& config);

}  // namespace weir::gateway
