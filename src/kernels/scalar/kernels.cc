// The scalar reference: one row a panel, plain loops.
#include "kernels/generic/make_table.h"
#include "kernels/scalar/vector.h"

namespace weir::kernels {
namespace {

using scalar::Vec;

int32_t unsigned_code(const uint8_t* codes, size_t k) {
  return k < kBlock / 2 ? codes[k] & 15 : codes[k - kBlock / 2] >> 4;
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
    const auto* codes = reinterpret_cast<const uint8_t*>(panel);
    const auto* scales = reinterpret_cast<const uint16_t*>(panel + blocks * code_bytes);
    const uint16_t* mins = scales + blocks;
    float acc = 0.0F;
    for (size_t b = 0; b < blocks; ++b) {
      const int8_t* x = a.codes + b * a.width * kBlock;
      int32_t sum = F == PanelFormat::kQ4 ? a.neg8_sums[b * a.width] : 0;
      for (size_t k = 0; k < kBlock; ++k) {
        const int32_t w = F == PanelFormat::kQ8 ? static_cast<int8_t>(codes[b * code_bytes + k])
                                                : unsigned_code(codes + b * code_bytes, k);
        sum += w * x[k];
      }
      const float scale = quant::f16_to_f32(scales[b]) * a.scales[b * a.width];
      acc = __builtin_fmaf(static_cast<float>(sum), scale, acc);
      if (F == PanelFormat::kQ4Min) {
        acc = __builtin_fmaf(quant::f16_to_f32(mins[b]), a.scaled_sums[b * a.width], acc);
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
