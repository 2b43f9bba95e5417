// How devices may share a model: which numbers of them split its heads, and what joins them.
#pragma once

#include <vector>

#include "base/result.h"
#include "ops/plan/plan.h"

namespace weir::ops {

// Whether engines split its layers over so many devices: heads evenly, key heads evenly or each on
// as many devices as the others.
bool splits_over(const ModelShape& shape, int devices);
// All of them up to the number of heads.
std::vector<int> tensor_splits(const ModelShape& shape);

// Bytes a second of one device and direction between so many: its own links as far as they join
// devices, PCIe beyond; 0: nothing is known that joins them. verified: the figure was read.
struct LinkRate {
  double bytes = 0;
  bool verified = true;
};
LinkRate link_between(const Accelerator& accelerator, int devices);

// Errors: kUsage for a number of devices that no engine splits the model over, naming those that
// do; for more groups of layers than layers; for devices that nothing joins.
Status check_layout(const PlanRequest& request);

}  // namespace weir::ops
