#include "gateway/shadow.h"

#include <gtest/gtest.h>

#include <string>

namespace weir::gateway {
namespace {

TEST(Shadow, TheSampleIsOfTheIdAlone) {
  const HashKey key{1, 2};
  int sampled = 0;
  for (int i = 0; i < 10'000; ++i) {
    const std::string id = "req-" + std::to_string(i);
    const bool in = is_sampled(id, 0.1, key);
    sampled += in ? 1 : 0;
    EXPECT_EQ(is_sampled(id, 0.1, key), in);
    EXPECT_TRUE(!in || is_sampled(id, 0.2, key)) << "a larger sample holds the smaller one";
    EXPECT_FALSE(is_sampled(id, 0, key));
    EXPECT_TRUE(is_sampled(id, 1, key));
  }
  EXPECT_NEAR(sampled, 1'000, 120);
}

}  // namespace
}  // namespace weir::gateway
