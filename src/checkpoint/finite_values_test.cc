#include "checkpoint/finite_values.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace weir::checkpoint {
namespace {

// `count` elements, zero but for `bits` at `at`; one byte off every alignment.
std::string error_of(Dtype dtype, size_t bytes, size_t count, size_t at, uint64_t bits) {
  std::vector<std::byte> data(count * bytes + 1);
  std::memcpy(data.data() + 1 + at * bytes, &bits, bytes);
  kernels::ThreadPool pool(3);
  const SafeTensor t{"model.norm.weight", dtype, {count}, std::span(data).subspan(1)};
  const Status status = check_finite_values(t, pool);
  return status.ok() ? "" : status.error().message;
}

TEST(FiniteValues, TheElementIsNamed) {
  constexpr size_t kCount = 200'001;
  for (const auto& [dtype, bytes, infinity, nan, largest] :
       std::vector<std::tuple<Dtype, size_t, uint64_t, uint64_t, uint64_t>>{
           {Dtype::kF64, 8, uint64_t{0x7FF} << 52, ~uint64_t{0}, (uint64_t{0x7FF} << 52) - 1},
           {Dtype::kF32, 4, 0xFF800000, 0x7FC00000, 0x7F7FFFFF},
           {Dtype::kF16, 2, 0x7C00, 0x7E01, 0x7BFF},
           {Dtype::kBF16, 2, 0xFF80, 0x7FC0, 0x7F7F}}) {
    for (const size_t at : {size_t{0}, size_t{65'536}, kCount - 1}) {
      const std::string named = "tensor model.norm.weight: element " + std::to_string(at) + " is";
      EXPECT_NE(error_of(dtype, bytes, kCount, at, infinity).find(named), std::string::npos);
      EXPECT_NE(error_of(dtype, bytes, kCount, at, nan).find(named), std::string::npos);
      EXPECT_EQ(error_of(dtype, bytes, kCount, at, largest), "");
    }
  }
  EXPECT_EQ(error_of(Dtype::kU16, 2, kCount, 5, 0x7C00), "");
}

}  // namespace
}  // namespace weir::checkpoint
