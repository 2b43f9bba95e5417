#include "gateway/visit_stage.h"

#include <gtest/gtest.h>

#include <string>

namespace weir::gateway {
namespace {

// Of each stage those that may follow, one letter each in the order of the enumeration.
TEST(VisitStage, WhatMayFollowWhat) {
  constexpr std::string_view kLetters = "OKFETASX";
  const auto after = [&](VisitStage before) {
    std::string out;
    for (size_t i = 0; i < kLetters.size(); ++i)
      if (may_follow(before, static_cast<VisitStage>(i))) out += kLetters[i];
    return out;
  };
  EXPECT_EQ(after(VisitStage::kOpening), "KFEAX");
  EXPECT_EQ(after(VisitStage::kWaitsForKey), "OX");
  EXPECT_EQ(after(VisitStage::kWaitsForFlight), "TAX");
  EXPECT_EQ(after(VisitStage::kEmbedding), "OX");
  EXPECT_EQ(after(VisitStage::kWaitsForTurn), "AX");
  EXPECT_EQ(after(VisitStage::kAsking), "SX");
  EXPECT_EQ(after(VisitStage::kStreaming), "X");
  EXPECT_EQ(after(VisitStage::kOver), "") << "it ends once";
}

}  // namespace
}  // namespace weir::gateway
