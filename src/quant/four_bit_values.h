// What the sixteen codes of the table formats stand for. Source: kvalues of gguf.quants (Python
// package `gguf`); E2M1: OCP Microscaling Formats 1.0.
#pragma once

#include <cstdint>

namespace weir::quant {

inline constexpr int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                          1,    13,   25,  38,  53,  69,  89,  113};
inline constexpr int8_t kE2m1Values[16] = {  // doubled, so that they are integers
    0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
// Their codes from the least to the largest value; code 8, the negative zero, is not used.
inline constexpr uint8_t kE2m1Codes[15] = {15, 14, 13, 12, 11, 10, 9, 0, 1, 2, 3, 4, 5, 6, 7};

}  // namespace weir::quant
