#include "ops/plan/layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ops/data/models.h"
#include "ops/plan/replica_trial.h"

namespace weir::ops {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const Accelerators& accelerators() {
  static const auto all = load_accelerators();
  return *all;
}

PlanRequest request(const char* model, const char* device, int devices) {
  static const auto models = built_in_models();
  PlanRequest r;
  for (const KnownModel& m : *models) {
    if (m.id == model) r.shape = *shape_of(m);
  }
  r.device = accelerators().find(device);
  EXPECT_NE(r.device, nullptr) << device;
  r.devices = devices;
  r.workload = {500, 2000, 200, 600, 2.0, 1.0, 0, 8192};
  return r;
}

TEST(Layout, HeadsAreSplitEvenly) {
  const PlanRequest r = request("llama-3.1-70b", "nvidia-h100-sxm", 3);
  EXPECT_THAT(tensor_splits(r.shape), ElementsAre(1, 2, 4, 8, 16, 32, 64));
  const Status refused = check_layout(r);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
  EXPECT_THAT(refused.error().message, HasSubstr("64 heads (8 of keys)"));
  EXPECT_THAT(refused.error().message, HasSubstr("over 1, 2, 4, 8, 16, 32, 64"));
  EXPECT_FALSE(make_plan(r).ok());
  // Six devices have 24 heads and 6 key heads each to split, four key heads none.
  ModelShape shape;
  shape.heads = 24;
  shape.kv_heads = 4;
  EXPECT_FALSE(splits_over(shape, 6));
  EXPECT_TRUE(splits_over(shape, 8));
  PlanRequest deep = request("llama-3.1-8b", "nvidia-h100-sxm", 1);
  deep.pipeline = 64;
  EXPECT_THAT(check_layout(deep).error().message, HasSubstr("32 layers"));
}

TEST(Layout, LinksJoinNoMoreThanTheirDevices) {
  const Accelerator& bridged = *accelerators().find("nvidia-h100-pcie");
  EXPECT_GT(link_between(bridged, 2).bytes, 100e9);
  EXPECT_EQ(link_between(bridged, 8).bytes, 64e9);  // 16 lanes of generation 5
  const auto eight = plan_device(request("llama-3.1-70b", "nvidia-h100-pcie", 8));
  ASSERT_TRUE(eight.ok()) << eight.error().message;
  EXPECT_EQ(eight->rates.link_bytes, 64e9);
  // Pairs of devices by bridge, handed on over PCIe.
  PlanRequest pairs = request("llama-3.1-70b", "nvidia-h100-pcie", 2);
  pairs.pipeline = 4;
  const auto handed = plan_device(pairs);
  ASSERT_TRUE(handed.ok());
  EXPECT_GT(handed->rates.link_bytes, 100e9);
  EXPECT_EQ(handed->rates.handed_bytes, 64e9);
}

TEST(Layout, WhatNothingJoinsIsNoReplica) {
  const auto plan = make_plan(request("llama-3.1-70b", "apple-m4-max", 8));
  ASSERT_FALSE(plan.ok());
  EXPECT_EQ(plan.error().code, ErrorCode::kUsage);
  EXPECT_THAT(plan.error().message, HasSubstr("nothing joins them"));
  EXPECT_THAT(make_plan(request("llama-3.1-70b", "nvidia-h20-96gb", 16)).error().message,
              HasSubstr("joins 8"));
  EXPECT_TRUE(check_layout(request("llama-3.1-70b", "apple-m4-max", 1)).ok());
}

}  // namespace
}  // namespace weir::ops
