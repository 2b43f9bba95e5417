// The metrics weir_gateway_quota_* of both stores, and of who asks them.
#pragma once

#include "gateway/state/quota.h"
#include "telemetry/metrics.h"

namespace weir::gateway {

// Any thread. The registry outlives it.
struct QuotaMetrics {
  explicit QuotaMetrics(telemetry::Registry& registry);
  telemetry::CounterFamily
      answers;                  // …_answers_total{verdict}: granted refused unavailable uncounted
  telemetry::Counter failures;  // …_store_failures_total: batches, calls that failed
  telemetry::Gauge up;          // …_store_up: 0 while Redis does not answer
  telemetry::Counter expired;   // …_reservations_expired_total
  telemetry::Counter lost;      // …_settlements_lost_total: reconciles given up
  telemetry::Gauge open;        // …_reservations: that are open
  telemetry::CounterFamily refused;  // …_refused_total{quota}: by the rule's name
  telemetry::Histogram store_s;      // …_store_seconds: asked to answered
  void count(const QuotaAnswer& answer) const;
};

}  // namespace weir::gateway
