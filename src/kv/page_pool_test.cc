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
  using kernels::KvType;
  for (const KvType k : kernels::kKvTypes) {
    for (const KvType v : kernels::kKvTypes) {
      const kernels::KvLayout layout{32, 2, 64, 64, {k, v}};
      auto storage = KvStorage::allocate(layout, 3, 5);
      ASSERT_TRUE(storage.ok());
      const auto pools = (*storage)->pools();
      ASSERT_EQ(pools.size(), 3U);
      const size_t k_bytes = layout.k_page_bytes();
      const size_t v_bytes = layout.v_page_bytes();
      EXPECT_EQ((*storage)->bytes(), (k_bytes + v_bytes) * 3 * 5);
      const auto for_each_page = [&](const auto& check) {
        uint8_t mark = 1;
        for (const kernels::KvPools& p : pools) {
          for (size_t i = 0; i < 5; ++i) {
            check(std::span(p.k + i * p.k_stride(layout), k_bytes), std::byte{mark++});
            check(std::span(p.v + i * p.v_stride(layout), v_bytes), std::byte{mark++});
          }
        }
      };
      for_each_page([](std::span<std::byte> page, std::byte mark) {
        EXPECT_EQ(page.front(), std::byte{0});
        EXPECT_EQ(page.back(), std::byte{0});
        std::fill(page.begin(), page.end(), mark);
      });
      for_each_page([](std::span<std::byte> page, std::byte mark) {
        EXPECT_EQ(page.front(), mark);
        EXPECT_EQ(page.back(), mark);
      });
    }
  }
}

TEST(KvStorage, KeepsAPageOfAllLayersTogether) {
  const kernels::KvLayout layout{32, 2, 64, {}};
  const size_t page = (layout.k_page_bytes() + layout.v_page_bytes()) * 3;
  const auto storage = KvStorage::allocate(layout, 3, 5);
  ASSERT_TRUE(storage.ok());
  const std::byte* base = (*storage)->pools().front().k;
  for (const kernels::KvPools& p : (*storage)->pools()) {
    EXPECT_EQ(p.k_stride(layout), page);
    EXPECT_EQ(p.v_stride(layout), page);
    EXPECT_LE(static_cast<size_t>(p.v - base) + layout.v_page_bytes(), page);
  }
}

TEST(KvStorage, HoldsNothingAfterItWasCleared) {
  const kernels::KvLayout layout{32, 2, 64, {}};
  const auto storage = KvStorage::allocate(layout, 3, 5);
  ASSERT_TRUE(storage.ok());
  const kernels::KvPools& last = (*storage)->pools().back();
  last.v[4 * last.v_stride(layout) + layout.v_page_bytes() - 1] = std::byte{7};
  (*storage)->pools().front().k[0] = std::byte{7};
  (*storage)->clear();
  EXPECT_EQ((*storage)->pools().front().k[0], std::byte{0});
  EXPECT_EQ(last.v[4 * last.v_stride(layout) + layout.v_page_bytes() - 1], std::byte{0});
}

TEST(KvStorage, TakesTheBytesOfItsTypes) {
  using kernels::KvType;
  const auto bytes = [](KvType k, KvType v) {
    return KvStorage::allocate({32, 2, 64, 64, {k, v}}, 3, 5).value()->bytes();
  };
  const uint64_t values = 32 * 2 * 64 * 3 * 5;  // of K, and of V
  EXPECT_EQ(bytes(KvType::kF16, KvType::kF16), values * 4);
  EXPECT_EQ(bytes(KvType::kBF16, KvType::kF16), values * 4);
  EXPECT_EQ(bytes(KvType::kQ8_0, KvType::kF16), values * 34 / 32 + values * 2);
  EXPECT_EQ(bytes(KvType::kQ8_0, KvType::kQ8_0), values * 68 / 32);
  EXPECT_EQ(bytes(KvType::kQ8_0, KvType::kQ4_0), values * 52 / 32);
  EXPECT_EQ(bytes(KvType::kQ4_0, KvType::kQ4_0), values * 36 / 32);
}

TEST(KvStorage, RefusesWhatNoMachineHas) {
  const auto storage = KvStorage::allocate({64, 1024, 512}, 1000, 1 << 30);
  ASSERT_FALSE(storage.ok());
  EXPECT_EQ(storage.error().code, ErrorCode::kOutOfMemory);
}

}  // namespace
}  // namespace weir::kv
