// Every cut and every flipped bit of a small file: never a crash, and never more memory than the
// file justifies. Run under AddressSanitizer and UndefinedBehaviorSanitizer this also finds reads
// outside the bytes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "gguf/count_allocations.h"
#include "gguf/file.h"
#include "gguf/test_bytes.h"
#include "gguf/writer.h"

namespace weir::gguf {
namespace {

// The smallest key (14 bytes in the file) costs a Metadata of 56 bytes and an index of 4, the
// smallest tensor (25 bytes) a Tensor of 80, its shape of 8 to 32 and two indices; some text is
// made for messages on the way. So no block is larger than 8 times the file, nor is the sum
// (messages that are freed at once included) larger than 64 times.
constexpr size_t kLargestPerByte = 8;
constexpr size_t kTotalPerByte = 64;
constexpr size_t kConstant = 4096;  // an error message quotes up to a few names

struct Sample {
  std::vector<std::byte> bytes;
  size_t header_bytes = 0;  // up to the first tensor's data
  size_t data_end = 0;      // behind the last tensor's data
};

Sample make_sample() {
  Writer w;
  w.set_string("general.architecture", "llama");
  w.set_uint("llama.block_count", 2);
  w.set_float("llama.eps", 1e-5f);
  w.set_bool("flag", true);
  w.set_uint64("u64", 5);
  w.set_strings("tokens", std::vector<std::string>{"a", "bc", ""});
  w.set_ints("types", std::vector<int32_t>{1, 2, 3});
  w.set_floats("scores", std::vector<float>{0.5f, -1.0f});
  w.set_uint("general.alignment", 32);
  const std::vector<std::byte> data(2 * 18, std::byte{0x5a});
  const uint64_t quantized[] = {32, 2};
  const uint64_t plain[] = {2, 2, 1, 2};
  w.add_tensor("blk.0.q", TensorType::kQ4_0, quantized, data);
  w.add_tensor("norm", TensorType::kF32, plain, std::span(data).first(32));
  Sample sample;
  sample.bytes = std::move(w.to_bytes()).value();
  const auto file = File::parse(sample.bytes);
  EXPECT_TRUE(file.ok());
  const std::byte* base = sample.bytes.data();
  sample.header_bytes = static_cast<size_t>(file->find_tensor("blk.0.q")->data.data() - base);
  const std::span<const std::byte> last = file->find_tensor("norm")->data;
  sample.data_end = static_cast<size_t>(last.data() - base) + last.size();
  return sample;
}

enum class Outcome { kRefused, kRead };

// Parses a copy that ends with its heap block, reads everything it gives, and checks what it
// allocated.
Outcome parse_hostile(std::span<const std::byte> bytes) {
  const ExactCopy copy(bytes);
  const std::string name = "m.gguf";
  reset_allocations();
  const auto file = File::parse(copy.bytes(), name);
  const Allocations used = allocations();
  EXPECT_LE(used.largest_bytes, kLargestPerByte * bytes.size() + kConstant);
  EXPECT_LE(used.total_bytes, kTotalPerByte * bytes.size() + kConstant);
  if (!file.ok()) {
    EXPECT_THAT(file.error().message, ::testing::HasSubstr(name));
    return Outcome::kRefused;
  }
  EXPECT_GT(touch(*file), 0U);
  return Outcome::kRead;
}

TEST(Mutation, TheHookCounts) {
  reset_allocations();
  const std::vector<char> large(12'345);
  const std::vector<char> small(100);
  const Allocations used = allocations();
  EXPECT_EQ(used.largest_bytes, 12'345U);
  EXPECT_EQ(used.total_bytes, 12'445U);
}

TEST(Mutation, EveryCutIsRefused) {
  const Sample sample = make_sample();
  ASSERT_EQ(parse_hostile(sample.bytes), Outcome::kRead);
  for (size_t size = 0; size < sample.data_end; ++size) {
    ASSERT_EQ(parse_hostile(std::span(sample.bytes).first(size)), Outcome::kRefused)
        << "cut at " << size;
  }
  // Only padding is missing then.
  EXPECT_EQ(parse_hostile(std::span(sample.bytes).first(sample.data_end)), Outcome::kRead);
}

TEST(Mutation, EveryFlippedBitOfTheHeaderIsSurvived) {
  Sample sample = make_sample();
  size_t refused = 0;
  for (size_t bit = 0; bit < sample.header_bytes * 8; ++bit) {
    const std::byte mask{static_cast<unsigned char>(1U << (bit % 8))};
    sample.bytes[bit / 8] ^= mask;
    refused += parse_hostile(sample.bytes) == Outcome::kRefused ? 1 : 0;
    if (::testing::Test::HasFailure()) FAIL() << "bit " << bit % 8 << " of byte " << bit / 8;
    sample.bytes[bit / 8] ^= mask;
  }
  // Flips in names and values stay unseen; those in counts, lengths, types and offsets do not.
  EXPECT_GT(refused, sample.header_bytes * 2);
}

TEST(Mutation, RandomBytesAreSurvived) {
  const Sample sample = make_sample();
  Rng rng(7);
  for (int round = 0; round < 20'000; ++round) {
    std::vector<std::byte> bytes = sample.bytes;
    const uint64_t changes = 1 + rng.below(4);
    for (uint64_t i = 0; i < changes; ++i) {
      // Small numbers and all ones are what counts and lengths are broken by.
      const uint64_t kind = rng.below(3);
      const auto value = static_cast<unsigned char>(kind == 0   ? rng.below(256)
                                                    : kind == 1 ? rng.below(16)
                                                                : 255);
      bytes[rng.below(sample.header_bytes)] = std::byte{value};
    }
    parse_hostile(bytes);
    if (::testing::Test::HasFailure()) FAIL() << "round " << round;
  }
}

TEST(Mutation, HugeCountsAllocateNothing) {
  const Sample sample = make_sample();
  for (const size_t field : {size_t{8}, size_t{16}}) {
    for (int shift = 0; shift < 64; ++shift) {
      std::vector<std::byte> bytes = sample.bytes;
      const uint64_t count = (uint64_t{1} << shift) + 20;
      std::memcpy(bytes.data() + field, &count, sizeof count);
      ASSERT_EQ(parse_hostile(bytes), Outcome::kRefused);
    }
  }
}

}  // namespace
}  // namespace weir::gguf
