#include "bench/speed_prediction.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/packed_matrix.h"
#include "os/cpu.h"

namespace weir::bench {
namespace {

using gguf::TensorType;

TEST(SpeedPrediction, CountsWhatATokenMeets) {
  const std::vector<ModelTensor> tensors{
      {"token_embd.weight", TensorType::kQ8_0, {64, 1000}},
      {"output.weight", TensorType::kQ8_0, {64, 1000}},
      {"output_norm.weight", TensorType::kF32, {64}},
      {"blk.0.attn_q.weight", TensorType::kQ4_0, {64, 32}},
      {"blk.0.attn_norm.weight", TensorType::kF32, {64}},
      {"blk.0.ffn_up_exps.weight", TensorType::kQ4_0, {64, 48, 8}},
  };
  const auto isa = kernels::Isa::kScalar;
  const auto work = work_of(tensors, 8, 2, isa);
  ASSERT_TRUE(work.ok());
  ASSERT_EQ(work->size(), 2U);
  const TypeWork& q4 = (*work)[0];
  EXPECT_EQ(q4.type, TensorType::kQ4_0);
  EXPECT_EQ(q4.layer_weights, 64 * (32 + 2 * 48));
  EXPECT_EQ(q4.bytes,
            static_cast<double>(kernels::packed_bytes(kernels::PanelFormat::kQ4, 32, 64, isa) +
                                2 * kernels::packed_bytes(kernels::PanelFormat::kQ4, 48, 64, isa)));
  EXPECT_EQ(q4.rows, 48U);
  const TypeWork& q8 = (*work)[1];
  EXPECT_EQ(q8.layer_weights, 0);
  EXPECT_EQ(q8.bytes,
            static_cast<double>(kernels::packed_bytes(kernels::PanelFormat::kQ8, 1000, 64, isa)));
  // Without an output matrix the embedding is it.
  auto tied = tensors;
  tied.erase(tied.begin() + 1);
  EXPECT_EQ((*work_of(tied, 8, 2, isa))[1].bytes, q8.bytes);
  EXPECT_EQ((*work_of(tensors, 0, 0, isa))[0].layer_weights, 64 * (32 + 8 * 48));
}

TEST(SpeedPrediction, NamesATypeWithoutAKernel) {
  const std::vector<ModelTensor> tensors{{"blk.0.x.weight", TensorType::kI32, {64, 2}}};
  const auto work = work_of(tensors, 0, 0, kernels::Isa::kScalar);
  ASSERT_FALSE(work.ok());
  EXPECT_THAT(work.error().message, ::testing::HasSubstr("blk.0.x.weight"));
}

TEST(SpeedPrediction, DividesBytesAndWeightsByWhatWasMeasured) {
  const SpeedPrediction p = predict_speed({{TensorType::kQ4_0, 100, 1000, 10, 10},
                                           {TensorType::kF16, 50, 3000, 10, 5},
                                           {TensorType::kQ8_0, 0, 6000, 0, 0}},
                                          {200, 25, 0}, 50'000);
  EXPECT_DOUBLE_EQ(p.bytes_per_token, 10'000);
  EXPECT_DOUBLE_EQ(p.decode_tokens_per_s, 5);
  EXPECT_DOUBLE_EQ(p.prefill_tokens_per_s, 1 / (0.5 + 2));
  EXPECT_EQ(predict_speed({}, {}, 1).decode_tokens_per_s, 0);
}

TEST(SpeedPrediction, MeasuresEveryPlainType) {
  kernels::ThreadPool pool(1);
  const SystemClock clock;
  const kernels::Isa isa = *kernels::choose_isa(os::detect_cpu(), "");
  for (const TensorType type : {TensorType::kF32, TensorType::kF16, TensorType::kBF16,
                                TensorType::kQ4_0, TensorType::kQ8_0, TensorType::kQ4_K}) {
    const auto rate = measure_matmul({type, 1, 1, 32, 256}, isa, pool, clock);
    ASSERT_TRUE(rate.ok()) << rate.error().message;
    EXPECT_GT(*rate, 1e6);
    EXPECT_LT(*rate, 1e14);
  }
}

}  // namespace
}  // namespace weir::bench
