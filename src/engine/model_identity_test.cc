#include "engine/model_identity.h"

#include <gtest/gtest.h>

#include <set>
#include <utility>
#include <vector>

#include "gguf/writer.h"

namespace weir::engine {
namespace {

// Of a file with one tensor of `count` values, all 0 but that at `changed` (-1: none).
std::pair<uint64_t, uint64_t> identity(size_t count, int64_t changed) {
  std::vector<float> values(count);
  if (changed >= 0) values[static_cast<size_t>(changed)] = 1;
  gguf::Writer w;
  w.set_string("general.architecture", "llama");
  const std::vector<uint64_t> shape = {count};
  w.add_tensor("t.weight", gguf::TensorType::kF32, shape, std::as_bytes(std::span(values)));
  const auto bytes = w.to_bytes();
  EXPECT_TRUE(bytes.ok());
  const auto file = gguf::File::parse(*bytes);
  EXPECT_TRUE(file.ok());
  const Hash128 hash = model_identity(*file);
  return {hash.low, hash.high};
}

TEST(ModelIdentity, LooksAtAllOfASmallTensor) {
  std::set<std::pair<uint64_t, uint64_t>> seen;
  for (int64_t changed = -1; changed < 4096; changed += 255) seen.insert(identity(4096, changed));
  EXPECT_EQ(seen.size(), 17U);
}

// A change of more than a sixteenth of a tensor lies in a sample wherever it begins.
TEST(ModelIdentity, LooksAtALargeTensorFromItsBeginningToItsEnd) {
  constexpr int64_t kCount = 1 << 20;  // 4 MiB
  const auto plain = identity(kCount, -1);
  EXPECT_EQ(identity(kCount, -1), plain);
  for (const int64_t changed : {int64_t{0}, int64_t{255}, kCount - 256, kCount - 1})
    EXPECT_NE(identity(kCount, changed), plain) << changed;
  constexpr int64_t kLast = (kCount - 256) * 4;  // the byte where the last sample begins
  for (int64_t i = 0; i < 16; ++i) EXPECT_NE(identity(kCount, kLast * i / 15 / 4 + 1), plain) << i;
}

}  // namespace
}  // namespace weir::engine
