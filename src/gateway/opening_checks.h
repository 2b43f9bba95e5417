// What of a configuration is good by itself and not where and when it is opened. For a start, a
// reload, and weir gateway --check.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/problems.h"
#include "gateway/config.h"

namespace weir::gateway {

// Whether the folders are there of files that a gateway makes and writes: its ledger, idempotency
// keys, quotas. What is wrong is told to `problems`, whose file the configuration is of:
// "ledger.file: …" with the remedy. Looks at the disk; any thread.
void check_folders(const GatewayConfig& config, config::Problems& problems);

// Prices that are stale, or dated ahead, on a day (day_number_of()): what is billed by them may be
// wrong. "prices: MODEL at UPSTREAM …" with the remedy. Pure.
std::vector<std::string> doubtful_prices(const GatewayConfig& config, int32_t today);

}  // namespace weir::gateway
