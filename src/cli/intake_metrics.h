// weir intake --metrics.
#pragma once

#include <string>

#include "base/result.h"
#include "ops/intake/intake.h"

namespace weir::cli {

struct MetricsOptions {
  std::string url;     // http://host:port, /metrics where it has no path; or empty
  std::string window;  // "10s": scrape twice, so far apart; empty: once
};

// Scrapes a server and returns the fields that it answers; what no field takes is said on stderr.
// Errors: kUsage for the options, kServerOverloaded where the server cannot be reached or refuses,
// those of parse_prometheus and intake_of_metrics, naming the address.
Result<ops::Intake> read_metrics_source(const MetricsOptions& options);

}  // namespace weir::cli
