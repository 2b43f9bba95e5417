// The streams of the counter-based generator that a workload draws from: one for each kind of draw
// and index, so that a draw depends on nothing but the seed and what it is for.
#pragma once

#include <cstdint>

namespace weir::bench {

enum class Draw : uint64_t {
  kArrival = 1,
  kPrompt,  // lengths of prompts, by conversation
  kOutput,  // lengths of outputs, by conversation
  kGroup,   // which shared prefix, by conversation
  kThink,   // pauses, by conversation
  kText,    // words of a piece of a prompt, by its id
};

// Indices stay below 2^56.
inline uint64_t stream_of(Draw draw, uint64_t index) {
  return (static_cast<uint64_t>(draw) << 56) | index;
}

}  // namespace weir::bench
