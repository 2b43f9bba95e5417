// The searches over codes that stand for the values of a table. See quant/search.h.
#pragma once

#include "quant/generic/linear.h"

namespace weir::quant::generic {

// The table as steps: what is added at each of the points halfway between neighbours.
template <size_t W>
struct Steps {
  using L = Lanes<W>;
  using F = typename L::F;
  F first;
  F middle[kTableSize - 1];
  F step[kTableSize - 1];
  size_t count;

  explicit Steps(const TableCodes& codes) : first(L::set(codes.value[0])), count(codes.size - 1) {
    for (size_t k = 0; k < count; ++k) {
      middle[k] = L::set(0.5F * (codes.value[k] + codes.value[k + 1]));
      step[k] = L::set(codes.value[k + 1] - codes.value[k]);
    }
  }
  F nearest(F x) const {
    F value = first;
    for (size_t k = 0; k < count; ++k) value += x > middle[k] ? step[k] : F{};
    return value;
  }
};

template <size_t W>
void fit_table(const Batch& b, const TableCodes& codes, const SearchSteps& steps, PerBlock& scale) {
  using L = Lanes<W>;
  const Steps<W> table(codes);
  const auto nearest = [&](typename L::F x) { return table.nearest(x); };
  for (size_t lane = 0; lane < kLanes; lane += W) {
    ScaleFit<W> fit(b, lane);
    fit.search(steps, codes.value[0], codes.value[codes.size - 1], nearest);
    L::store(fit.scale(), scale.at + lane);
  }
}

template <size_t W>
void sum_table(const Batch& b, const TableCodes& codes, const PerBlock& scale, BlockSums& out) {
  const Steps<W> table(codes);
  sum_scaled<W>(b, scale, out, [&](typename Lanes<W>::F steps) { return table.nearest(steps); });
}

template <size_t W>
void codes_table(const Batch& b, const TableCodes& codes, const PerBlock& scale, int32_t* out) {
  using L = Lanes<W>;
  using F = typename L::F;
  const Steps<W> table(codes);
  for (size_t lane = 0; lane < kLanes; lane += W) {
    const F inverse = L::reciprocal(L::load(scale.at + lane));
    for (size_t i = 0; i < b.n; ++i) {
      const F x = L::load(b.x + i * kLanes + lane) * inverse;
      typename L::I index{};
      for (size_t k = 0; k < table.count; ++k) index -= x > table.middle[k];  // true is -1
      __builtin_memcpy(out + i * kLanes + lane, &index, sizeof index);
    }
  }
}

}  // namespace weir::quant::generic
