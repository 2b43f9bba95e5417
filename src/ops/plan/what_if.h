// "devices=4,weight-bits=8": a plan that differs from another in what is named.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ops/plan/plan.h"

namespace weir::ops {

// Bytes of one number of the KV cache. Error: kUsage with the types there are.
Result<double> kv_element_bytes(std::string_view type);

// Weights of so many bits: of about 8 they are FP8 and multiplied in it, of fewer integers that are
// expanded to 16 bits for it, until set_activations() says otherwise.
void set_weight_bits(ModelShape& shape, double bits);
// Error: kUsage with the types there are.
Status set_activations(ModelShape& shape, std::string_view type);

// The request with each KEY=VALUE of `changes` set. Errors: kUsage naming the key (with the nearest
// one), the value and its range.
Result<PlanRequest> what_if(PlanRequest request, std::string_view changes);
std::vector<std::string> what_if_keys();

}  // namespace weir::ops
