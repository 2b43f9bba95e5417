// The search over codes that stand for a row of values each. A lane is a row of the book. See
// quant/search.h.
#pragma once

#include "quant/generic/lanes.h"

namespace weir::quant::generic {

template <size_t W>
void sum_grid(const GridBook& book, const GridUnit& unit, GridSums& out) {
  using L = Lanes<W>;
  for (size_t g = 0; g < unit.groups; ++g) {
    const float* x = unit.x + g * book.n;
    const float* w = unit.w + g * book.n;
    for (size_t row = 0; row < book.rows; row += W) {
      typename L::F xq{}, qq{};
      for (size_t i = 0; i < book.n; ++i) {
        const auto q = L::load(book.values + i * book.rows + row);
        const auto wq = q * w[i];
        xq += wq * x[i];
        qq += wq * q;
      }
      L::store(xq, out.xq + g * book.rows + row);
      L::store(qq, out.qq + g * book.rows + row);
    }
  }
}

template <size_t W>
struct BestRow {
  using L = Lanes<W>;
  typename L::F error;
  typename L::I row;

  BestRow(const float* xq, const float* qq, size_t rows, float scale) {
    const float square = scale * scale, twice = 2.0F * scale;
    typename L::I here;
    for (size_t lane = 0; lane < W; ++lane) here[lane] = static_cast<int32_t>(lane);
    row = here;
    error = square * L::load(qq) - twice * L::load(xq);
    for (size_t first = W; first < rows; first += W) {
      here += static_cast<int32_t>(W);
      const auto e = square * L::load(qq + first) - twice * L::load(xq + first);
      const typename L::I better = e < error;
      error = better ? e : error;
      row = better ? here : row;
    }
  }
  // The first of the best.
  size_t lane() const {
    size_t best = 0;
    for (size_t k = 1; k < W; ++k) {
      if (error[k] < error[best] || (error[k] == error[best] && row[k] < row[best])) best = k;
    }
    return best;
  }
};

template <size_t W>
void choose_rows(const GridBook& book, size_t groups, const GridSums& sums, float scale,
                 GridChoice& out) {
  out.error = out.xq = out.qq = 0;
  for (size_t g = 0; g < groups; ++g) {
    const float* xq = sums.xq + g * book.rows;
    const float* qq = sums.qq + g * book.rows;
    const BestRow<W> best(xq, qq, book.rows, scale);
    const size_t lane = best.lane();
    const int32_t row = best.row[lane];
    out.error += best.error[lane];
    out.xq += xq[row];
    out.qq += qq[row];
    out.row[g] = row;
  }
}

}  // namespace weir::quant::generic
