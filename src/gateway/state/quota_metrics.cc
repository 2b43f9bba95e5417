#include "gateway/state/quota_metrics.h"

namespace weir::gateway {
namespace {

// Memory answers within microseconds, Redis nearby within a millisecond; beyond its timeout of
// 0.2 s it is down.
const std::vector<double> kSeconds = {0.00001, 0.0001, 0.0005, 0.001, 0.002, 0.005,
                                      0.01,    0.05,   0.1,    0.2,   0.5,   1};

}  // namespace

QuotaMetrics::QuotaMetrics(telemetry::Registry& r)
    : answers(
          r.counter_family("weir_gateway_quota_answers_total", "Reserves and extends.", "verdict")),
      failures(r.counter("weir_gateway_quota_store_failures_total",
                         "Batches and calls of the quota store that failed.")),
      up(r.gauge("weir_gateway_quota_store_up", "Whether the quota store answers: 0 or 1.")),
      expired(r.counter("weir_gateway_quota_reservations_expired_total",
                        "Reservations that nobody reconciled in time.")),
      lost(r.counter("weir_gateway_quota_settlements_lost_total",
                     "Reconciles that were given up; their reservations expire.")),
      open(r.gauge("weir_gateway_quota_reservations", "Reservations that are open.")),
      refused(r.counter_family("weir_gateway_quota_refused_total",
                               "Requests and streams that a quota ended, by its name.", "quota")),
      store_s(r.histogram("weir_gateway_quota_store_seconds",
                          "Reserves and extends, from asked to answered.", kSeconds)) {
  up.set(1);
  for (const char* verdict : {"granted", "refused", "unavailable", "uncounted"})
    answers.with(verdict);
}

void QuotaMetrics::count(const QuotaAnswer& answer) const {
  switch (answer.verdict) {
    case QuotaVerdict::kGranted:
      return answers.with(answer.uncounted ? "uncounted" : "granted").add();
    case QuotaVerdict::kRefused:
      return answers.with("refused").add();
    case QuotaVerdict::kUnavailable:
      return answers.with("unavailable").add();
  }
}

}  // namespace weir::gateway
