#include "kv/cache_events.h"

#include <gtest/gtest.h>

namespace weir::kv {
namespace {

CachedPage page(uint64_t hash, int32_t position, std::span<const int32_t> tokens) {
  return {{0, 0}, {hash - 1, 0}, {hash, 0}, tokens, position, 0};
}

TEST(CacheEvents, BatchesAreNumberedWithoutGaps) {
  CacheEvents events;
  const std::vector<int32_t> tokens{1, 2};
  events.publish(1);  // nothing gathered: no batch
  events.on_stored(page(5, 0, tokens));
  events.on_stored(page(6, 2, tokens));
  events.publish(2);
  events.on_evicted(page(6, 2, tokens));
  events.on_cleared();
  events.publish(3);
  EXPECT_EQ(events.next_sequence(), 2U);
  const auto got = events.read(0, 10);
  ASSERT_EQ(got.size(), 2U);
  EXPECT_EQ(got[0]->sequence, 0U);
  EXPECT_EQ(got[0]->unix_s, 2);
  ASSERT_EQ(got[0]->events.size(), 2U);
  EXPECT_FALSE(got[0]->events[0].parent.has_value());
  EXPECT_EQ(got[0]->events[1].parent, (Hash128{5, 0}));
  EXPECT_EQ(got[0]->events[1].tokens, tokens);
  EXPECT_EQ(got[1]->events[0].kind, CacheEvent::Kind::kRemoved);
  EXPECT_EQ(got[1]->events[1].kind, CacheEvent::Kind::kCleared);
  EXPECT_TRUE(events.read(2, 10).empty());
  EXPECT_TRUE(events.read(99, 10).empty());
  EXPECT_EQ(events.read(0, 1).size(), 1U);
}

TEST(CacheEvents, WhoIsSlowSeesAGap) {
  CacheEvents events(4);
  const std::vector<int32_t> tokens{1, 2};
  for (uint64_t i = 1; i <= 10; ++i) {
    events.on_stored(page(i, 0, tokens));
    events.publish(0);
  }
  const auto got = events.read(2, 100);
  ASSERT_EQ(got.size(), 4U);
  EXPECT_EQ(got.front()->sequence, 6U);
  for (uint64_t i = 1; i <= 9; ++i) events.on_stored(page(i, 0, tokens));
  events.publish(0);  // larger than the ring: kept alone
  EXPECT_EQ(events.read(0, 100).size(), 1U);
}

}  // namespace
}  // namespace weir::kv
