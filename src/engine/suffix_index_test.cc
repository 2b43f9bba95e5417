#include "engine/suffix_index.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/rng.h"

namespace weir::engine {
namespace {

// Length of the longest suffix of `text` that ends somewhere before its end.
int32_t longest_by_force(std::span<const int32_t> text) {
  size_t best = 0;
  for (size_t end = 1; end < text.size(); ++end) {
    size_t n = 0;
    while (n < end && text[end - 1 - n] == text[text.size() - 1 - n]) ++n;
    best = std::max(best, n);
  }
  return static_cast<int32_t>(best);
}

// The match is an occurrence of the suffix, before its last one.
void check_match(const SuffixIndex& index, std::span<const int32_t> text) {
  const SuffixIndex::Match m = index.match();
  ASSERT_TRUE(std::equal(index.text().begin(), index.text().end(), text.begin(), text.end()));
  ASSERT_EQ(m.length, longest_by_force(text)) << "of " << text.size();
  if (m.length == 0) return;
  ASSERT_LT(m.position, static_cast<int32_t>(text.size()));
  ASSERT_GE(m.position, m.length);
  for (int32_t i = 1; i <= m.length; ++i) {
    ASSERT_EQ(text[static_cast<size_t>(m.position - i)], text[text.size() - static_cast<size_t>(i)])
        << "at " << text.size();
  }
}

TEST(SuffixIndex, FindsTheLongestRepeatedSuffixLikeBruteForce) {
  Rng rng(3);
  for (int round = 0; round < 400; ++round) {
    SuffixIndex index(1 << 20);
    std::vector<int32_t> text;
    const uint64_t vocab = 1 + rng.below(round % 3 == 0 ? 2 : 12);
    const size_t n = 1 + rng.below(160);
    while (text.size() < n) {
      if (text.size() > 4 && rng.below(4) == 0) {  // quote a piece of what stands there
        const size_t from = rng.below(text.size());
        const size_t count = rng.below(30);
        for (size_t i = 0; i < count; ++i) {
          text.push_back(text[from + i]);
          index.push(text.back());
          check_match(index, text);
        }
      } else {
        text.push_back(static_cast<int32_t>(rng.below(vocab)));
        index.push(text.back());
        check_match(index, text);
      }
      if (HasFatalFailure()) return;
    }
  }
}

TEST(SuffixIndex, AContinuationIsTheOneSeenLast) {
  SuffixIndex index(1000);
  for (const int32_t t : {1, 2, 3, 70, 1, 2, 3, 71, 1, 2, 3, 72, 1, 2, 3}) index.push(t);
  const SuffixIndex::Match m = index.match();
  EXPECT_EQ(m.length, 3);
  EXPECT_EQ(index.text()[static_cast<size_t>(m.position)], 72);
}

TEST(SuffixIndex, ForgetsTheOlderHalfAtItsBoundAndStaysRight) {
  Rng rng(5);
  SuffixIndex index(64);
  std::vector<int32_t> text;
  int32_t forgotten = 0;
  for (int i = 0; i < 1000; ++i) {
    text.push_back(static_cast<int32_t>(rng.below(3)));
    const int32_t dropped = index.push(text.back());
    text.erase(text.begin(), text.begin() + dropped);
    forgotten += dropped;
    ASSERT_LE(index.text().size(), 64U);
    check_match(index, text);
    if (HasFatalFailure()) return;
  }
  EXPECT_EQ(forgotten + static_cast<int32_t>(text.size()), 1000);
}

TEST(SuffixIndex, MemoryATokenIsBounded) {
  Rng rng(7);
  for (const uint64_t vocab : {2U, 40U, 50'000U}) {
    SuffixIndex index(1 << 17);
    for (int i = 0; i < (1 << 17); ++i) index.push(static_cast<int32_t>(rng.below(vocab)));
    EXPECT_LE(index.bytes(), SuffixIndex::kBytesPerToken << 17) << vocab;
  }
  // The worst case of a suffix tree: as many inner nodes as tokens.
  SuffixIndex index(1 << 17);
  for (int i = 0; i < (1 << 17) - 1; ++i) index.push(1);
  index.push(2);
  EXPECT_LE(index.bytes(), SuffixIndex::kBytesPerToken << 17);
}

}  // namespace
}  // namespace weir::engine
