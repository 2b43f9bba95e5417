// What an endpoint says of its load at /metrics: which names say it for each engine, and what a
// report is worth some time later. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "gateway/route/fleet_view.h"

namespace weir::gateway {

// Of a whole answer; a larger one is refused. vLLM's is some 100 KB, SGLang's with all ranks some
// 500 KB.
inline constexpr size_t kMaxMetricsBytes = 4 << 20;

// What is not told is nothing.
struct CapacitySignals {
  std::optional<int32_t> waiting;        // requests in its queue, of all its clients
  std::optional<int32_t> running;        // requests in its batch
  std::optional<float> kv_usage;         // of its cache's blocks, 0 .. 1
  std::optional<int64_t> queued_tokens;  // of prompts that wait
};

// Where the engine has its metrics, "/metrics"; "" for hosted APIs, which have none to read.
std::string_view metrics_path(std::string_view engine);

// From Prometheus' text, at most kMaxMetricsBytes. Of an engine with ranks those that repeat others
// are left out; ranks with queues of their own are added up, shares averaged. Errors: kLimit,
// kCorrupt with the line, kUnsupported when the text has none of the engine's names.
Result<CapacitySignals> read_capacity(std::string_view engine, std::string_view text);

// What an endpoint said, and what this gateway had there when it did.
struct CapacityReport {
  CapacitySignals said;
  int64_t at_ns = 0;
  int64_t own_queued_tokens = 0;
  int32_t own_in_flight = 0;
};

// Puts into `view`, whose own account is up to date, what the report is worth now: what was said,
// with what this gateway sent since and had back since, so that a queue of a second ago does not
// draw everything to one endpoint until the next report. Nothing is believed that is older than
// fresh_ns. waiting_tokens: what a waiting request weighs where the engine does not count tokens.
void apply_report(const std::optional<CapacityReport>& report, double waiting_tokens,
                  int64_t fresh_ns, int64_t now_ns, EndpointView& view);

}  // namespace weir::gateway
