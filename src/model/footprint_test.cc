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

}  // namespace
}  // namespace weir::model
