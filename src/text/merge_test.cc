#include "text/merge.h"

#include <gtest/gtest.h>

#include <map>
#include <utility>

#include "base/rng.h"

namespace weir::text {
namespace {

using Table = std::map<std::pair<int32_t, int32_t>, Merge>;

Merge find(const Table& table, int32_t left, int32_t right) {
  const auto it = table.find({left, right});
  return it == table.end() ? Merge{} : it->second;
}

// The definition: again and again the best pair, the leftmost of equals.
std::vector<int32_t> merge_plainly(std::vector<int32_t> symbols, const Table& table) {
  while (true) {
    Merge best;
    size_t at = 0;
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      const Merge m = find(table, symbols[i], symbols[i + 1]);
      if (m.priority < best.priority) {
        best = m;
        at = i;
      }
    }
    if (best.priority == Merge::kNever) return symbols;
    symbols[at] = best.symbol;
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
}

// Few symbols and few priorities, so that ties, chains and stale entries are common.
TEST(Merge, EqualsItsDefinition) {
  Rng rng(21);
  Merger merger;
  size_t merged = 0;
  for (int round = 0; round < 3000; ++round) {
    Table table;
    for (uint64_t n = rng.below(40); n > 0; --n) {
      const auto left = static_cast<int32_t>(rng.below(8)),
                 right = static_cast<int32_t>(rng.below(8));
      table[{left, right}] = {static_cast<uint32_t>(rng.below(6)),
                              static_cast<int32_t>(rng.below(8))};
    }
    const uint64_t length = rng.below(3) == 0 ? rng.below(200) : rng.below(40);
    std::vector<int32_t> symbols;
    auto& ours = merger.symbols();
    ours.clear();
    for (uint32_t i = 0; i < length; ++i) {
      symbols.push_back(static_cast<int32_t>(rng.below(8)));
      ours.push_back({symbols.back(), i, i + 1});
    }
    merger.merge([&](const Merger::Symbol& a, const Merger::Symbol& b) {
      EXPECT_EQ(a.end, b.begin);
      return find(table, a.symbol, b.symbol);
    });
    std::vector<int32_t> got;
    uint32_t end = 0;
    for (const Merger::Symbol& s : ours) {
      EXPECT_EQ(s.begin, end);
      end = s.end;
      got.push_back(s.symbol);
    }
    ASSERT_EQ(end, length);
    ASSERT_EQ(got, merge_plainly(symbols, table)) << "round " << round;
    merged += symbols.size() - got.size();
  }
  EXPECT_GT(merged, 10000u);
}

}  // namespace
}  // namespace weir::text
