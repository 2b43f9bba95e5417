// Where a client's request is between its arrival and its end. Pure.
#pragma once

#include <cstdint>

namespace weir::gateway {

enum class VisitStage : uint8_t {
  kOpening,         // read and looked up; nobody is asked yet
  kWaitsForKey,     // for the end of another one with its Idempotency-Key
  kWaitsForFlight,  // for the answer of another one that asks the same
  kEmbedding,       // for what its question means
  kWaitsForTurn,    // it is to ask, behind what is being done
  kAsking,          // the quotas, then the fleet
  kStreaming,       // events of the answer go out
  kOver,
};

// Whether the one may come right after the other. From anywhere it may be over, once.
constexpr bool may_follow(VisitStage before, VisitStage next) {
  using enum VisitStage;
  if (before == kOver) return false;
  switch (next) {
    case kOpening:  // again: who it waited for has no answer for it
      return before == kWaitsForKey || before == kEmbedding;
    case kWaitsForKey:
    case kWaitsForFlight:
    case kEmbedding:
      return before == kOpening;
    case kWaitsForTurn:
      return before == kWaitsForFlight;
    case kAsking:
      return before == kOpening || before == kWaitsForFlight || before == kWaitsForTurn;
    case kStreaming:
      return before == kAsking;
    case kOver:
      return true;
  }
  return false;
}

}  // namespace weir::gateway
