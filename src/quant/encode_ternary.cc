// TQ1_0 and TQ2_0: 256 values of -d, 0 and d. The best choice is found exactly: whatever d is, the
// values that become ±d are the largest ones, and for a given number of them d is their weighted
// mean.
#include <algorithm>
#include <array>
#include <cmath>

#include "quant/blocks.h"
#include "quant/encoders.h"

namespace weir::quant {

namespace {

constexpr size_t kBlock = 256;

// Digits 0, 1 and 2 for -d, 0 and d.
struct Ternary {
  Half d;
  std::array<uint8_t, kBlock> digit;
};

Ternary fit(const float* x, const float* w) {
  std::array<uint16_t, kBlock> order;
  for (size_t i = 0; i < kBlock; ++i) order[i] = static_cast<uint16_t>(i);
  std::sort(order.begin(), order.end(), [&](uint16_t a, uint16_t b) {
    return std::fabs(x[a]) != std::fabs(x[b]) ? std::fabs(x[a]) > std::fabs(x[b]) : a < b;
  });
  double sum_w = 0, sum_wx = 0, best_gain = 0, best = 0;
  for (const uint16_t i : order) {
    sum_w += w[i];
    sum_wx += static_cast<double>(w[i]) * std::fabs(x[i]);
    if (sum_w <= 0) continue;
    // What d = sum_wx / sum_w takes off the error.
    const double gain = sum_wx * sum_wx / sum_w;
    if (gain > best_gain) {
      best_gain = gain;
      best = sum_wx / sum_w;
    }
  }
  Ternary out{to_half(static_cast<float>(best)), {}};
  for (size_t i = 0; i < kBlock; ++i) {
    const bool zero = std::fabs(x[i]) <= 0.5F * out.d.value;
    out.digit[i] = zero ? 1 : x[i] < 0 ? 0 : 2;
  }
  return out;
}

// Five digits as the fraction that decode_tq1_0 takes apart.
std::byte pack_digits(const uint8_t* digit, size_t stride, size_t count) {
  uint32_t number = 0;
  for (size_t k = 0; k < 5; ++k) number = number * 3 + (k < count ? digit[k * stride] : 0U);
  return static_cast<std::byte>((number * 256 + 242) / 243);
}

}  // namespace

void search_tq1_0(const SearchTable& /*search*/, const float* x, const float* w, size_t blocks,
                  std::byte* dst) {
  for (size_t b = 0; b < blocks; ++b) {
    const Ternary t = fit(x + b * kBlock, w + b * kBlock);
    std::byte* block = dst + b * 54;
    const uint8_t* digit = t.digit.data();
    for (size_t i = 0; i < 32; ++i) block[i] = pack_digits(digit + i, 32, 5);
    for (size_t i = 0; i < 16; ++i) block[32 + i] = pack_digits(digit + 160 + i, 16, 5);
    for (size_t i = 0; i < 4; ++i) block[48 + i] = pack_digits(digit + 240 + i, 4, 4);
    store_u16(block + 52, t.d.bits);
  }
}

void search_tq2_0(const SearchTable& /*search*/, const float* x, const float* w, size_t blocks,
                  std::byte* dst) {
  for (size_t b = 0; b < blocks; ++b) {
    const Ternary t = fit(x + b * kBlock, w + b * kBlock);
    std::byte* block = dst + b * 66;
    for (size_t i = 0; i < 64; ++i) {
      uint32_t four = 0;
      for (size_t part = 0; part < 4; ++part)
        four |= static_cast<uint32_t>(t.digit[i / 32 * 128 + part * 32 + i % 32]) << (2 * part);
      block[i] = static_cast<std::byte>(four);
    }
    store_u16(block + 64, t.d.bits);
  }
}

}  // namespace weir::quant
