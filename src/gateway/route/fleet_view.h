// What a routing decision sees of the request and of the fleet at one moment. Views borrow: nothing
// is copied for a request, and whoever makes a view keeps what it points to alive and still until
// the decision is made. Plain values, no I/O; any thread that owns the view.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "gateway/route/prompt_blocks.h"
#include "http/message.h"

namespace weir::gateway {

// The place of an endpoint in FleetView::endpoints is its index; it stays the same for as long as
// the endpoint is configured.
struct EndpointView {
  uint64_t identity = 0;  // hash of its address: the same in every replica and after a restart
  double weight = 1;      // > 0: its share beside others; slow start scales it
  uint16_t pool = 0;      // number of its upstream
  bool up = true;         // healthy, not ejected, and its circuit lets requests through
  uint32_t region = 0;    // numbers the caller gives to names; 0: not told
  uint32_t zone = 0;      // distinct across regions; 0: not told
  // This gateway's own account.
  int32_t in_flight = 0;
  int32_t max_in_flight = 0;  // 0: no bound
  // What the endpoint says of itself, from its metrics (capacity.h).
  int32_t signals_age_ms = -1;     // -1: it never said anything, or too long ago
  int32_t waiting = 0;             // requests in its queue, of all its clients
  int32_t requests = 0;            // waiting and running, of all its clients
  float kv_usage = 0;              // 0 .. 1
  float prefill_tokens_per_s = 0;  // estimate of its capacity; 0: not known
  // Prompt tokens before a new request: own account, sent there and no byte back yet; or what the
  // endpoint says, when that is more.
  int64_t queued_tokens = 0;
};
static_assert(sizeof(EndpointView) <= 64, "a decision reads a cache line of each endpoint");

struct FleetView {
  std::span<const EndpointView> endpoints;
  uint32_t home_region = 0;  // of this gateway; 0: not told
  uint32_t home_zone = 0;
};

struct RequestView {
  std::string_view model;  // the alias the client asked for
  std::string_view route;  // path, "/v1/chat/completions"
  std::string_view tenant;
  std::string_view user;     // as the client names it; may be empty, as the next
  std::string_view session;  // conversation
  std::span<const http::Headers::Field> headers;
  std::span<const PromptBlock> blocks;
  int64_t input_tokens = 0;  // estimate
  int32_t priority = 0;      // of the request: higher is more important
  int64_t unix_s = 0;        // wall time
};

}  // namespace weir::gateway
