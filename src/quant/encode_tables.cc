// Search for the formats whose codes stand for the values of a table: IQ4_NL with an f16 scale,
// MXFP4 with a power of two, NVFP4 with an E4M3 scale for 16 values.
#include <algorithm>
#include <bit>
#include <cmath>

#include "quant/blocks.h"
#include "quant/e4m3.h"
#include "quant/encoders.h"
#include "quant/four_bit_values.h"

namespace weir::quant {

namespace {

constexpr TableCodes iq4_table() {
  TableCodes table{};
  for (size_t i = 0; i < kTableSize; ++i) table.value[i] = kIq4Values[i];
  return table;
}
constexpr TableCodes kIq4Table = iq4_table();
constexpr SearchSteps kIq4Steps{-9, 1.5F, 16, 2};

constexpr TableCodes kE2m1Table{{-12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12}, 15};

// Half of 2^(code - 127): table values are doubled.
float e8m0_half(int code) {
  return code < 2 ? std::ldexp(1.0F, code - 128)
                  : std::bit_cast<float>(static_cast<uint32_t>(code - 1) << 23);
}

// Half of an unsigned E4M3 number; codes 0 to 126.
float ue4m3_half(int code) { return 0.5F * e4m3_to_f32(static_cast<uint8_t>(code)); }

// The largest code with a value at most x (of one sign), or 0.
int ue4m3_floor(float x) {
  int low = 0, high = 126;
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (ue4m3_half(middle) <= x) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

// For each block the best of the scale codes about `base`.
template <typename Scale>
void choose_scale(const SearchTable& search, const Batch& batch, const int* base, int first,
                  int last, int max, Scale scale_of, int* chosen, PerBlock& scale) {
  PerBlock error;
  for (float& e : error.at) e = HUGE_VALF;
  for (int move = first; move <= last; ++move) {
    PerBlock tried;
    for (size_t b = 0; b < kLanes; ++b) tried.at[b] = scale_of(std::clamp(base[b] + move, 0, max));
    BlockSums sums;
    search.sum_table(batch, kE2m1Table, tried, sums);
    for (size_t b = 0; b < kLanes; ++b) {
      if (!(sums.error.at[b] < error.at[b])) continue;
      error.at[b] = sums.error.at[b];
      chosen[b] = std::clamp(base[b] + move, 0, max);
      scale.at[b] = tried.at[b];
    }
  }
}

}  // namespace

void search_iq4_nl(const SearchTable& search, const float* x, const float* w, size_t blocks,
                   std::byte* dst) {
  for (size_t first = 0; first < blocks; first += kLanes) {
    const size_t count = std::min(kLanes, blocks - first);
    Batch batch;
    load_batch(x + first * 32, w + first * 32, 32, count, batch);
    PerBlock scale;
    search.fit_table(batch, kIq4Table, kIq4Steps, scale);
    uint16_t bits[kLanes];
    round_to_half(scale, bits);
    int32_t codes[kMaxBlock * kLanes];
    search.codes_table(batch, kIq4Table, scale, codes);
    for (size_t b = 0; b < count; ++b) {
      std::byte* block = dst + (first + b) * 18;
      store_u16(block, bits[b]);
      for (size_t i = 0; i < 16; ++i) {
        block[2 + i] = to_byte(static_cast<uint32_t>(codes[i * kLanes + b]) |
                               static_cast<uint32_t>(codes[(i + 16) * kLanes + b]) << 4);
      }
    }
  }
}

void search_mxfp4(const SearchTable& search, const float* x, const float* w, size_t blocks,
                  std::byte* dst) {
  for (size_t first = 0; first < blocks; first += kLanes) {
    const size_t count = std::min(kLanes, blocks - first);
    Batch batch;
    load_batch(x + first * 32, w + first * 32, 32, count, batch);
    // At least 2: the inverse of half of 2^-127 is infinite, and makes no code of 0.
    int base[kLanes];
    for (size_t b = 0; b < kLanes; ++b) {
      float largest = 0;
      for (size_t i = 0; i < 32; ++i)
        largest = std::max(largest, std::fabs(batch.x[i * kLanes + b]));
      // The largest value falls on 4 to 8.
      base[b] = largest > 0 ? std::max(2, std::ilogb(largest) - 2 + 127) : 2;
    }
    int chosen[kLanes] = {};
    PerBlock scale{};
    choose_scale(search, batch, base, -1, 1, 254, e8m0_half, chosen, scale);
    int32_t codes[kMaxBlock * kLanes];
    search.codes_table(batch, kE2m1Table, scale, codes);
    for (size_t b = 0; b < count; ++b) {
      std::byte* block = dst + (first + b) * 17;
      block[0] = to_byte(static_cast<uint32_t>(chosen[b]));
      for (size_t i = 0; i < 16; ++i) {
        block[1 + i] =
            to_byte(kE2m1Codes[codes[i * kLanes + b]] |
                    static_cast<uint32_t>(kE2m1Codes[codes[(i + 16) * kLanes + b]]) << 4);
      }
    }
  }
}

void search_nvfp4(const SearchTable& search, const float* x, const float* w, size_t blocks,
                  std::byte* dst) {
  for (size_t first = 0; first < blocks; first += kLanes / 4) {
    const size_t count = std::min(kLanes / 4, blocks - first);
    Batch batch;
    load_batch(x + first * 64, w + first * 64, 16, count * 4, batch);
    int base[kLanes] = {};
    for (size_t b = 0; b < count * 4; ++b) {
      float largest = 0;
      for (size_t i = 0; i < 16; ++i)
        largest = std::max(largest, std::fabs(batch.x[i * kLanes + b]));
      base[b] = ue4m3_floor(largest / 12.0F);
    }
    int chosen[kLanes] = {};
    PerBlock scale{};
    // From two thirds of the range to a step past it: 6 of E2M1 may fall on 4.
    choose_scale(search, batch, base, -3, 6, 126, ue4m3_half, chosen, scale);
    int32_t codes[kMaxBlock * kLanes];
    search.codes_table(batch, kE2m1Table, scale, codes);
    for (size_t b = 0; b < count * 4; ++b) {
      std::byte* block = dst + (first + b / 4) * 36;
      block[b % 4] = to_byte(static_cast<uint32_t>(chosen[b]));
      for (size_t i = 0; i < 8; ++i) {
        block[4 + b % 4 * 8 + i] =
            to_byte(kE2m1Codes[codes[i * kLanes + b]] |
                    static_cast<uint32_t>(kE2m1Codes[codes[(i + 8) * kLanes + b]]) << 4);
      }
    }
  }
}

}  // namespace weir::quant
