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

// Weights of so many bits, and the type they are multiplied in.
void set_weight_bits(ModelShape& shape, double bits);

// The request with each KEY=VALUE of `changes` set. Errors: kUsage naming the key (with the nearest
// one), the value and its range.
Result<PlanRequest> what_if(PlanRequest request, std::string_view changes);
std::vector<std::string> what_if_keys();

}  // namespace weir::ops
