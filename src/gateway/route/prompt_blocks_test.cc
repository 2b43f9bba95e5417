// Names of the blocks of a prompt.
#include "gateway/route/prompt_blocks.h"

#include <gtest/gtest.h>

#include <set>

#include "base/rng.h"

namespace weir::gateway {
namespace {

const BlockConfig kConfig{.key = {1, 2}};

std::string random_text(uint64_t seed, size_t bytes) {
  std::string s(bytes, ' ');
  for (size_t i = 0; i < bytes; ++i) s[i] = static_cast<char>('a' + random_u64(seed, 0, i) % 26);
  return s;
}

std::vector<PromptBlock> names(std::string_view tenant, std::string_view text,
                               const BlockConfig& config = kConfig) {
  PromptBlocks blocks(config, tenant);
  blocks.add("user", text);
  return {blocks.blocks().begin(), blocks.blocks().end()};
}

size_t shared(std::span<const PromptBlock> a, std::span<const PromptBlock> b) {
  size_t n = 0;
  while (n < std::min(a.size(), b.size()) && a[n] == b[n]) ++n;
  return n;
}

TEST(PromptBlocksTest, SharedBytesAreSharedBlocksAndNoMore) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const std::string common = random_text(seed, random_u64(seed, 1, 0) % 20'000);
    const auto a = names("t", common + "A" + random_text(seed + 1'000, 9'000));
    const auto b = names("t", common + "B" + random_text(seed + 2'000, 9'000));
    const size_t n = shared(a, b);
    const size_t common_bytes = common.size() + 6;  // before it: marker, "user", marker
    size_t end = 0;
    size_t whole = 0;
    for (; block_end(end, 256) <= common_bytes; ++whole) end = block_end(end, 256);
    EXPECT_EQ(n, whole) << "seed " << seed;
    EXPECT_GE(static_cast<double>(end), 0.875 * static_cast<double>(common_bytes) - 256);
    for (size_t i = n; i < std::min(a.size(), b.size()); ++i) ASSERT_NE(a[i].name, b[i].name);
  }
}

TEST(PromptBlocksTest, TheCutOfAStreamDoesNotMatter) {
  const std::string text = random_text(7, 5'000);
  PromptBlocks whole(kConfig, "t");
  whole.add("system", text);
  whole.add("user", text);
  // The same bytes, as the blocks see them, in one message.
  PromptBlocks joined(kConfig, "t");
  joined.add("system", text + "\x1euser\x1f" + text);
  EXPECT_EQ(shared(whole.blocks(), joined.blocks()), whole.blocks().size());
  EXPECT_EQ(whole.bytes(), joined.bytes());
}

TEST(PromptBlocksTest, TenantsAndKeysDoNotMeetUnlessTold) {
  const std::string text = random_text(3, 3'000);
  const auto a = names("a", text);
  ASSERT_FALSE(a.empty());
  EXPECT_EQ(shared(a, names("b", text)), 0U);
  BlockConfig other = kConfig;
  other.key = {1, 3};
  EXPECT_EQ(shared(a, names("a", text, other)), 0U);
  other = kConfig;
  other.share_tenants = true;
  EXPECT_EQ(names("a", text, other), names("b", text, other));
}

// A block's name tells what stands before it: the same bytes later are another block.
TEST(PromptBlocksTest, NamesAreOfTheWholeChain) {
  const auto a = names("t", std::string(4'096, 'x'));
  std::set<uint64_t> distinct;
  for (const PromptBlock& b : a) distinct.insert(b.name);
  EXPECT_EQ(distinct.size(), a.size());
  EXPECT_EQ(a.size(), 16U);
}

TEST(PromptBlocksTest, AMegabyteIsEightyNamesAndTheRestIsNotRead) {
  const auto a = names("t", std::string((size_t{3} << 20), 'x'));
  EXPECT_EQ(a.size(), 80U);
  EXPECT_EQ(a.back().end_tokens, PromptBlocks::kMaxBytes / 4);
  PromptBlocks blocks(kConfig, "t");
  blocks.add("user", std::string((size_t{3} << 20), 'x'));
  blocks.add("user", "more");
  EXPECT_EQ(blocks.bytes(), PromptBlocks::kMaxBytes);
  EXPECT_EQ(blocks.blocks().size(), 80U);
}

TEST(PromptBlocksTest, ShortPromptsHaveNoBlock) {
  EXPECT_TRUE(names("t", "hello").empty());
  EXPECT_TRUE(names("t", "").empty());
  EXPECT_EQ(names("t", std::string(250, 'x')).size(), 1U);  // 6 + 250
  EXPECT_EQ(names("t", std::string(249, 'x')).size(), 0U);
}

}  // namespace
}  // namespace weir::gateway
