#include "kv/page_tier.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/rng.h"
#include "os/temp_dir.h"

namespace weir::kv {
namespace {

constexpr size_t kPageBytes = 64;

std::vector<std::byte> bytes_of(uint64_t seed) {
  std::vector<std::byte> bytes(kPageBytes);
  Rng rng(seed);
  for (std::byte& b : bytes) b = static_cast<std::byte>(rng.below(256));
  return bytes;
}

class PageTierTest : public ::testing::TestWithParam<bool> {
 protected:
  void make(uint64_t budget_bytes) {
    auto made = GetParam() ? PageTier::in_file(dir_.file("tier"), budget_bytes, kPageBytes)
                           : PageTier::in_memory(budget_bytes, kPageBytes);
    ASSERT_TRUE(made.ok());
    tier_ = std::move(*made);
  }
  void put(uint64_t i) {
    tier_->put({i, 0}, std::vector<int32_t>{static_cast<int32_t>(i)}, bytes_of(i));
  }
  bool get(uint64_t i) {
    std::vector<std::byte> bytes(kPageBytes);
    const bool found = tier_->get({i, 0}, std::vector<int32_t>{static_cast<int32_t>(i)}, bytes);
    if (found) {
      EXPECT_EQ(bytes, bytes_of(i));
    }
    return found;
  }
  os::TempDir dir_;
  std::unique_ptr<PageTier> tier_;
};

TEST_P(PageTierTest, KeepsWhatFitsAndForgetsTheLeastRecentlyUsed) {
  make(3 * kPageBytes + 10);
  for (uint64_t i = 0; i < 3; ++i) put(i);
  EXPECT_TRUE(get(0));
  put(3);
  EXPECT_FALSE(get(1));
  EXPECT_TRUE(get(0) && get(2) && get(3));
  put(0);  // again: only newer
  put(4);
  EXPECT_FALSE(get(2));
  EXPECT_EQ(tier_->pages(), 3);
  EXPECT_TRUE(std::filesystem::is_empty(dir_.path()));
  tier_->clear();
  EXPECT_FALSE(get(0));
  put(9);
  EXPECT_TRUE(get(9));
}

TEST_P(PageTierTest, OtherTokensUnderTheSameHashAreNotThere) {
  make(kPageBytes);
  put(1);
  std::vector<std::byte> bytes(kPageBytes);
  EXPECT_FALSE(tier_->get({1, 0}, std::vector<int32_t>{2}, bytes));
  EXPECT_TRUE(get(1));
}

INSTANTIATE_TEST_SUITE_P(Places, PageTierTest, ::testing::Bool());

TEST(PageTier, SaysWhatIsWrongWithItsPlace) {
  EXPECT_EQ(PageTier::in_memory(10, 64).error().code, ErrorCode::kUsage);
  const auto no_folder = PageTier::in_file("/nonexistent/tier", 1000, 64);
  ASSERT_FALSE(no_folder.ok());
  EXPECT_EQ(no_folder.error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace weir::kv
