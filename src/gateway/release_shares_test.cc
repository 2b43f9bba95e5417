#include "gateway/release_shares.h"

#include <gtest/gtest.h>

#include "text/json.h"

namespace weir::gateway {
namespace {

Result<GatewayConfig> with_targets(const std::string& targets) {
  const auto node = config::parse_yaml(
      "upstreams:\n  a: {endpoints: [\"http://10.0.0.1:1\"]}\n"
      "  b: {endpoints: [\"http://10.0.0.2:1\"]}\nmodels:\n  chat:\n    targets:\n" +
          targets,
      "g.yaml");
  if (!node.ok()) return node.error();
  return parse_gateway_config(*node, "g.yaml", {});
}
std::string two(int first, int second, const std::string& more = "") {
  return fmt::format(
      "      - {{upstream: a, release: r1, weight: {}}}\n"
      "      - {{upstream: b, release: r2, weight: {}{}}}\n",
      first, second, more);
}
// Or why the file is refused.
std::string shares(const std::string& targets) {
  const auto config = with_targets(targets);
  return config.ok() ? shares_text(config->models[0]) : config.error().message;
}

TEST(ReleaseShares, AreWholePerCentsOfTheWeights) {
  EXPECT_EQ(shares(two(95, 5)), "r1 95 %, r2 5 %");
  EXPECT_EQ(shares(two(95, 10)), "r1 90 %, r2 10 %");
  EXPECT_EQ(shares(two(990, 10)), "r1 99 %, r2 1 %");
  EXPECT_EQ(shares(two(1, 1)), "r1 50 %, r2 50 %");
  EXPECT_EQ(shares(two(1, 0)), "r1 100 %, r2 0 %") << "as it is wanted";
  EXPECT_EQ(shares(two(1, 1) + "      - {upstream: a, release: r3, weight: 1}\n"),
            "r1 34 %, r2 33 %, r3 33 %");
  EXPECT_EQ(shares(two(1, 1, ", tier: 1")), "") << "another tier is for failures";
  EXPECT_EQ(shares("      - {upstream: a}\n"), "") << "nothing to split";
}

TEST(ReleaseShares, ACanaryThatWouldGetNothingIsAnError) {
  EXPECT_EQ(shares(two(999, 1)),
            "g.yaml:8: models.chat: release r2 has weight 1 of 1000, which is 0 % and gets no "
            "request: releases share in whole per cents; give it a hundredth of the weights at "
            "least, or 0 to leave it out");
  for (const auto& [first, second] : {std::pair(249, 1), std::pair(199, 1), std::pair(1, 1'000)})
    EXPECT_NE(shares(two(first, second)).find("gets no request"), std::string::npos) << first;
  // Two of three targets make it up together.
  EXPECT_EQ(shares(two(992, 4) + "      - {upstream: a, release: r2, weight: 4}\n"),
            "r1 99 %, r2 1 %");
}

TEST(ReleaseShares, AreSaid) {
  const auto config = with_targets(two(95, 10));
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_NE(describe(*config).find("\n  releases share: r1 90 %, r2 10 %\n"), std::string::npos)
      << describe(*config);
  const auto json = text::Json::parse(describe_json(*config, "g.yaml", {}));
  ASSERT_TRUE(json.ok());
  const text::Json& model = json->find("models")->items()[0];
  EXPECT_EQ(model.find("release_percent")->dump(), R"({"r1":90,"r2":10})");
}

}  // namespace
}  // namespace weir::gateway
