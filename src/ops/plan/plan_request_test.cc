#include "ops/plan/plan_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ops/data/models.h"
#include "ops/plan/replica_trial.h"

namespace weir::ops {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

PlanRequest request(const char* device) {
  static const auto models = built_in_models();
  static const auto accelerators = load_accelerators();
  PlanRequest r;
  for (const KnownModel& m : *models) {
    if (m.id == "llama-3.1-8b") r.shape = *shape_of(m);
  }
  r.device = accelerators->find(device);
  EXPECT_NE(r.device, nullptr);
  return r;
}

Intake stack() {
  Intake i;
  for (const auto& [path, value] :
       {std::pair("stack.tensor_parallel", "4"), std::pair("stack.kv_dtype", "fp8"),
        std::pair("stack.max_running", "64"), std::pair("stack.max_batched_tokens", "4096"),
        std::pair("stack.prefix_cache", "false"), std::pair("stack.engine", "vllm"),
        std::pair("model.precision", "int4"), std::pair("hardware.accelerators_per_node", "8"),
        std::pair("hardware.nodes", "2")}) {
    EXPECT_TRUE(i.set_text(path, value, Origin::kGiven, "").ok()) << path;
  }
  return i;
}

TEST(PlanRequest, TheStackAnswersWhatNoFlagDoes) {
  PlanRequest r = request("nvidia-h100-sxm");
  ASSERT_TRUE(take_from_intake(stack(), {}, {}, r).ok());
  EXPECT_EQ(r.devices, 4);
  EXPECT_EQ(r.kv_type, "fp8");
  EXPECT_EQ(r.kv_element_bytes, 1);
  EXPECT_EQ(r.max_running, 64);
  EXPECT_EQ(r.step_tokens, 4096);
  EXPECT_FALSE(r.prefix_cache);
  EXPECT_EQ(r.shape.precision, "int4");
  EXPECT_EQ(r.shape.bits_per_weight, 4.5);
  EXPECT_EQ(r.engine, "vllm");
  EXPECT_EQ(r.machine_devices, 16);
  EXPECT_THAT(r.from_intake, Contains("4 devices (stack.tensor_parallel)"));
  EXPECT_THAT(r.from_intake, Contains("KV cache in fp8 (stack.kv_dtype)"));
}

TEST(PlanRequest, FlagsAndModelFilesComeFirst) {
  PlanRequest r = request("nvidia-h100-sxm");
  r.devices = 2;
  const PlanGiven all{true, true, true, true, true, true, true};
  Intake i = stack();
  i.erase("stack.prefix_cache");
  ASSERT_TRUE(take_from_intake(i, all, {}, r).ok());
  EXPECT_EQ(r.devices, 2);
  EXPECT_EQ(r.max_running, 256);
  EXPECT_THAT(r.from_intake, IsEmpty());
  // A file says its own precision; another model or accelerator than the intake's has none there.
  PlanRequest file = request("nvidia-h100-sxm");
  ASSERT_TRUE(take_from_intake(i, {}, {.own_model = true, .published_model = false}, file).ok());
  EXPECT_EQ(file.shape.bits_per_weight, 16);
  PlanRequest other = request("nvidia-h100-sxm");
  ASSERT_TRUE(take_from_intake(i, {}, {.own_model = false, .own_accelerator = false}, other).ok());
  EXPECT_EQ(other.shape.bits_per_weight, 16);
  EXPECT_EQ(other.machine_devices, 0);
}

// An edge box with 8.5 GB, whatever the board is sold with.
TEST(PlanRequest, MeasuredMemoryBeatsThePublished) {
  Intake i;
  ASSERT_TRUE(i.set_text("hardware.ram_gb", "8.5", Origin::kMeasured, "/proc/meminfo").ok());
  PlanRequest pi = request("raspberry-pi-5");
  ASSERT_TRUE(take_from_intake(i, {}, {}, pi).ok());
  EXPECT_EQ(pi.own_memory_gb, 8.5);
  EXPECT_EQ(plan_device(pi)->memory_gb, 8.5);
  PlanRequest gpu = request("nvidia-h100-sxm");  // whose memory is not the machine's
  ASSERT_TRUE(take_from_intake(i, {}, {}, gpu).ok());
  EXPECT_EQ(gpu.own_memory_gb, 0);
}

}  // namespace
}  // namespace weir::ops
