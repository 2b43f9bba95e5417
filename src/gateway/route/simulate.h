// What a routing policy is worth: a fleet of equal upstreams with finite prefix caches, and a trace
// of requests that is replayed against it. Deterministic: the same inputs give the same figures.
//
// An upstream computes prompts one after the other, in order of arrival, at prefill_tokens_per_s
// less what the requests before take that have not ended; what its cache holds costs nothing. A
// request has its first token when its prompt is computed, and then one each itl_ms. The cache
// holds whole blocks of prompts and forgets the least recently used. The gateway sees of an
// upstream what it sees in production: what it sent there and which of it has answered. It knows
// the caches' size, not their contents.
//
// Left out: queues bounded by cache space, output tokens in the cache, batches of prompts,
// failures. One thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gateway/route/pick.h"

namespace weir::gateway {

struct TraceRequest {
  double at_s = 0;  // ascending
  int64_t input_tokens = 0;
  int64_t output_tokens = 0;
  uint64_t session = 0;      // requests that share more than what all prompts begin with
  uint32_t first_block = 0;  // of RouteTrace::blocks
  uint32_t block_count = 0;
};

struct RouteTrace {
  std::vector<TraceRequest> requests;
  std::vector<PromptBlock> blocks;

  std::span<const PromptBlock> blocks_of(const TraceRequest& r) const {
    return std::span(blocks).subspan(r.first_block, r.block_count);
  }
};

inline constexpr size_t kMaxTraceRequests = 1'000'000;

// Reads lines {"timestamp": ms, "input_length", "output_length", "hash_ids": [...]}, the traces of
// Mooncake (Qin et al., FAST 2025), whose hash_ids name blocks of 512 tokens after all that stands
// before them. Times that are rounded are spread evenly until the next. A session is a prompt's
// second block, as far as the trace can tell: the first is often one that all share. Errors name
// the line: kInvalidJson, kCorrupt, kLimit.
Result<RouteTrace> parse_mooncake(std::string_view text, size_t max_requests = kMaxTraceRequests);

struct SimulationConfig {
  uint32_t upstreams = 8;
  int64_t cache_tokens = 1'000'000;    // of each upstream; 0: without bound
  int64_t believed_cache_tokens = -1;  // what the gateway takes it for; -1: knows it
  double prefill_tokens_per_s = 7'000;
  double itl_ms = 15;
  double stream_cost = 0.01;   // of the prefill speed that a request before it takes
  double least_prefill = 0.3;  // that is left to it at least
  double overhead_ms = 20;     // of each request before its prompt is computed
  double speed = 1;            // of the trace: 2 replays it in half the time
  uint64_t seed = 1;
};

struct SimulationResult {
  double hit_rate = 0;  // prompt tokens found in caches, of all
  double ttft_p50_s = 0;
  double ttft_p90_s = 0;
  double ttft_p99_s = 0;
  double max_over_mean = 0;  // computed prompt tokens of the busiest upstream over the mean
};

SimulationResult simulate(const RouteTrace& trace, const PickConfig& pick,
                          const SimulationConfig& config);

struct PolicyRow {
  PickPolicy policy = PickPolicy::kRoundRobin;
  SimulationResult result;
};

// Every policy, in the order of PickPolicy, with the other settings of `pick`.
std::vector<PolicyRow> compare_policies(const RouteTrace& trace, const PickConfig& pick,
                                        const SimulationConfig& config);
// As a table in Markdown, with the ratios to round_robin.
std::string policy_table(std::span<const PolicyRow> rows);

}  // namespace weir::gateway
