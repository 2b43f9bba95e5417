#include "model/pooling.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace weir::model {
namespace {

// Hidden states of four tokens, dim 2.
const std::vector<float> kRows{3, 0, 0, 4, 1, 1, -2, 5};

// The embedding of kRows when its steps have these sizes.
std::vector<float> pooled(Pooling pooling, const std::vector<int32_t>& steps) {
  Pooler pooler(pooling, 2, 4);
  int32_t at = 0;
  for (const int32_t n : steps) {
    const int32_t wanted = pooler.wanted_rows(at, n);
    const auto first = static_cast<size_t>(at + n - wanted) * 2;
    pooler.add(at, std::span(kRows).subspan(first, static_cast<size_t>(wanted) * 2));
    at += n;
  }
  return pooler.finish().value();
}

TEST(Pooler, TakesTheMeanTheFirstOrTheLast) {
  const float mean = std::hypot(2.0F, 10.0F);
  EXPECT_EQ(pooled(Pooling::kMean, {4}), (std::vector<float>{2 / mean, 10 / mean}));
  EXPECT_EQ(pooled(Pooling::kCls, {4}), (std::vector<float>{1, 0}));
  const float last = std::hypot(2.0F, 5.0F);
  EXPECT_EQ(pooled(Pooling::kLast, {4}), (std::vector<float>{-2 / last, 5 / last}));
}

TEST(Pooler, DoesNotSeeHowTheTextWasCut) {
  for (const Pooling p : {Pooling::kMean, Pooling::kCls, Pooling::kLast}) {
    const std::vector<float> whole = pooled(p, {4});
    EXPECT_EQ(pooled(p, {1, 3}), whole);
    EXPECT_EQ(pooled(p, {2, 1, 1}), whole);
    EXPECT_EQ(pooled(p, {1, 1, 1, 1}), whole);
  }
}

TEST(Pooler, StartsAgain) {
  Pooler pooler(Pooling::kMean, 2, 4);
  pooler.add(0, std::span(kRows).first(4));
  pooler.restart();
  pooler.add(0, kRows);
  EXPECT_EQ(pooler.finish().value(), pooled(Pooling::kMean, {4}));
}

TEST(Pooler, GivesZerosForZerosAndAnErrorForNan) {
  Pooler zeros(Pooling::kMean, 2, 1);
  zeros.add(0, std::vector<float>{0, 0});
  EXPECT_EQ(zeros.finish().value(), (std::vector<float>{0, 0}));
  Pooler broken(Pooling::kMean, 2, 1);
  broken.add(0, std::vector<float>{0, std::numeric_limits<float>::quiet_NaN()});
  EXPECT_EQ(broken.finish().error().code, ErrorCode::kInternal);
}

TEST(Pooling, HasNames) {
  EXPECT_EQ(parse_pooling("cls").value(), Pooling::kCls);
  EXPECT_NE(parse_pooling("max").error().message.find("mean, cls, last"), std::string::npos);
  EXPECT_FALSE(parse_pooling("none").ok());
}

}  // namespace
}  // namespace weir::model
