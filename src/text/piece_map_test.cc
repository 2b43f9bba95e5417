#include "text/piece_map.h"

#include <gtest/gtest.h>

#include <map>

namespace weir::text {
namespace {

TEST(PieceList, KeepsPiecesApart) {
  PieceList list;
  list.push_back("");
  list.push_back("ab");
  list.open() += "c";
  list.open() += "d";
  list.finish();
  list.push_back("");
  ASSERT_EQ(list.size(), 4U);
  EXPECT_EQ(list[0], "");
  EXPECT_EQ(list[1], "ab");
  EXPECT_EQ(list[2], "cd");
  EXPECT_EQ(list[3], "");
}

// Pieces of every length around the steps of the hash, equal but for one byte.
TEST(PieceMap, FindsWhatWasInsertedAndNothingElse) {
  PieceList list;
  PieceMap map;  // grows
  const auto text_of = [&](int32_t i) { return list[static_cast<size_t>(i)]; };
  std::map<std::string, int32_t> all;
  for (size_t length = 0; length < 40; ++length) {
    for (size_t place = 0; place <= length; ++place) {
      std::string piece(length, 'x');
      if (place < length) piece[place] = 'y';
      const auto id = static_cast<int32_t>(all.size());
      list.push_back(piece);
      EXPECT_EQ(map.find(piece, text_of), PieceMap::kNone) << piece;
      EXPECT_TRUE(map.insert(piece, id, text_of)) << piece;
      all.emplace(piece, id);
    }
  }
  EXPECT_EQ(map.size(), all.size());
  EXPECT_EQ(map.longest(), 39U);
  for (const auto& [piece, id] : all) {
    EXPECT_EQ(map.find(piece, text_of), id) << piece;
    EXPECT_FALSE(map.insert(piece, 0, text_of)) << piece;
    EXPECT_EQ(map.find(piece + "z", text_of), PieceMap::kNone) << piece;
  }
}

}  // namespace
}  // namespace weir::text
