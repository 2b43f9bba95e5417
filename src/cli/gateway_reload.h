// The configuration of a running gateway, read again: by SIGHUP, and by whoever has the admin
// token.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/thread_annotations.h"
#include "gateway/gateway.h"
#include "telemetry/log.h"

namespace weir::cli {

// Of the environment, as gateway.yaml's keys *_env name it.
std::optional<std::string> environment_variable(const std::string& name);
// Now, for the age of prices.
int32_t days_since_1970();

// Any thread but the gateway's own. Borrows log and gateway.
class GatewayReload {
 public:
  GatewayReload(std::string file, telemetry::Logger& log) : file_(std::move(file)), log_(log) {}

  // From now on run() has a gateway to change.
  void attach(gateway::Gateway& gateway) WEIR_EXCLUDES(mutex_);

  // The file again, and the files that it names; a bad one changes nothing. The keys that differ
  // and need a restart. Logged either way. Errors: those of reading and Gateway::reload, and
  // kUsage before attach().
  Result<std::vector<std::string>> run() WEIR_EXCLUDES(mutex_);

 private:
  Result<std::vector<std::string>> take_over(std::vector<std::string>& warnings)
      WEIR_REQUIRES(mutex_);

  const std::string file_;
  telemetry::Logger& log_;
  Mutex mutex_;
  gateway::Gateway* gateway_ WEIR_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace weir::cli
