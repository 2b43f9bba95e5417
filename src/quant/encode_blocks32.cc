// Search for the formats with one scale (and min) for 32 values.
#include <algorithm>
#include <cmath>

#include "quant/blocks.h"
#include "quant/encoders.h"

namespace weir::quant {

namespace {

constexpr size_t kBlock = 32;
constexpr size_t kHalf = kBlock / 2;

// Steps of four tenths of a code around the largest value, up to one and a half codes past the
// range: importance can say that the largest value is not worth its range. Finer steps and a second
// refinement take a thousandth off the error and add a third to the time.
constexpr SearchSteps kSymmetricSteps{-0.9F, 0.4F, 7, 1};
// The first of these has one code left over: 16 values on a grid come out exactly in 31 steps.
constexpr SearchSteps kAffineSteps{-1.0F, 0.1F, 21, 2};

// What the halves of a batch share: nibbles of values i and i + 16, then the fifth bits.
void pack_codes(const int32_t* codes, size_t lane, bool five_bits, std::byte* dst) {
  uint32_t fifth = 0;
  std::byte* nibbles = dst + (five_bits ? 4 : 0);
  for (size_t i = 0; i < kHalf; ++i) {
    const auto low = static_cast<uint32_t>(codes[i * kLanes + lane]);
    const auto high = static_cast<uint32_t>(codes[(i + kHalf) * kLanes + lane]);
    nibbles[i] = static_cast<std::byte>((low & 15U) | (high & 15U) << 4);
    fifth |= (low >> 4) << i | (high >> 4) << (i + kHalf);
  }
  if (five_bits) std::memcpy(dst, &fifth, sizeof fifth);
}

void search_symmetric(const SearchTable& search, const float* x, const float* w, size_t blocks,
                      std::byte* dst, const SymmetricCodes& codes, bool five_bits) {
  const size_t block_bytes = five_bits ? 22 : 18;
  for (size_t first = 0; first < blocks; first += kLanes) {
    const size_t count = std::min(kLanes, blocks - first);
    Batch batch;
    load_batch(x + first * kBlock, w + first * kBlock, kBlock, count, batch);
    PerBlock scale;
    search.fit_symmetric(batch, codes, kSymmetricSteps, scale);
    uint16_t bits[kLanes];
    round_to_half(scale, bits);
    int32_t out[kBlock * kLanes];
    search.codes_symmetric(batch, codes, scale, out);
    for (size_t b = 0; b < count; ++b) {
      std::byte* block = dst + (first + b) * block_bytes;
      store_u16(block, bits[b]);
      pack_codes(out, b, five_bits, block + 2);
    }
  }
}

// The f16 `steps` away in magnitude, or the same where that leaves the numbers of its sign.
Half neighbour(Half h, int steps) {
  const int magnitude = (h.bits & 0x7fff) + steps;
  if (magnitude <= 0 || magnitude > 0x7bff) return h;
  const auto bits = static_cast<uint16_t>((h.bits & 0x8000) | magnitude);
  return {bits, f16_to_f32(bits)};
}

// Scales and mins as f16, of the nine about what was found those with the smallest error: rounding
// moves all values of a block together.
struct HalfAffine {
  Half scale[kLanes], min[kLanes];
  PerBlock scale_value, min_value;
};

HalfAffine round_affine(const SearchTable& search, const Batch& batch, const AffineCodes& codes,
                        const PerBlock& scale, const PerBlock& min) {
  HalfAffine best{};
  PerBlock error;
  for (float& e : error.at) e = HUGE_VALF;
  for (int move = 0; move < 9; ++move) {
    HalfAffine tried;
    for (size_t b = 0; b < kLanes; ++b) {
      tried.scale[b] = neighbour(to_half(scale.at[b]), (move + 1) % 3 - 1);
      tried.min[b] = neighbour(to_half(min.at[b]), (move / 3 + 1) % 3 - 1);
      tried.scale_value.at[b] = tried.scale[b].value;
      tried.min_value.at[b] = tried.min[b].value;
    }
    BlockSums sums;
    search.sum_affine(batch, codes, tried.scale_value, tried.min_value, sums);
    for (size_t b = 0; b < kLanes; ++b) {
      if (!(sums.error.at[b] < error.at[b])) continue;
      error.at[b] = sums.error.at[b];
      best.scale[b] = tried.scale[b];
      best.min[b] = tried.min[b];
      best.scale_value.at[b] = tried.scale[b].value;
      best.min_value.at[b] = tried.min[b].value;
    }
  }
  return best;
}

void search_affine(const SearchTable& search, const float* x, const float* w, size_t blocks,
                   std::byte* dst, const AffineCodes& codes, bool five_bits) {
  const size_t block_bytes = five_bits ? 24 : 20;
  for (size_t first = 0; first < blocks; first += kLanes) {
    const size_t count = std::min(kLanes, blocks - first);
    Batch batch;
    load_batch(x + first * kBlock, w + first * kBlock, kBlock, count, batch);
    PerBlock scale, min;
    search.fit_affine(batch, codes, kAffineSteps, scale, min);
    const HalfAffine best = round_affine(search, batch, codes, scale, min);
    int32_t out[kBlock * kLanes];
    search.codes_affine(batch, codes, best.scale_value, best.min_value, out);
    for (size_t b = 0; b < count; ++b) {
      std::byte* block = dst + (first + b) * block_bytes;
      store_u16(block, best.scale[b].bits);
      store_u16(block + 2, best.min[b].bits);
      pack_codes(out, b, five_bits, block + 4);
    }
  }
}

}  // namespace

void search_q4_0(const SearchTable& search, const float* x, const float* w, size_t blocks,
                 std::byte* dst) {
  search_symmetric(search, x, w, blocks, dst, {-8, 7}, false);
}

void search_q5_0(const SearchTable& search, const float* x, const float* w, size_t blocks,
                 std::byte* dst) {
  search_symmetric(search, x, w, blocks, dst, {-16, 15}, true);
}

void search_q4_1(const SearchTable& search, const float* x, const float* w, size_t blocks,
                 std::byte* dst) {
  search_affine(search, x, w, blocks, dst, {15, false}, false);
}

void search_q5_1(const SearchTable& search, const float* x, const float* w, size_t blocks,
                 std::byte* dst) {
  search_affine(search, x, w, blocks, dst, {31, false}, true);
}

}  // namespace weir::quant
