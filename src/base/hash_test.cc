#include "base/hash.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace weir {
namespace {

std::string hex(const Hash128& hash) {
  std::string text;
  for (const std::byte b : hash.bytes()) text += fmt::format("{:02x}", static_cast<unsigned>(b));
  return text;
}

// The first vectors of the reference implementation (vectors_sip128): key 00..0f, input 00..n-1.
TEST(Hash, GivesTheVectorsOfTheReference) {
  const HashKey key{0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL};
  std::vector<std::byte> input;
  EXPECT_EQ(hex(keyed_hash(key, input)), "a3817f04ba25a8e66df67214c7550293");
  input.push_back(std::byte{0});
  EXPECT_EQ(hex(keyed_hash(key, input)), "da87c1d86b99af44347659119b22fc45");
}

TEST(Hash, DependsOnKeyLengthAndEveryByte) {
  std::vector<std::byte> a(37, std::byte{1});
  const Hash128 h = keyed_hash({1, 2}, a);
  EXPECT_NE(h, keyed_hash({1, 3}, a));
  EXPECT_NE(h, keyed_hash({2, 2}, a));
  for (std::byte& b : a) {
    b = std::byte{2};
    EXPECT_NE(h, keyed_hash({1, 2}, a));
    b = std::byte{1};
  }
  a.push_back(std::byte{0});
  EXPECT_NE(h, keyed_hash({1, 2}, a));
}

TEST(Hash, BytesGoBothWays) {
  const Hash128 h = keyed_hash({1, 2}, {});
  EXPECT_EQ(Hash128::from_bytes(h.bytes()), h);
}

}  // namespace
}  // namespace weir
