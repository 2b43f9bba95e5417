#include "base/rng.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

// Known answers of Random123's philox4x32-10 (kat_vectors of the SC 2011 release).
TEST(Philox, MatchesKnownAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (Philox4x32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (Philox4x32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Philox4x32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Rng, UnitStaysInRangeAndBelowIsBounded) {
  Rng rng(7);
  double sum = 0;
  for (int i = 0; i < 100000; ++i) {
    const double u = rng.unit();
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    sum += u;
    ASSERT_LT(rng.below(13), 13u);
  }
  EXPECT_NEAR(sum / 100000, 0.5, 0.01);
}

TEST(Rng, ADrawDependsOnlyOnItsCoordinates) {
  Rng rng(42, 3);
  rng.next();
  rng.next();
  EXPECT_EQ(rng.next(), random_u64(42, 3, 2));
  EXPECT_NE(random_u64(42, 3, 2), random_u64(42, 4, 2));
}

}  // namespace
}  // namespace weir
