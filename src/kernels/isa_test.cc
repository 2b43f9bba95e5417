#include "kernels/isa.h"

#include <gtest/gtest.h>

namespace weir::kernels {
namespace {

os::CpuFeatures avx2_machine() {
  os::CpuFeatures f;
  f.avx2 = f.fma = f.f16c = true;
  return f;
}

os::CpuFeatures avx512_machine() {
  os::CpuFeatures f = avx2_machine();
  f.avx512f = f.avx512bw = f.avx512dq = f.avx512vl = f.avx512vnni = true;
  return f;
}

TEST(Isa, TakesTheBestThatTheMachineHas) {
  EXPECT_EQ(*choose_isa({}, ""), Isa::kScalar);
  EXPECT_EQ(*choose_isa(avx2_machine(), ""), Isa::kAvx2);
  EXPECT_EQ(*choose_isa(avx512_machine(), ""), Isa::kAvx512);
  os::CpuFeatures no_vnni = avx512_machine();
  no_vnni.avx512vnni = false;
  EXPECT_EQ(*choose_isa(no_vnni, ""), Isa::kAvx2);
  os::CpuFeatures no_f16c = avx2_machine();
  no_f16c.f16c = false;
  EXPECT_EQ(*choose_isa(no_f16c, ""), Isa::kScalar);
}

TEST(Isa, IsOverriddenByName) {
  EXPECT_EQ(*choose_isa(avx512_machine(), "scalar"), Isa::kScalar);
  EXPECT_EQ(*choose_isa(avx512_machine(), "avx2"), Isa::kAvx2);
  EXPECT_EQ(*choose_isa(avx512_machine(), "avx512"), Isa::kAvx512);
  const auto lacks = choose_isa(avx2_machine(), "avx512");
  ASSERT_FALSE(lacks.ok());
  EXPECT_EQ(lacks.error().message,
            "this machine lacks the instruction set avx512; it has: scalar, avx2");
  const auto unknown = choose_isa(avx2_machine(), "sse9");
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().code, ErrorCode::kUsage);
}

}  // namespace
}  // namespace weir::kernels
