// The micro-kernel of the float panel formats over V; a panel has V::kWidth rows. One fma chain
// over k per element.
#pragma once

#include "kernels/table.h"

namespace weir::kernels::generic {

struct LoadF32 {
  using Element = float;
  template <typename V>
  static V load(const float* p) {
    return V::load(p);
  }
};
struct LoadF16 {
  using Element = uint16_t;
  template <typename V>
  static V load(const uint16_t* p) {
    return V::load_f16(p);
  }
};
struct LoadBF16 {
  using Element = uint16_t;
  template <typename V>
  static V load(const uint16_t* p) {
    return V::load_bf16(p);
  }
};

// acc: one vector of rows; the epilogue of all micro-kernels.
template <typename V>
inline void store_rows(V acc, float* y, size_t rows, bool add) {
  if (rows == V::kWidth) {
    (add ? V::load(y) + acc : acc).store(y);
  } else {
    (add ? V::load_n(y, rows) + acc : acc).store_n(y, rows);
  }
}

template <typename V, typename Load, size_t M>
void float_tile(const std::byte* panel, size_t cols, const ActivationView& a, float* y, size_t ldy,
                size_t rows, bool add) {
  const auto* w = reinterpret_cast<const typename Load::Element*>(panel);
  V acc[M];
#pragma GCC unroll 16
  for (size_t m = 0; m < M; ++m) acc[m] = V::zero();
  for (size_t k = 0; k < cols; ++k) {
    const V weights = Load::template load<V>(w + k * V::kWidth);
    const float* x = a.x + k;
#pragma GCC unroll 16
    for (size_t m = 0; m < M; ++m) acc[m] = fma(weights, V::set(x[m * a.ldx]), acc[m]);
  }
#pragma GCC unroll 16
  for (size_t m = 0; m < M; ++m) store_rows(acc[m], y + m * ldy, rows, add);
}

// Splits a tile of up to kMaxTileTokens rows into pieces of at most P rows, for which Tile<m>::run
// exists.
template <typename Tile, size_t P>
inline void run_piece(size_t m, const std::byte* panel, size_t cols, const ActivationView& a,
                      float* y, size_t ldy, size_t rows, bool add) {
  if constexpr (P > 1) {
    if (m < P) return run_piece<Tile, P - 1>(m, panel, cols, a, y, ldy, rows, add);
  }
  Tile::template run<P>(panel, cols, a, y, ldy, rows, add);
}

template <typename Tile, size_t P>
void run_tile(const std::byte* panel, size_t cols, const ActivationView& a, size_t tokens, float* y,
              size_t ldy, size_t rows, bool add) {
  ActivationView view = a;
  for (size_t t = 0; t < tokens; t += P) {
    run_piece<Tile, P>(tokens - t < P ? tokens - t : P, panel, cols, view, y + t * ldy, ldy, rows,
                       add);
    view.x += P * a.ldx;
    if (a.codes == nullptr) continue;
    view.codes += P * kBlock;
    view.scales += P;
    view.neg8_sums += P;
    view.scaled_sums += P;
    view.half_sums += P;
  }
}

template <typename V, typename Load>
struct FloatTile {
  template <size_t M>
  static void run(const std::byte* panel, size_t cols, const ActivationView& a, float* y,
                  size_t ldy, size_t rows, bool add) {
    float_tile<V, Load, M>(panel, cols, a, y, ldy, rows, add);
  }
};

}  // namespace weir::kernels::generic
