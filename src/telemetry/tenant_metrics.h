// What each tenant takes. Tenants beyond CounterFamily::kMaxLabelValues count as "other"; requests
// without a key count as "".
#pragma once

#include "telemetry/metrics.h"

namespace weir::telemetry {

struct TenantMetrics {
  explicit TenantMetrics(Registry& registry);
  CounterFamily requests;           // weir_tenant_requests_total{tenant}
  CounterFamily prompt_tokens;      // weir_tenant_prompt_tokens_total{tenant}
  CounterFamily generation_tokens;  // weir_tenant_generation_tokens_total{tenant}
  CounterFamily refused;            // weir_tenant_rate_limited_total{tenant}
  CounterFamily auth_failures;      // weir_auth_failures_total{reason}: key, right, url
};

}  // namespace weir::telemetry
