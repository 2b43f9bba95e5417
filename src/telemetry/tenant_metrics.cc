#include "telemetry/tenant_metrics.h"

namespace weir::telemetry {

TenantMetrics::TenantMetrics(Registry& r)
    : requests(r.counter_family("weir_tenant_requests_total",
                                "Requests that passed the key check and the limits", "tenant")),
      prompt_tokens(r.counter_family("weir_tenant_prompt_tokens_total",
                                     "Prompt tokens of requests that are over", "tenant")),
      generation_tokens(r.counter_family("weir_tenant_generation_tokens_total",
                                         "Generated tokens of requests that are over", "tenant")),
      refused(r.counter_family("weir_tenant_rate_limited_total",
                               "Requests refused with 429 by a limit of their tenant", "tenant")),
      auth_failures(r.counter_family("weir_auth_failures_total", "Requests refused for their key",
                                     "reason")) {
  // So that rates have a zero to start from.
  for (const CounterFamily* family : {&requests, &prompt_tokens, &generation_tokens, &refused})
    family->with("");
  for (const char* reason : {"key", "right", "url"}) auth_failures.with(reason);
}

}  // namespace weir::telemetry
