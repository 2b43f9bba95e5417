#include "kv/prefix_tree.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "base/rng.h"

namespace weir::kv {
namespace {

constexpr int32_t kPage = 4;
const Hash128 kRoot{1, 1};
const Hash128 kOther{1, 2};

std::vector<int32_t> text(const std::string& letters) { return {letters.begin(), letters.end()}; }

class PrefixTreeTest : public ::testing::Test {
 protected:
  // As a sequence does that computes `tokens` and ends.
  void leave(const std::vector<int32_t>& tokens, int64_t now_ns = 0, const Hash128& root = kRoot) {
    std::vector<PageId> pages;
    const auto need = (static_cast<int32_t>(tokens.size()) + kPage - 1) / kPage;
    ASSERT_TRUE(pool.allocate(need, pages));
    PrefixCursor cursor = tree.start();
    tree.insert_all(root, tokens, pages, cursor, now_ns);
    pool.release_all(pages);
    check();
  }
  void check() {
    const Status tree_ok = tree.check();
    ASSERT_TRUE(tree_ok.ok()) << tree_ok.error().message;
    const Status pool_ok = pool.check();
    ASSERT_TRUE(pool_ok.ok()) << pool_ok.error().message;
  }
  int32_t found(const std::string& letters, const Hash128& root = kRoot) const {
    return tree.find(root, text(letters)).tokens;
  }

