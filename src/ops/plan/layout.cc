#include "ops/plan/layout.h"

#include <fmt/format.h>

#include <cmath>
#include <string>

namespace weir::ops {
namespace {

constexpr double kGiga = 1e9;
constexpr int kMostDevices = 1024;

}  // namespace

bool splits_over(const ModelShape& shape, int devices) {
  if (shape.heads > 0 && shape.heads % devices != 0) return false;
  if (shape.kv_rank > 0 || shape.kv_heads == 0) return true;
  return shape.kv_heads % devices == 0 || devices % shape.kv_heads == 0;
}

std::vector<int> tensor_splits(const ModelShape& shape) {
  std::vector<int> out;
  for (int n = 1; n <= kMostDevices && n <= shape.heads; ++n) {
    if (splits_over(shape, n)) out.push_back(n);
  }
  return out;
}

LinkRate link_between(const Accelerator& a, int devices) {
  if (a.interconnect && devices <= a.interconnect->domain.value)
    return {a.interconnect->gb_per_s.value * kGiga, a.interconnect->gb_per_s.verified};
  if (!a.pcie) return {};
  // GB/s of a lane and direction, after encoding: 2 in generation 4, doubling.
  return {a.pcie->lanes * std::pow(2.0, a.pcie->generation - 3) * kGiga, a.pcie->verified};
}

Status check_layout(const PlanRequest& request) {
  if (!splits_over(request.shape, request.devices)) {
    std::string able;
    for (const int n : tensor_splits(request.shape))
      able += fmt::format("{}{}", able.empty() ? "" : ", ", n);
    return make_error(ErrorCode::kUsage,
                      "{} devices: engines split {} heads ({} of keys) evenly, so over {}",
                      request.devices, request.shape.heads, request.shape.kv_heads, able);
  }
  const auto layers = static_cast<int64_t>(request.shape.layers.size());
  if (request.pipeline > layers) {
    return make_error(ErrorCode::kUsage, "--pipeline {}: the model has {} layers", request.pipeline,
                      layers);
  }
  const int all = request.devices * request.pipeline;
  const Accelerator& a = *request.device;
  if (all == 1 || link_between(a, all).bytes > 0) return {};
  const std::string known = a.interconnect ? fmt::format("{} joins {} and", a.interconnect->kind,
                                                         a.interconnect->domain.value)
                                           : std::string("it has no links of its own, and");
  return make_error(ErrorCode::kUsage,
                    "{} devices of {}: {} no PCIe of it is known, so nothing joins them; plan one "
                    "replica of fewer devices",
                    all, a.id, known);
}

}  // namespace weir::ops
