#include "config/problems.h"

#include <gtest/gtest.h>

namespace weir::config {
namespace {

TEST(Problems, AreToldByLine) {
  Problems p("a.yaml");
  p.add(7, "seven");
  p.add(3, "three", ErrorCode::kUsage);
  p.add(7, "seven again");
  p.add(0, "all of it");
  EXPECT_EQ(p.error().message,
            "a.yaml: all of it\na.yaml:3: three\na.yaml:7: seven\na.yaml:7: seven again");
  EXPECT_EQ(p.error().code, ErrorCode::kCorrupt) << "they have different ones";
}

TEST(Problems, TheFirstByLineAreKept) {
  Problems p("a.yaml");
  for (int line = 100; line > 0; --line) p.add(line, "x", ErrorCode::kUsage);
  EXPECT_EQ(p.all().size(), Problems::kMost);
  EXPECT_EQ(p.all().front().line, 1);
  EXPECT_EQ(p.all().back().line, 20);
  EXPECT_EQ(p.count(), 100U);
  EXPECT_EQ(p.error().code, ErrorCode::kUsage);
  EXPECT_TRUE(p.error().message.ends_with("a.yaml:20: x\na.yaml: 80 more, behind these"));
}

TEST(Problems, ErrorsThatSayWhereAreTakenApart) {
  Problems p("a:1.yaml");
  p.add(make_error(ErrorCode::kCorrupt, "a:1.yaml:12: not YAML: x:1: y"));
  p.add(make_error(ErrorCode::kLimit, "a:1.yaml: larger than 5 bytes"));
  p.add(make_error(ErrorCode::kNotFound, "cannot open a:1.yaml"));
  p.add(make_error(ErrorCode::kCorrupt, "a:1.yaml:"));
  ASSERT_EQ(p.all().size(), 4U);
  EXPECT_EQ(p.all()[0].message, "larger than 5 bytes");
  EXPECT_EQ(p.all()[1].message, "cannot open a:1.yaml");
  EXPECT_EQ(p.all()[2].message, "");
  EXPECT_EQ(p.all()[3].line, 12);
  EXPECT_EQ(p.all()[3].message, "not YAML: x:1: y");
}

}  // namespace
}  // namespace weir::config