  PagePool pool{16};
  PrefixTree tree{pool, kPage, HashKey{7, 8}};
};

TEST_F(PrefixTreeTest, FindsToTheToken) {
  EXPECT_EQ(found("abcd"), 0);
  leave(text("abcdefghij"));
  EXPECT_EQ(tree.pages(), 3);
  EXPECT_EQ(found("abcdefghijkl"), 10);
  EXPECT_EQ(found("abcdefghix"), 9);
  EXPECT_EQ(found("abcdefgh"), 8);
  EXPECT_EQ(found("abcdexx"), 5);
  EXPECT_EQ(found("abx"), 2);
  EXPECT_EQ(found("xbcd"), 0);
  const PrefixMatch m = tree.find(kRoot, text("abcdefgxyz"));
  EXPECT_EQ(m.nodes.size(), 1U);
  EXPECT_EQ(m.tokens, 7);
  EXPECT_NE(m.copy_from, kNoNode);
  EXPECT_EQ(tree.find(kRoot, text("abcdefgh")).copy_from, kNoNode);
}

TEST_F(PrefixTreeTest, RootsDoNotMeet) {
  leave(text("abcdefgh"));
  EXPECT_EQ(found("abcdefgh", kOther), 0);
  leave(text("abcdx"), 0, kOther);
  EXPECT_EQ(found("abcdefgh", kOther), 4);
  EXPECT_EQ(found("abcdx"), 4);
}

TEST_F(PrefixTreeTest, AnEndOfTextGrowsAndIsNotKeptTwice) {
  leave(text("abcdef"));
  leave(text("abcde"));  // there already
  EXPECT_EQ(tree.pages(), 2);
  leave(text("abcdefg"));
  leave(text("abcdefgh"));
  EXPECT_EQ(tree.pages(), 2);
  leave(text("abcdeX"));
  EXPECT_EQ(tree.pages(), 3);
  EXPECT_EQ(found("abcdefgh"), 8);
  EXPECT_EQ(found("abcdeXz"), 6);
  EXPECT_EQ(pool.used_pages(), 3);
}

TEST_F(PrefixTreeTest, WhoComputesTheSameGetsTheTreesPages) {
  leave(text("abcd"));
  std::vector<PageId> pages;
  ASSERT_TRUE(pool.allocate(2, pages));
  const std::vector<PageId> own = pages;
  PrefixCursor cursor = tree.start();
  tree.insert(kRoot, text("abcdefgh"), pages, cursor, 1);
  EXPECT_NE(pages[0], own[0]);
  EXPECT_EQ(pages[1], own[1]);
  EXPECT_EQ(cursor.pages, 2);
  EXPECT_EQ(pool.used_pages(), 2);
  EXPECT_EQ(pool.references(pages[0]), 2);
  EXPECT_EQ(pool.idle_pages(), 0);
  EXPECT_FALSE(tree.evict_one());
  check();
  pool.release_all(pages);
  EXPECT_EQ(pool.idle_pages(), 2);
}

TEST_F(PrefixTreeTest, EvictsTheOldestLeafFirstAndParentsAfterChildren) {
  leave(text("aaaabbbb"), 1);
  leave(text("aaaacccc"), 2);
  leave(text("dddd"), 3);
  ASSERT_TRUE(tree.evict_one());
  EXPECT_EQ(found("dddd"), 0) << "later in time, but cheaper to compute again: no prefix before it";
  ASSERT_TRUE(tree.evict_one());
  EXPECT_EQ(found("aaaabbbb"), 4);
  EXPECT_EQ(found("aaaacccc"), 8);
  ASSERT_TRUE(tree.evict_one());
  EXPECT_EQ(found("aaaacccc"), 4);
  ASSERT_TRUE(tree.evict_one());
  EXPECT_EQ(tree.pages(), 0);
  EXPECT_FALSE(tree.evict_one());
  EXPECT_EQ(tree.evictions(), 4U);
  check();
}

TEST_F(PrefixTreeTest, WhatIsUsedStaysLongerButNotForEver) {
  leave(text("aaaa"), 1);
  leave(text("bbbb"), 2);
  for (int i = 0; i < 1000; ++i) tree.touch(tree.find(kRoot, text("aaaa")), 3);
  ASSERT_TRUE(tree.evict_one());
  EXPECT_EQ(found("aaaa"), 4);
  int rounds = 0;
  for (; found("aaaa") == 4; ++rounds) {
    ASSERT_LT(rounds, 40);
    leave(text(std::string(4, static_cast<char>('A' + rounds))), 4 + rounds);
    ASSERT_TRUE(tree.evict_one());
    check();
  }
  EXPECT_GT(rounds, 4);
}

TEST_F(PrefixTreeTest, WhatIsInUseIsNotEvicted) {
  leave(text("aaaabbbb"), 1);
  const PrefixMatch m = tree.find(kRoot, text("aaaabbbb"));
  std::vector<PageId> pages;
  for (const NodeId n : m.nodes) {
    pages.push_back(tree.page(n));
    pool.reference(tree.page(n));
  }
  leave(text("aaaacccc"), 2);
  EXPECT_EQ(pool.available_pages(), 14);
  ASSERT_TRUE(tree.evict_one());
  EXPECT_FALSE(tree.evict_one());
  EXPECT_EQ(found("aaaabbbb"), 8);
  check();
  pool.release_all(pages);
  EXPECT_EQ(pool.available_pages(), 16);
}

TEST_F(PrefixTreeTest, NothingFromBeforeAClearComesBack) {
  std::vector<PageId> pages;
  ASSERT_TRUE(pool.allocate(2, pages));
  PrefixCursor cursor = tree.start();
  tree.insert(kRoot, text("abcd"), pages, cursor, 1);
  tree.clear();
  EXPECT_EQ(found("abcd"), 0);
  tree.insert_all(kRoot, text("abcdefg"), pages, cursor, 2);
  EXPECT_EQ(found("abcdefg"), 0);
  check();
  pool.release_all(pages);
  EXPECT_EQ(pool.free_pages(), 16);
}

// Against the plain statement: the longest common prefix with anything that was left and not
// evicted.
TEST_F(PrefixTreeTest, RandomTextsAreFoundAsFarAsTheyAreThere) {
  Rng rng(5);
  std::vector<std::vector<int32_t>> left;
  for (int i = 0; i < 3000; ++i) {
    std::vector<int32_t> t(1 + rng.below(14));
    for (int32_t& token : t) token = static_cast<int32_t>(rng.below(3));
    size_t best = 0;
    for (const auto& other : left) {
      const size_t n = std::min(t.size(), other.size());
      const auto differ =
          std::mismatch(t.begin(), t.begin() + static_cast<ptrdiff_t>(n), other.begin());
      best = std::max(best, static_cast<size_t>(differ.first - t.begin()));
    }
    ASSERT_EQ(static_cast<size_t>(tree.find(kRoot, t).tokens), best) << i;
    while (pool.free_pages() < 4) {
      tree.clear();
      left.clear();
    }
    leave(t, i);
    left.push_back(t);
    if (HasFatalFailure()) return;
  }
}

TEST_F(PrefixTreeTest, EvictionAtRandomKeepsCounts) {
  Rng rng(6);
  for (int i = 0; i < 3000; ++i) {
    std::vector<int32_t> t(1 + rng.below(14));
    for (int32_t& token : t) token = static_cast<int32_t>(rng.below(3));
    while (pool.free_pages() < 4) ASSERT_TRUE(tree.evict_one());
    leave(t, i, rng.below(2) == 0 ? kRoot : kOther);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace weir::kv
