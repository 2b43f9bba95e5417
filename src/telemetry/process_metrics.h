// The process under the names that Prometheus client libraries agree on.
#pragma once

#include "telemetry/metrics.h"

namespace weir::telemetry {

struct ProcessMetrics {
  explicit ProcessMetrics(Registry& r)
      : resident_bytes(
            r.gauge("process_resident_memory_bytes", "Resident memory of the process, bytes.")),
        start_time_s(r.gauge("process_start_time_seconds",
                             "When the server started, seconds since 1970.")) {}
  Gauge resident_bytes;  // process_resident_memory_bytes
  Gauge start_time_s;    // process_start_time_seconds
};

}  // namespace weir::telemetry
