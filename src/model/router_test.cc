#include "model/router.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace weir::model {
namespace {

TEST(Route, TheGreatestLogitsInOrderOfTheirIndex) {
  const std::vector<float> logits{0.0F, 3.0F, -1.0F, 3.0F, 2.0F, 3.0F};
  std::vector<Route> routes(3);
  route({Routing::kSoftmaxRenormalized}, logits, {}, routes);
  EXPECT_EQ(routes[0].expert, 1);
  EXPECT_EQ(routes[1].expert, 3);
  EXPECT_EQ(routes[2].expert, 5);
  for (const Route& r : routes) EXPECT_FLOAT_EQ(r.weight, 1.0F / 3.0F);
}

TEST(Route, TheLowerIndexOfEqualsIsTaken) {
  std::vector<Route> routes(1);
  route({Routing::kTopSoftmax}, std::vector<float>{1.0F, 1.0F, 1.0F}, {}, routes);
  EXPECT_EQ(routes[0].expert, 0);
  EXPECT_FLOAT_EQ(routes[0].weight, 1.0F);
}

TEST(Route, SoftmaxKeepsTheShareOfAllExperts) {
  std::vector<Route> routes(2);
  route({Routing::kSoftmax}, std::vector<float>{std::log(1.0F), std::log(4.0F), std::log(5.0F)}, {},
        routes);
  EXPECT_EQ(routes[0].expert, 1);
  EXPECT_NEAR(static_cast<double>(routes[0].weight), 0.4, 1e-6);
  EXPECT_NEAR(static_cast<double>(routes[1].weight), 0.5, 1e-6);
}

TEST(Route, ABiasChoosesAndDoesNotWeigh) {
  std::vector<Route> routes(2);
  const std::vector<float> logits{0.0F, 2.0F, 1.0F};
  const std::vector<float> bias{0.6F, 0.0F, -0.5F};
  route({Routing::kSigmoid}, logits, bias, routes);  // 1.1, 0.88, 0.23
  EXPECT_EQ(routes[0].expert, 0);
  EXPECT_EQ(routes[1].expert, 1);
  EXPECT_NEAR(static_cast<double>(routes[0].weight), 0.5, 1e-6);
  EXPECT_NEAR(static_cast<double>(routes[1].weight), 0.880797, 1e-6);
  route({Routing::kSoftmax}, logits, bias, routes);  // 0.69, 0.67, -0.26
  EXPECT_EQ(routes[0].expert, 0);
  EXPECT_EQ(routes[1].expert, 1);
  EXPECT_NEAR(static_cast<double>(routes[0].weight), 0.090031, 1e-6);
}

TEST(Route, TheUsedSigmoidsAreScaledToOneScale) {
  std::vector<Route> routes(2);
  route({.routing = Routing::kSigmoidRenormalized, .scale = 2.5F},
        std::vector<float>{0.0F, 1.0F, -1.0F}, {}, routes);
  EXPECT_NEAR(static_cast<double>(routes[0].weight + routes[1].weight), 2.5, 1e-6);
  EXPECT_NEAR(static_cast<double>(routes[0].weight), 2.5 * 0.5 / (0.5 + 0.731059), 1e-6);
}

TEST(Route, OnlyExpertsOfTheBestGroupsAreTaken) {
  std::vector<Route> routes(2);
  // The best expert is in the first group, the best two together are in the second.
  const std::vector<float> logits{3.0F, -4.0F, 2.0F, 2.0F, -1.0F, 2.5F};
  RouteRule rule{.routing = Routing::kSoftmax, .groups = 3, .groups_used = 1};
  route(rule, logits, {}, routes);
  EXPECT_EQ(routes[0].expert, 0);
  EXPECT_EQ(routes[1].expert, 1);
  rule.routing = Routing::kSigmoid;
  route(rule, logits, {}, routes);
  EXPECT_EQ(routes[0].expert, 2);
  EXPECT_EQ(routes[1].expert, 3);
  rule.groups_used = 2;
  route(rule, logits, {}, routes);
  EXPECT_EQ(routes[0].expert, 2);
  EXPECT_EQ(routes[1].expert, 5);
}

TEST(Route, NotANumberStaysVisible) {
  std::vector<Route> routes(2);
  route({Routing::kSoftmax},
        std::vector<float>{1.0F, std::numeric_limits<float>::quiet_NaN(), 2.0F, 0.0F}, {}, routes);
  EXPECT_TRUE(std::isnan(routes[0].weight) || std::isnan(routes[1].weight));
}

}  // namespace
}  // namespace weir::model
