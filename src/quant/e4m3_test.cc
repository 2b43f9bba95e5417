#include "quant/e4m3.h"

#include <gtest/gtest.h>

#include <cmath>

namespace weir::quant {
namespace {

TEST(E4m3, KnownCodes) {
  EXPECT_EQ(e4m3_to_f32(0x00), 0.0F);
  EXPECT_EQ(e4m3_to_f32(0x01), 0x1p-9F);
  EXPECT_EQ(e4m3_to_f32(0x07), 7 * 0x1p-9F);
  EXPECT_EQ(e4m3_to_f32(0x08), 0x1p-6F);
  EXPECT_EQ(e4m3_to_f32(0x38), 1.0F);
  EXPECT_EQ(e4m3_to_f32(0x7e), 448.0F);
  EXPECT_EQ(e4m3_to_f32(0xfe), -448.0F);
  EXPECT_TRUE(std::isnan(e4m3_to_f32(0x7f)));
  EXPECT_TRUE(std::signbit(e4m3_to_f32(0x80)));
}

TEST(E4m3, EveryCodeComesBack) {
  for (int code = 0; code < 256; ++code) {
    if ((code & 127) == 127) continue;
    EXPECT_EQ(f32_to_e4m3(e4m3_to_f32(static_cast<uint8_t>(code))), code);
  }
}

TEST(E4m3, TheNearestAndOfTwoTheEvenOne) {
  for (int code = 0; code < 126; ++code) {
    const float low = e4m3_to_f32(static_cast<uint8_t>(code));
    const float high = e4m3_to_f32(static_cast<uint8_t>(code + 1));
    const float middle = low + (high - low) / 2;
    EXPECT_EQ(f32_to_e4m3(middle), code % 2 == 0 ? code : code + 1);
    EXPECT_EQ(f32_to_e4m3(std::nextafter(middle, low)), code);
    EXPECT_EQ(f32_to_e4m3(-std::nextafter(middle, high)), 128 + code + 1);
  }
}

TEST(E4m3, PastTheLargestIsTheLargest) {
  EXPECT_EQ(f32_to_e4m3(449), 0x7e);
  EXPECT_EQ(f32_to_e4m3(-1e30F), 0xfe);
  EXPECT_EQ(f32_to_e4m3(INFINITY), 0x7e);
}

}  // namespace
}  // namespace weir::quant
