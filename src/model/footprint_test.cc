#include "model/footprint.h"

#include <gtest/gtest.h>

#include "model/testing.h"

namespace weir::model {
namespace {

uint64_t loaded(const gguf::File& file, const char* name) {
  const gguf::Tensor* tensor = file.find_tensor(name);
  return tensor == nullptr ? 0 : loaded_bytes(file, *tensor, kernels::Isa::kAvx512).value();
}

TEST(LoadedBytes, AnEmbeddingIsPackedOnlyWhereItIsAlsoTheHead) {
  for (const bool tied : {true, false}) {
    TinySpec spec;
    spec.tied = tied;
    const std::vector<std::byte> bytes = TinyModel(spec).to_gguf();
    const auto file = gguf::File::parse(bytes).value();
    const uint64_t head = uint64_t{80} * 64 * sizeof(float);
    EXPECT_EQ(loaded(file, "token_embd.weight"), tied ? head : 0);
    EXPECT_EQ(loaded(file, "output.weight"), tied ? 0 : head);
    EXPECT_EQ(loaded(file, "output_norm.weight"), 64 * sizeof(float));
  }
}

TEST(EstimateFootprint, RefusesAKvCacheBeyond64Bits) {
  const std::vector<std::byte> bytes = TinyModel({}).to_gguf();
  const auto file = gguf::File::parse(bytes).value();
  const Config config = read_config(file).value();
  const uint64_t token_bytes = config.kv_bytes_per_token({});
  const auto estimate = [&](uint64_t kv_tokens) {
    return estimate_footprint(file, config, kernels::Isa::kScalar, kv_tokens, {}, 16);
  };
  EXPECT_EQ(estimate(1000).value().kv_bytes, 1000 * token_bytes);
  for (const uint64_t tokens : {UINT64_MAX / token_bytes + 2, UINT64_MAX}) {
    const auto refused = estimate(tokens);
    ASSERT_FALSE(refused.ok()) << tokens;
    EXPECT_EQ(refused.error().code, ErrorCode::kOutOfMemory);
  }
}

}  // namespace
}  // namespace weir::model
