// What one step feeds the model: a mixed batch of chunks, each a run of consecutive tokens of one
// sequence.
#pragma once

#include <cstdint>
#include <span>

namespace weir::model {

// tokens: [n] ids at absolute positions position .. position + n - 1. Keys and values before
// `position` are already in the pages. The spans are borrowed for the call.
struct Chunk {
  std::span<const int32_t> tokens;
  int32_t position = 0;
  std::span<const int32_t> pages;  // page ids of the sequence, in order; cover position + n tokens
  int32_t logit_rows = 0;          // how many trailing tokens want logits: 0, 1 or up to n
  int32_t hidden_rows = 0;         // how many want their hidden state instead; one of the two is 0
};

}  // namespace weir::model
