// The invariants of docs/ARCHITECTURE.md that the engine's state shows between two steps. Tests and
// the simulator check them after every step. "Same bits" (1) and "progress" (5) are statements
// about runs; the simulator checks them over whole schedules.
#pragma once

#include <memory>
#include <span>

#include "base/result.h"
#include "engine/engine.h"
#include "engine/sequence.h"
#include "kv/page_pool.h"

namespace weir::engine {

// 2 kPagesConserved: free + referenced = total, every page has as many references as owners, which
// are sequences and the prefix tree, and the page that a sequence writes next is its own.
// 3 kStepCommitted: no sequence is half way: computed < tokens, its pages are those that `computed`
// tokens need, no events wait to be delivered.
// 4 kBounded: queue, running sequences and windows are within their limits.
// 5 kNothingRemains: a finished sequence and a request without unfinished choices are gone.
// Error: kInternal with the name of the broken invariant first.
Status check_state(const kv::PagePool& pool, std::span<const std::unique_ptr<Sequence>> sequences,
                   std::span<const std::unique_ptr<ActiveRequest>> requests,
                   const EngineLimits& limits, int32_t page_tokens, int32_t max_context_tokens);

}  // namespace weir::engine
