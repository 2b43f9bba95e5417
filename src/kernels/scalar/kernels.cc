// The scalar reference: one row a panel, plain loops.
#include "kernels/generic/make_table.h"
#include "kernels/scalar/vector.h"
#include "quant/four_bit_values.h"

namespace weir::kernels {
namespace {

using scalar::Vec;

int32_t unsigned_code(const uint8_t* codes, size_t k) {
  return k < kBlock / 2 ? codes[k] & 15 : codes[k - kBlock / 2] >> 4;
}

template <PanelFormat F>
int32_t weight(const uint8_t* codes, size_t k) {
  if constexpr (F == PanelFormat::kQ8) return static_cast<int8_t>(codes[k]);
  if constexpr (F == PanelFormat::kIq4) return quant::kIq4Values[unsigned_code(codes, k)];
  if constexpr (F == PanelFormat::kE2m1) return quant::kE2m1Values[unsigned_code(codes, k)];
  return unsigned_code(codes, k);
}

float load_half(const uint8_t* p) {
  return quant::f16_to_f32(static_cast<uint16_t>(p[0] | p[1] << 8));
}

// As the vector ISAs compute it: exact int32 per block, then one fma into f32 (and one for the
// min).
template <PanelFormat F>
struct IntegerTile {
  template <size_t M>
  static void run(const std::byte* panel, size_t cols, const ActivationView& a, float* y,
                  size_t ldy, size_t rows, bool add) {
    static_assert(M == 1);
    constexpr size_t code_bytes = F == PanelFormat::kQ8 ? kBlock : kBlock / 2;
    const size_t blocks = cols / kBlock;
    constexpr size_t stream_bytes = code_bytes + (F == PanelFormat::kQ4Min ? 4 : 2);
    const auto* codes = reinterpret_cast<const uint8_t*>(panel);
    float acc = 0.0F;
    for (size_t b = 0; b < blocks; ++b, codes += stream_bytes) {
      const int8_t* x = a.codes + b * a.width * kBlock;
      int32_t sum = F == PanelFormat::kQ4 ? a.neg8_sums[b * a.width] : 0;
      for (size_t k = 0; k < kBlock; ++k) sum += weight<F>(codes, k) * x[k];
      const float scale = load_half(codes + code_bytes) * a.scales[b * a.width];
      acc = __builtin_fmaf(static_cast<float>(sum), scale, acc);
      if (F == PanelFormat::kQ4Min) {
        acc = __builtin_fmaf(load_half(codes + code_bytes + 2), a.scaled_sums[b * a.width], acc);
      }
    }
    generic::store_rows(Vec{acc}, y, rows, add);
    (void)ldy;
  }
};

constexpr Kernels kTable = generic::make_table<Vec, IntegerTile, 1>(Isa::kScalar, false);

}  // namespace

const Kernels& scalar_kernels() { return kTable; }

}  // namespace weir::kernels
