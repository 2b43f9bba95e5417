// What the weights of gateway.yaml make of a model's traffic. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gateway/config.h"

namespace weir::gateway {

struct ReleaseShare {
  std::string release;
  int64_t weight = 0;  // of its targets together
  int percent = 0;     // of the requests that are split
};

// The lowest tier that takes traffic; INT32_MAX: there is none.
int32_t lowest_tier(const ModelConfig& model);
// Of the releases of the lowest tier, in the file's order: whole per cents in proportion to the
// weights, the largest remainders rounded up. They sum to 100; empty: other models answer.
std::vector<ReleaseShare> release_shares(const ModelConfig& model);
// "r41 95 %, r42 5 %"; "" where there is nothing to split.
std::string shares_text(const ModelConfig& model);

}  // namespace weir::gateway
