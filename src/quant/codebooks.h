// The codebooks of the IQ formats: each row is eight (IQ1, IQ2) or four (IQ3) magnitudes that share
// one code. Source: gguf.quants (grid_hex) of the Python package `gguf`. Internal to quant/.
#pragma once

#include <cstdint>

namespace weir::quant {

// Row r, value j: kIq2Values[row >> 2j & 3].
inline constexpr float kIq2Values[4] = {8, 25, 43, 0};  // index 3 does not occur
extern const uint16_t kIq2XxsCodebook[256];
extern const uint16_t kIq2XsCodebook[512];
extern const uint16_t kIq2SCodebook[1024];

// kIq1Values[row >> 2j & 3].
inline constexpr float kIq1Values[4] = {-1, 0, 1, 0};  // index 3 does not occur
extern const uint16_t kIq1SCodebook[2048];

// Row r, value j: kIq3XxsValues[row >> 3j & 7].
inline constexpr float kIq3XxsValues[8] = {4, 12, 20, 28, 36, 44, 52, 62};
extern const uint16_t kIq3XxsCodebook[256];
// The values are 1, 3, ... 15.
inline constexpr float kIq3SValues[8] = {1, 3, 5, 7, 9, 11, 13, 15};
extern const uint16_t kIq3SCodebook[512];

}  // namespace weir::quant
