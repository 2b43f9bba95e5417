#include "base/student.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace weir {
namespace {

// From tables of the distributions.
TEST(Student, AgreesWithTables) {
  EXPECT_NEAR(normal_cdf(1.959964), 0.975, 1e-6);
  EXPECT_NEAR(student_95(1), 12.7062, 1e-3);
  EXPECT_NEAR(student_95(2), 4.30265, 1e-4);
  EXPECT_NEAR(student_95(10), 2.22814, 1e-4);
  EXPECT_NEAR(student_95(42), 2.01808, 1e-4);
  EXPECT_NEAR(student_95(1e9), 1.95996, 1e-4);
  EXPECT_NEAR(student_p(3.078, 1), 0.2, 1e-4);
  EXPECT_NEAR(student_p(-2.764, 10), 0.02, 1e-4);
  EXPECT_EQ(student_p(0, 5), 1);
  EXPECT_NEAR(student_cdf(1.5, 7.5), 1 - student_cdf(-1.5, 7.5), 1e-12);
  EXPECT_LT(student_p(40, 30), 1e-20);
}

}  // namespace
}  // namespace weir
