#include "kv/page_pool.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/rng.h"
#include "kv/kv_storage.h"

namespace weir::kv {
namespace {

TEST(PagePool, AllocatesAllOrNothing) {
  PagePool pool(4);
  std::vector<PageId> a, b;
  ASSERT_TRUE(pool.allocate(3, a));
  EXPECT_FALSE(pool.allocate(2, b));
  EXPECT_TRUE(b.empty());
  EXPECT_EQ(pool.free_pages(), 1);
  pool.release_all(a);
  EXPECT_TRUE(a.empty());
  EXPECT_EQ(pool.free_pages(), 4);
}

TEST(PagePool, ASharedPageIsFreedByItsLastOwner) {
  PagePool pool(2);
  std::vector<PageId> a;
  ASSERT_TRUE(pool.allocate(1, a));
  pool.reference(a[0]);
  pool.release(a[0]);
  EXPECT_EQ(pool.free_pages(), 1);
  pool.release(a[0]);
  EXPECT_EQ(pool.free_pages(), 2);
}

TEST(PagePool, CountsHoldOverRandomUse) {
  PagePool pool(50);
  Rng rng(9);
  std::vector<std::vector<PageId>> owners(10);
  for (int i = 0; i < 20000; ++i) {
    std::vector<PageId>& o = owners[rng.below(owners.size())];
    if (rng.below(2) == 0) {
      (void)pool.allocate(static_cast<int32_t>(rng.below(8)), o);
    } else {
      pool.release_all(o);
    }
    size_t held = 0;
    for (const auto& pages : owners) held += pages.size();
    ASSERT_EQ(held, static_cast<size_t>(pool.used_pages()));
    ASSERT_EQ(pool.free_pages() + pool.used_pages(), pool.total_pages());
    if (i % 100 == 0) {
      ASSERT_TRUE(pool.check().ok());
    }
  }
}

TEST(KvStorage, GivesEveryLayerItsOwnZeroedPools) {
  const kernels::KvLayout layout{32, 2, 16};
  auto storage = KvStorage::allocate(layout, 3, 5);
  ASSERT_TRUE(storage.ok());
  const auto pools = (*storage)->pools();
  ASSERT_EQ(pools.size(), 3U);
  const size_t elements = layout.page_elements() * 5;
  EXPECT_EQ((*storage)->bytes(), elements * 2 * 2 * 3);
  uint16_t mark = 1;
  for (const kernels::KvPools& p : pools) {
    for (uint16_t* at : {p.k, p.v}) {
      EXPECT_EQ(at[0], 0);
      EXPECT_EQ(at[elements - 1], 0);
      std::fill_n(at, elements, mark++);
    }
  }
  mark = 1;
  for (const kernels::KvPools& p : pools) {
    EXPECT_EQ(p.k[elements - 1], mark++);
    EXPECT_EQ(p.v[0], mark++);
  }
}

TEST(KvStorage, RefusesWhatNoMachineHas) {
  const auto storage = KvStorage::allocate({64, 1024, 512}, 1000, 1 << 30);
  ASSERT_FALSE(storage.ok());
  EXPECT_EQ(storage.error().code, ErrorCode::kOutOfMemory);
}

}  // namespace
}  // namespace weir::kv
