// Codes for groups of any size that share a scale, as the formats of GPU engines have them: the
// scale (and zero point) with the least squared error out of a few, then the nearest codes. Scales
// are positive, and fitted as they will be stored. Any thread.
#pragma once

#include <cstdint>
#include <span>

namespace weir::quant {

enum class ScaleType : uint8_t { kF32, kF16, kBF16 };
// The nearest of the type, but never 0: then the least that is not. Infinite past its range.
float round_scale(float scale, ScaleType type);

// value = (code - zero) * scale, code in [0, 2^bits).
struct IntegerScale {
  float scale = 1;
  int zero = 0;
};
struct IntegerCodes {
  int bits = 4;           // 4 or 8
  bool symmetric = true;  // the zero point is the middle, 2^(bits - 1)
  int least_zero = 0;     // else: the least that may be chosen
};

// values: finite. weights: of their squared errors, as many, not negative; or empty, all count
// alike. A group of zeros has scale 1; one whose scale is past what the type holds, an infinite
// one.
IntegerScale fit_integers(std::span<const float> values, const IntegerCodes& codes, ScaleType type,
                          std::span<const float> weights = {});
// The nearest codes; to: as long as values.
void encode_integers(std::span<const float> values, const IntegerScale& scale, int bits,
                     std::span<uint8_t> to);

// The same for value = E4M3 * scale (quant/e4m3.h).
float fit_e4m3(std::span<const float> values, ScaleType type);
void encode_e4m3(std::span<const float> values, float scale, std::span<uint8_t> to);

}  // namespace weir::quant
