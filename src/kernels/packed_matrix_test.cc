#include "kernels/packed_matrix.h"

#include <gtest/gtest.h>

#include "kernels/test_util.h"

namespace weir::kernels {
namespace {

constexpr ErrorCode kFine = ErrorCode::kCancelled;  // no pack() error

using gguf::TensorType;

TEST(PackedMatrix, KeepsTheWidthOfTheFile) {
  // 4.5 and 5 bits a weight when rows fill their panels.
  EXPECT_EQ(packed_bytes(PanelFormat::kQ4, 576, 1024, Isa::kAvx512), 576U * 1024 * 18 / 32);
  EXPECT_EQ(packed_bytes(PanelFormat::kQ4Min, 576, 1024, Isa::kAvx512), 576U * 1024 * 20 / 32);
  EXPECT_EQ(packed_bytes(PanelFormat::kQ6K, 576, 1024, Isa::kAvx512), 576U * 1024 * 210 / 256);
  EXPECT_EQ(packed_bytes(PanelFormat::kQ4K, 576, 1024, Isa::kAvx512), 576U * 1024 * 148 / 256);
  EXPECT_EQ(packed_bytes(PanelFormat::kQ8, 576, 1024, Isa::kAvx2), 576U * 1024 * 34 / 32);
  EXPECT_EQ(packed_bytes(PanelFormat::kF16, 17, 10, Isa::kAvx512), 2U * 16 * 10 * 2);
}

TEST(PackedMatrix, TypesWithoutPanelsOfTheirOwnAreReencoded) {
  std::string names;
  for (uint32_t id = 0; id < 64; ++id) {
    const auto type = static_cast<TensorType>(id);
    if (is_reencoded(type)) names += gguf::type_name(type) + " ";
  }
  EXPECT_EQ(names, "IQ2_XXS IQ2_XS IQ3_XXS IQ1_S IQ3_S IQ2_S IQ1_M TQ1_0 TQ2_0 NVFP4 ");
}

TEST(PackedMatrix, RefusesWhatDoesNotFit) {
  ThreadPool pool(1);
  const auto bytes = test::random_matrix(TensorType::kQ4_0, 4, 64, 1);
  const auto code = [&](TensorType type, std::span<const std::byte> data, size_t rows,
                        size_t cols) {
    const auto m = PackedMatrix::pack(type, data, rows, cols, Isa::kScalar, pool);
    return m.ok() ? kFine : m.error().code;
  };
  EXPECT_EQ(code(TensorType::kQ4_0, bytes, 4, 64), kFine);
  EXPECT_EQ(code(TensorType::kQ4_0, bytes, 4, 65), ErrorCode::kCorrupt);
  EXPECT_EQ(code(TensorType::kQ4_0, bytes, 5, 64), ErrorCode::kCorrupt);
  EXPECT_EQ(code(TensorType::kQ4_0, bytes, 0, 64), ErrorCode::kCorrupt);
  EXPECT_EQ(code(TensorType::kQ4_0, bytes, 4, 0), ErrorCode::kCorrupt);
  EXPECT_EQ(code(TensorType::kQ4_0, bytes, size_t{1} << 60, 64), ErrorCode::kCorrupt);
  EXPECT_EQ(code(TensorType::kQ4_0, std::span(bytes).subspan(1), 4, 64), ErrorCode::kCorrupt);
  EXPECT_EQ(code(TensorType::kI32, bytes, 4, 8), ErrorCode::kUnsupported);
  EXPECT_EQ(code(static_cast<TensorType>(777), bytes, 4, 64), ErrorCode::kUnsupported);
  auto infinite = test::random_matrix(TensorType::kIQ4_XS, 1, 256, 2);
  test::put_half(infinite, 0, 65504.0F);
  EXPECT_EQ(code(TensorType::kIQ4_XS, infinite, 1, 256), ErrorCode::kCorrupt)
      << "scales beyond f16";
}

TEST(PackedMatrix, IsTheSameWithAnyNumberOfThreads) {
  const auto bytes = test::random_matrix(TensorType::kQ4_K, 100, 512, 3);
  ThreadPool one(1);
  ThreadPool three(3);
  const PackedMatrix a = test::packed(TensorType::kQ4_K, bytes, 100, 512, Isa::kAvx512, one);
  const PackedMatrix b = test::packed(TensorType::kQ4_K, bytes, 100, 512, Isa::kAvx512, three);
  ASSERT_EQ(a.bytes(), b.bytes());
  EXPECT_EQ(std::memcmp(a.panel(0), b.panel(0), a.bytes()), 0);
}

}  // namespace
}  // namespace weir::kernels
