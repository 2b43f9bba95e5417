// All searches of one width. See quant/search.h.
#pragma once

#include "quant/generic/grid.h"
#include "quant/generic/linear.h"
#include "quant/generic/outer.h"
#include "quant/generic/table.h"
#include "quant/generic/weights.h"

namespace weir::quant::generic {

template <size_t W>
constexpr SearchTable make_search() {
  return {fit_affine<W>,  fit_symmetric<W>, fit_table<W>,       sum_affine<W>,  sum_symmetric<W>,
          sum_table<W>,   codes_affine<W>,  codes_symmetric<W>, codes_table<W>, sum_grid<W>,
          choose_rows<W>, weigh_row<W>,     add_outer<W>};
}

}  // namespace weir::quant::generic
