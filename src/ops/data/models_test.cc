#include "ops/data/models.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace weir::ops {
namespace {

using ::testing::HasSubstr;

TEST(Models, WrongFilesAreNamed) {
  const auto message = [](std::string_view yaml) {
    const auto r = parse_models(yaml, "m.yaml");
    return r.ok() ? "" : r.error().message;
  };
  EXPECT_THAT(message("models: 3\n"), HasSubstr("models must be a list"));
  EXPECT_THAT(message("models:\n  - {id: a}\n"), HasSubstr("m.yaml:2: id and name are needed"));
  EXPECT_THAT(message("models:\n  - {id: a, name: b}\n"), HasSubstr("a needs parameters_b"));
  const std::string one =
      "  - {id: a, name: b, parameters_b: {total: 1, active: 1}, sources: {config: {url: u}}, "
      "config: {x: 1}}\n";
  EXPECT_EQ(message("models:\n" + one), "");
  EXPECT_THAT(message("models:\n" + one + one), HasSubstr("a stands twice"));
  std::string bad = one;
  bad.replace(bad.find("total: 1"), 8, "total: x");
  EXPECT_THAT(message("models:\n" + bad), HasSubstr("must be numbers above 0"));
}

// The shapes count what was published within 3 %, or say why not.
TEST(Models, ParametersCountedFromConfigsAreThosePublished) {
  const auto models = built_in_models();
  ASSERT_TRUE(models.ok()) << models.error().message;
  EXPECT_GE(models->size(), 40U);
  size_t close = 0;
  for (const KnownModel& m : *models) {
    const auto shape = shape_of(m);
    ASSERT_TRUE(shape.ok()) << shape.error().message;
    const double counted = shape->counted_parameters() / 1e9;
    const double off = counted / m.parameters_b - 1;
    if (std::abs(off) <= 0.03) ++close;
    EXPECT_TRUE(std::abs(off) <= 0.03 || !m.note.empty())
        << m.id << ": counted " << counted << ", published " << m.parameters_b;
  }
  EXPECT_GE(close * 10, models->size() * 9);
}

}  // namespace
}  // namespace weir::ops
