// The service level that a request is held to, and how one is written: `ttft=500ms,itl=50ms`.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "bench/load/measurement.h"

namespace weir::bench {

// Bounds of one request; 0: not asked. A request meets the SLO when it ended well (kOk) and keeps
// every bound. A refused, failed or timed-out request does not meet it.
struct Slo {
  double ttft_ms = 0;     // intended send to first output
  double itl_ms = 0;      // the 95th percentile of the request's own gaps
  double itl_max_ms = 0;  // every gap
  double tpot_ms = 0;     // mean time per output token after the first
  double e2e_ms = 0;      // intended send to the end
  // The run meets the SLO when at least this share of all its requests do.
  double share = 0.95;

  bool any() const {
    return ttft_ms > 0 || itl_ms > 0 || itl_max_ms > 0 || tpot_ms > 0 || e2e_ms > 0;
  }
  friend bool operator==(const Slo&, const Slo&) = default;
};

// "ttft=500ms,itl=50ms,e2e=10s,share=0.99": keys ttft, itl, itl_max, tpot, e2e with a number and a
// unit (ms or s), share a number in (0, 1] or a percentage ("99%"). "" is no SLO.
// Errors: kUsage that names the item, what is wrong and what is accepted.
Result<Slo> parse_slo(std::string_view text);
// As parse_slo reads it; "" for none.
std::string slo_text(const Slo& slo);

// Whether one request keeps the bounds; with no bounds: whether it ended well.
bool meets(const RequestRecord& request, const Slo& slo);

// Which bounds a request breaks; when it did not end well, only that.
struct SloBreaks {
  bool not_ok = false, ttft = false, itl = false, tpot = false, e2e = false;
  bool any() const { return not_ok || ttft || itl || tpot || e2e; }
};
SloBreaks slo_breaks(const RequestRecord& request, const Slo& slo);

// Mean time per output token after the first, as vLLM's benchmark has it: from first to last output
// over tokens - 1. kNoTpot when there are fewer than two.
inline constexpr double kNoTpot = -1;
double tpot_ms(const RequestRecord& request);

}  // namespace weir::bench
