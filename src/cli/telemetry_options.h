// The flags of weir serve that say where telemetry goes, and the OTEL_* variables behind them.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "server/options.h"
#include "telemetry/log.h"

namespace weir::cli {

struct TelemetryFlags {
  std::string log_level = "info";
  std::string log_format = "text";
  bool log_content = false;
  bool no_scrub = false;
  std::vector<std::string> scrub_patterns;
  std::string otlp_endpoint;

  // Errors: kUsage.
  Result<telemetry::LogOptions> log_options() const;
  // Into the server's configuration; what no flag says comes from the environment. Errors: kUsage,
  // with the variable's name.
  using Environment = std::function<const char*(const char*)>;  // as std::getenv
  Status apply(const Environment& environment, const std::string& model,
               server::ServerConfig& config) const;
};

}  // namespace weir::cli
