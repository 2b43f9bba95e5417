// The prefix index against a slow one, its bounds, and what caches do to prefixes.
#include "gateway/route/prefix_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <list>

#include "base/rng.h"
#include "gateway/route/mix.h"

namespace weir::gateway {
namespace {

// Prompts of a tree: block i of a prompt is one of three after what stands before it.
std::vector<PromptBlock> prompt(Rng& rng, size_t max_blocks) {
  std::vector<PromptBlock> out(1 + rng.below(max_blocks));
  uint64_t name = 1;
  uint32_t end = 0;
  for (PromptBlock& b : out) {
    name = mix64(name * 4 + rng.below(3));
    end += 64;
    b = {name, end};
  }
  return out;
}

std::vector<uint32_t> match(PrefixIndex& index, std::span<const PromptBlock> blocks, size_t n) {
  std::vector<uint32_t> out(n, 77);
  index.match(blocks, out);
  return out;
}

struct SlowIndex {
  struct Item {
    uint32_t endpoint;
    uint64_t name;
    int64_t tokens;
  };
  std::list<Item> items;  // youngest first
  std::vector<int64_t> capacity;
  size_t max_pairs;

  bool has(uint32_t endpoint, uint64_t name) const {
    return std::any_of(items.begin(), items.end(),
                       [&](const Item& i) { return i.endpoint == endpoint && i.name == name; });
  }
  void remove(uint32_t endpoint, uint64_t name) {
    items.remove_if([&](const Item& i) { return i.endpoint == endpoint && i.name == name; });
  }
  int64_t used(uint32_t endpoint) const {
    int64_t sum = 0;
    for (const Item& i : items) sum += i.endpoint == endpoint ? i.tokens : 0;
    return sum;
  }
  void trim(uint32_t endpoint) {
    while (capacity[endpoint] > 0 && used(endpoint) > capacity[endpoint]) {
      const auto oldest = std::find_if(items.rbegin(), items.rend(),
                                       [&](const Item& i) { return i.endpoint == endpoint; });
      items.erase(std::next(oldest).base());
    }
  }
  void use(uint32_t endpoint, uint64_t name, int64_t tokens) {
    if (!has(endpoint, name) && items.size() == max_pairs) items.pop_back();
    remove(endpoint, name);
    items.push_front({endpoint, name, tokens});
    trim(endpoint);
  }
};

TEST(PrefixIndexTest, DoesWhatASlowOneDoes) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Rng rng(seed);
    const auto n = static_cast<uint32_t>(1 + rng.below(seed % 2 == 0 ? 12 : 130));
    const size_t max_pairs = 10 + rng.below(200);
    PrefixIndex index({.endpoints = n, .max_pairs = max_pairs});
    SlowIndex slow{{}, std::vector<int64_t>(n, 0), max_pairs};
    for (int step = 0; step < 150; ++step) {
      const auto e = static_cast<uint32_t>(rng.below(n));
      const auto p = prompt(rng, 6);
      switch (rng.below(8)) {
        case 0: {
          const int64_t tokens = rng.below(4) == 0 ? 0 : static_cast<int64_t>(rng.below(1'000));
          slow.capacity[e] = tokens;
          slow.trim(e);
          index.set_capacity(e, tokens);
          break;
        }
        case 1:
          slow.remove(e, p.back().name);
          index.removed(e, p.back().name);
          break;
        case 2:
          slow.use(e, p.back().name, 64);
          index.stored(e, p.back().name, 64);
          break;
        case 3:
          if (rng.below(4) != 0) break;
          slow.items.remove_if([&](const auto& i) { return i.endpoint == e; });
          index.cleared(e);
          break;
        default:
          for (size_t i = p.size(); i-- > 0;) slow.use(e, p[i].name, 64);
          index.touch(e, p);
      }
      ASSERT_EQ(index.pairs(), slow.items.size()) << "seed " << seed << " step " << step;
      const auto asked = prompt(rng, 6);
      const auto got = match(index, asked, n);
      for (uint32_t i = 0; i < n; ++i) {
        uint32_t want = 0;
        for (const PromptBlock& b : asked) {
          if (!slow.has(i, b.name)) break;
          want = b.end_tokens;
        }
        ASSERT_EQ(got[i], want) << "seed " << seed << " step " << step << " endpoint " << i;
      }
      ASSERT_EQ(index.used_tokens(e), slow.used(e)) << "seed " << seed << " step " << step;
    }
  }
}

// What does not fit loses its end, not its beginning, and the oldest prompt goes first.
TEST(PrefixIndexTest, ForgetsTheEndsOfOldPrompts) {
  Rng rng(1);
  PrefixIndex index({.endpoints = 1, .max_pairs = 1'000});
  index.set_capacity(0, 64 * 6);
  std::vector<PromptBlock> a;
  std::vector<PromptBlock> b;
  for (uint32_t i = 0; i < 4; ++i) {
    a.push_back({mix64(100 + i), 64 * (i + 1)});
    b.push_back({mix64(200 + i), 64 * (i + 1)});
  }
  index.touch(0, a);
  index.touch(0, b);
  EXPECT_EQ(match(index, a, 1)[0], 128U);
  EXPECT_EQ(match(index, b, 1)[0], 256U);
  index.touch(0, std::span(a).first(1));
  index.touch(0, std::vector<PromptBlock>{{mix64(7), 64 * 3}});
  EXPECT_EQ(match(index, a, 1)[0], 64U);   // its second block was the oldest
  EXPECT_EQ(match(index, b, 1)[0], 128U);  // then two of this one
  // A prompt longer than the cache.
  std::vector<PromptBlock> c;
  for (uint32_t i = 0; i < 20; ++i) c.push_back({mix64(300 + i), 64 * (i + 1)});
  index.touch(0, c);
  EXPECT_EQ(match(index, c, 1)[0], 64U * 6);
}

TEST(PrefixIndexTest, ARestartForgetsOneEndpointOnly) {
  Rng rng(2);
  const auto p = prompt(rng, 5);
  PrefixIndex index({.endpoints = 70, .max_pairs = 10'000});
  for (uint32_t e = 0; e < 70; ++e) index.touch(e, p);
  index.cleared(67);
  const auto got = match(index, p, 70);
  for (uint32_t e = 0; e < 70; ++e) EXPECT_EQ(got[e], e == 67 ? 0 : p.back().end_tokens) << e;
  EXPECT_EQ(index.pairs(), 69 * p.size());
  for (uint32_t e = 0; e < 70; ++e) index.cleared(e);
  EXPECT_EQ(index.pairs(), 0U);
  EXPECT_EQ(match(index, p, 70), std::vector<uint32_t>(70, 0));
}

// 1,000 endpoints and 10,000 tenants, each with a prompt of its own after one that all share:
// memory stays within what the header says, however long it goes on.
TEST(PrefixIndexTest, MemoryIsBounded) {
  const PrefixIndexConfig config{.endpoints = 1'000, .max_pairs = 20'000};
  PrefixIndex index(config);
  Rng rng(3);
  size_t most = 0;
  for (int request = 0; request < 20'000; ++request) {
    const uint64_t tenant = rng.below(10'000);
    std::vector<PromptBlock> p;
    for (uint32_t i = 0; i < 8; ++i)
      p.push_back({mix64(i < 3 ? i : tenant * 100 + i), 64 * (i + 1)});
    index.touch(static_cast<uint32_t>(rng.below(1'000)), p);
    most = std::max(most, index.bytes());
  }
  EXPECT_EQ(index.pairs(), config.max_pairs);
  EXPECT_LE(most, PrefixIndex::max_bytes(config));
  EXPECT_LE(PrefixIndex::max_bytes(config), config.max_pairs * 180);
}

// Blocks that many endpoints hold, and then few again, over and over.
TEST(PrefixIndexTest, SetsOfEndpointsAreUsedAgain) {
  const PrefixIndexConfig config{.endpoints = 640, .max_pairs = 100};
  PrefixIndex index(config);
  for (uint32_t i = 0; i < 2'000; ++i) {
    const std::vector<PromptBlock> p = {{mix64(i), 64}};
    for (uint32_t e = 0; e < 8; ++e) index.touch(e * 70, p);
    for (uint32_t e = 0; e < 8; ++e) index.removed(e * 70, p[0].name);
  }
  EXPECT_EQ(index.pairs(), 0U);
  EXPECT_LE(index.bytes(), PrefixIndex::max_bytes(config));
}

TEST(PrefixIndexTest, NothingIsKnownAtFirst) {
  Rng rng(4);
  PrefixIndex index({.endpoints = 3, .max_pairs = 1});
  EXPECT_EQ(match(index, prompt(rng, 4), 3), std::vector<uint32_t>(3, 0));
  EXPECT_EQ(match(index, {}, 3), std::vector<uint32_t>(3, 0));
  index.removed(1, 99);
  index.touch(1, prompt(rng, 4));
  EXPECT_EQ(index.pairs(), 1U);
}

// One that grows knows what one knows that was large from the start.
TEST(PrefixIndexTest, GrowsWithoutForgetting) {
  Rng rng(5);
  constexpr uint32_t kMost = 300;
  PrefixIndex small({.endpoints = 0, .max_pairs = 500});
  PrefixIndex large({.endpoints = kMost, .max_pairs = 500});
  uint32_t endpoints = 0;
  for (int step = 0; step < 3'000; ++step) {
    if (step % 10 == 0) {
      endpoints = std::min(kMost, endpoints + (rng.below(4) == 0 ? 40 : 1));
      small.grow(endpoints);
    }
    const auto blocks = prompt(rng, 5);
    const auto e = static_cast<uint32_t>(rng.below(endpoints));
    small.touch(e, blocks);
    large.touch(e, blocks);
    if (step % 97 == 0) {
      small.cleared(e);
      large.cleared(e);
    }
    const auto asked = prompt(rng, 5);
    auto all = match(large, asked, kMost);
    all.resize(endpoints);
    ASSERT_EQ(match(small, asked, endpoints), all) << step;
  }
  EXPECT_GT(endpoints, 128U);
}

}  // namespace
}  // namespace weir::gateway
