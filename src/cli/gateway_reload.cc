#include "cli/gateway_reload.h"

#include <fmt/format.h>

#include <cstdlib>

#include "base/clock.h"
#include "gateway/opening.h"
#include "gateway/opening_checks.h"

namespace weir::cli {

std::optional<std::string> environment_variable(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

int32_t days_since_1970() { return static_cast<int32_t>(SystemClock().unix_s() / 86'400); }

void GatewayReload::attach(gateway::Gateway& gateway) {
  MutexLock lock(mutex_);
  gateway_ = &gateway;
}

Result<std::vector<std::string>> GatewayReload::take_over(std::vector<std::string>& warnings) {
  if (gateway_ == nullptr) return make_error(ErrorCode::kUsage, "the gateway is still starting");
  auto next = gateway::read_gateway_config(file_, environment_variable);
  if (!next.ok()) {
    gateway_->reload_refused();
    return next.error();
  }
  warnings = gateway::file_warnings(*next);
  const std::vector<std::string> prices = gateway::doubtful_prices(*next, days_since_1970());
  warnings.insert(warnings.end(), prices.begin(), prices.end());
  return gateway_->reload(std::move(*next));
}

Result<std::vector<std::string>> GatewayReload::run() {
  MutexLock lock(mutex_);
  std::vector<std::string> warnings;
  auto restart = take_over(warnings);
  if (!restart.ok()) {
    log_.error("config_reload_failed", {{"file", file_}, {"why", restart.error().message}});
    return restart;
  }
  log_.info("config_reloaded", {{"file", file_}});
  for (const std::string& warning : warnings) log_.warn("config", {{"warning", warning}});
  if (!restart->empty())
    log_.warn("config_needs_restart", {{"keys", fmt::format("{}", fmt::join(*restart, ","))}});
  return restart;
}

}  // namespace weir::cli
