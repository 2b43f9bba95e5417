// The scalar reference: one row a panel, plain loops.
#include "kernels/generic/make_table.h"
#include "kernels/scalar/vector.h"
#include "quant/four_bit_values.h"

namespace weir::kernels {
namespace {

using scalar::Vec;

// Bits 2f and 2f + 1 of load j: k = 4 (4j + f) + i.
int32_t two_bits(const uint8_t* field, size_t k) {
  const size_t g = k / 4;
  return field[g / 4 * 4 + k % 4] >> (2 * (g % 4)) & 3;
}

template <PanelFormat F>
int32_t unsigned_code(const uint8_t* codes, size_t k) {
  int32_t code = 0;
  if constexpr (low_bits(F) == 2) {
    code = two_bits(codes, k);
  } else {
    code = k < kBlock / 2 ? codes[k] & 15 : codes[k - kBlock / 2] >> 4;
  }
  const uint8_t* high = codes + low_bytes(F);
  if constexpr (high_bits(F) == 1) code |= (high[k % 4] >> (k / 4) & 1) << low_bits(F);
  if constexpr (high_bits(F) == 2) code |= two_bits(high, k) << low_bits(F);
  return code;
}

template <PanelFormat F>
int32_t weight(const uint8_t* codes, size_t k) {
  if constexpr (F == PanelFormat::kQ8) return static_cast<int8_t>(codes[k]);
  if constexpr (F == PanelFormat::kIq4) return quant::kIq4Values[unsigned_code<F>(codes, k)];
  if constexpr (F == PanelFormat::kE2m1) return quant::kE2m1Values[unsigned_code<F>(codes, k)];
  return unsigned_code<F>(codes, k) - zero_point(F);
}

float load_half(const uint8_t* p) {
  return quant::f16_to_f32(static_cast<uint16_t>(p[0] | p[1] << 8));
}

// Scale i of a block (mins come after the scales); head: D or M of its super-block.
template <PanelFormat F>
float factor(const uint8_t* head, const uint8_t* codes, size_t i) {
  const uint8_t* p = codes + code_bytes(F);
  if constexpr (is_k_quant(F))
    return load_half(head) * static_cast<float>(static_cast<int8_t>(p[i]));
  return load_half(p + 2 * i);
}

// As the vector ISAs compute it: exact int32 per scale, then one fma into f32 (and one for the
// min).
template <PanelFormat F>
struct IntegerTile {
  template <size_t M>
  static void run(const std::byte* panel, size_t cols, const ActivationView& a, float* y,
                  size_t ldy, size_t rows, bool add) {
    static_assert(M == 1);
    constexpr size_t part = kBlock / scales(F);  // K per scale
    const auto* bytes = reinterpret_cast<const uint8_t*>(panel);
    float acc = 0.0F;
    for (size_t b = 0; b < cols / kBlock; ++b) {
      const uint8_t* codes = bytes + block_offset(F, b);
      const uint8_t* head = bytes + block_offset(F, b / kSuperBlock * kSuperBlock) - head_bytes(F);
      const int8_t* x = a.codes + b * a.width * kBlock;
      const float x_scale = a.scales[b * a.width];
      for (size_t h = 0; h < scales(F); ++h) {
        int32_t sum = 0;
        for (size_t k = h * part; k < (h + 1) * part; ++k) sum += weight<F>(codes, k) * x[k];
        acc = __builtin_fmaf(static_cast<float>(sum), factor<F>(head, codes, h) * x_scale, acc);
      }
      for (size_t h = 0; has_min(F) && h < scales(F); ++h) {
        const float x_sum = scales(F) == 1
                                ? a.scaled_sums[b * a.width]
                                : x_scale * static_cast<float>(a.half_sums[(2 * b + h) * a.width]);
        acc = __builtin_fmaf(factor<F>(head + 2, codes, scales(F) + h), x_sum, acc);
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
