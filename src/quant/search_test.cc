#include "quant/search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "base/rng.h"
#include "os/cpu.h"

namespace weir::quant {
namespace {

float uniform(uint64_t stream, uint64_t i) {
  return static_cast<float>(random_u64(11, stream, i) >> 40) * 0x1p-24F;
}

struct Grid {
  std::vector<float> values;
  GridBook book;
  Grid(size_t n, size_t rows) : values(n * rows), book{values.data(), n, rows} {
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = std::floor(uniform(n * rows, i) * 5) + 1;  // many rows are alike
  }
  float value(size_t row, size_t i) const { return values[i * book.rows + row]; }
};

GridUnit some_unit(size_t groups, size_t n) {
  GridUnit unit{};
  unit.groups = groups;
  for (size_t i = 0; i < groups * n; ++i) {
    unit.x[i] = 6 * uniform(1, i) - 1;
    unit.w[i] = uniform(2, i);
  }
  return unit;
}

double error_of(const Grid& grid, const GridUnit& unit, size_t group, size_t row, double scale) {
  double error = 0;
  for (size_t i = 0; i < grid.book.n; ++i) {
    const double x = unit.x[group * grid.book.n + i];
    const double rest = x - scale * grid.value(row, i);
    error += unit.w[group * grid.book.n + i] * (rest * rest - x * x);
  }
  return error;
}

TEST(Search, RowsOfABookAreTheNearest) {
  for (const size_t n : {4U, 8U}) {
    const Grid grid(n, 512);
    const GridUnit unit = some_unit(32 / n, n);
    for (const SearchIsa isa : {SearchIsa::kScalar, best_search_isa(os::detect_cpu())}) {
      const SearchTable& search = search_for(isa);
      const auto sums = std::make_unique<GridSums>();
      search.sum_grid(grid.book, unit, *sums);
      for (const float scale : {0.0F, 0.3F, 1.0F, 1.7F}) {
        GridChoice choice;
        search.choose_rows(grid.book, unit.groups, *sums, scale, choice);
        double error = 0, xq = 0, qq = 0;
        for (size_t g = 0; g < unit.groups; ++g) {
          const auto row = static_cast<size_t>(choice.row[g]);
          double best = HUGE_VAL;
          for (size_t r = 0; r < grid.book.rows; ++r)
            best = std::min(best, error_of(grid, unit, g, r, scale));
          EXPECT_NEAR(error_of(grid, unit, g, row, scale), best, 1e-5);
          for (size_t i = 0; i < n; ++i) {
            const double wq = unit.w[g * n + i] * grid.value(row, i);
            xq += wq * unit.x[g * n + i];
            qq += wq * grid.value(row, i);
          }
          error += best;
        }
        EXPECT_NEAR(choice.error, error, 1e-4);
        EXPECT_NEAR(choice.xq, xq, 1e-4);
        EXPECT_NEAR(choice.qq, qq, 1e-3);
      }
    }
  }
}

TEST(Search, OfEquallyGoodRowsTheFirstIsChosenWhateverTheWidth) {
  Grid grid(8, 256);
  for (float& v : grid.values) v = 2;
  const GridUnit unit = some_unit(4, 8);
  const auto sums = std::make_unique<GridSums>();
  for (const SearchIsa isa : {SearchIsa::kScalar, best_search_isa(os::detect_cpu())}) {
    GridChoice choice;
    search_for(isa).sum_grid(grid.book, unit, *sums);
    search_for(isa).choose_rows(grid.book, unit.groups, *sums, 1.0F, choice);
    for (size_t g = 0; g < unit.groups; ++g) EXPECT_EQ(choice.row[g], 0);
  }
}

}  // namespace
}  // namespace weir::quant
