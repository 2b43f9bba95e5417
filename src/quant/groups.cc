#include "quant/groups.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "quant/e4m3.h"
#include "quant/half.h"

namespace weir::quant {
namespace {

constexpr size_t kSums = 8;          // side by side, which the compiler makes a vector of
constexpr float kRound = 0x1.8p23F;  // plus this, minus this: the nearest integer, below 2^22

// What a scale is judged by, over a group: the weighted squared error, and the sums of least
// squares over the codes q that it gives.
struct Sums {
  float error = 0;
  float xq = 0, qq = 0;
};

// The weight of every value where none are given.
struct Alike {
  float operator[](size_t /*i*/) const { return 1; }
};

// round(x / scale) gives the code's value in steps of the scale.
template <typename Weights, typename Round>
Sums sum_up(std::span<const float> x, Weights weights, float scale, Round round) {
  const float inverse = 1.0F / scale;
  std::array<float, kSums> error{}, xq{}, qq{};
  const auto add = [&](size_t lane, float value, float weight) {
    const float q = round(value * inverse);
    const float rest = value - q * scale;
    error[lane] += weight * rest * rest;
    xq[lane] += weight * value * q;
    qq[lane] += weight * q * q;
  };
  size_t i = 0;
  for (; i + kSums <= x.size(); i += kSums) {
    for (size_t lane = 0; lane < kSums; ++lane) add(lane, x[i + lane], weights[i + lane]);
  }
  for (size_t lane = 0; i < x.size(); ++i, ++lane) add(lane, x[i], weights[i]);
  Sums sums;
  for (size_t lane = 0; lane < kSums; ++lane) {
    sums.error += error[lane];
    sums.xq += xq[lane];
    sums.qq += qq[lane];
  }
  return sums;
}

// The best scale so far; `zero` rides along.
struct Best {
  float error = std::numeric_limits<float>::infinity();
  IntegerScale scale = {std::numeric_limits<float>::infinity(), 0};
  Sums sums;

  void take(float scale_value, int zero, const Sums& s) {
    if (!(s.error < error)) return;
    error = s.error;
    scale = {scale_value, zero};
    sums = s;
  }
};

// Least squares over the codes of the best scale, then codes again, twice.
template <typename Try>
void refine(Best& best, ScaleType type, Try try_scale) {
  for (int round = 0; round < 2; ++round) {
    if (!(best.sums.qq > 0) || !(best.sums.xq > 0)) return;
    try_scale(round_scale(best.sums.xq / best.sums.qq, type), best.scale.zero);
  }
}

float largest_of(std::span<const float> values) {
  float largest = 0;
  for (const float v : values) largest = std::max(largest, std::fabs(v));
  return largest;
}

float e4m3_nearest(float value) { return e4m3_to_f32(f32_to_e4m3(value)); }

}  // namespace

float round_scale(float scale, ScaleType type) {
  switch (type) {
    case ScaleType::kF16:
      return std::max(f16_to_f32(f32_to_f16(scale)), 0x1p-24F);
    case ScaleType::kBF16:
      return std::max(bf16_to_f32(f32_to_bf16(scale)), std::numeric_limits<float>::min());
    case ScaleType::kF32:
      break;
  }
  return std::max(scale, std::numeric_limits<float>::min());
}

IntegerScale fit_integers(std::span<const float> values, const IntegerCodes& codes, ScaleType type,
                          std::span<const float> weights) {
  const int middle = 1 << (codes.bits - 1);
  const int top = 2 * middle - 1;
  float low = 0, high = 0;
  for (const float v : values) {
    low = std::min(low, v);
    high = std::max(high, v);
  }
  if (low == high) return {1, codes.symmetric ? middle : std::max(codes.least_zero, 0)};
  Best best;
  const auto try_scale = [&](float scale, int zero) {
    const auto least = static_cast<float>(-zero), most = static_cast<float>(top - zero);
    const auto round = [&](float x) { return (std::clamp(x, least, most) + kRound) - kRound; };
    best.take(scale, zero,
              weights.empty() ? sum_up(values, Alike(), scale, round)
                              : sum_up(values, weights, scale, round));
  };
  const float whole = codes.symmetric ? std::max(high / static_cast<float>(middle - 1),
                                                 -low / static_cast<float>(middle))
                                      : (high - low) / static_cast<float>(top);
  if (std::isinf(round_scale(whole, type))) return best.scale;
  // Ranges from the whole group's down. With few codes the largest values may be cut by 40 % for
  // what the others gain, with many by far less.
  constexpr int kSteps = 20;
  const float step = codes.bits == 4 ? 0.02F : 0.01F;
  for (int i = 0; i <= kSteps; ++i) {
    const float part = 1.0F - static_cast<float>(i) * step;
    const float scale = round_scale(whole * part, type);
    if (codes.symmetric) {
      try_scale(scale, middle);
      continue;
    }
    const auto zero = static_cast<int>(std::lround(std::min(-low * part / scale, 255.0F)));
    for (int move = -1; move <= 1; ++move)
      try_scale(scale, std::clamp(zero + move, codes.least_zero, top));
  }
  refine(best, type, try_scale);
  return best.scale;
}

void encode_integers(std::span<const float> values, const IntegerScale& scale, int bits,
                     std::span<uint8_t> to) {
  const auto least = static_cast<float>(-scale.zero);
  const auto most = static_cast<float>((1 << bits) - 1 - scale.zero);
  const float inverse = 1.0F / scale.scale;
  for (size_t i = 0; i < values.size(); ++i) {
    const float q = (std::clamp(values[i] * inverse, least, most) + kRound) - kRound;
    to[i] = static_cast<uint8_t>(static_cast<int>(q) + scale.zero);
  }
}

float fit_e4m3(std::span<const float> values, ScaleType type) {
  // The largest value falls on 448 or, as precision is the same in every octave, on a part of it;
  // or a little is cut off.
  constexpr std::array<float, 10> kParts = {1,     0.92F, 1.09F, 1.19F, 1.297F,
                                            1.41F, 1.54F, 1.68F, 1.83F, 0.84F};
  const float largest = largest_of(values);
  if (largest == 0) return 1;
  Best best;
  const auto try_scale = [&](float scale, int zero) {
    best.take(scale, zero, sum_up(values, Alike(), scale, e4m3_nearest));
  };
  if (std::isinf(round_scale(largest / kMaxE4m3 * 2, type))) return best.scale.scale;
  for (const float part : kParts) try_scale(round_scale(largest / kMaxE4m3 * part, type), 0);
  refine(best, type, try_scale);
  return best.scale.scale;
}

void encode_e4m3(std::span<const float> values, float scale, std::span<uint8_t> to) {
  const float inverse = 1.0F / scale;
  for (size_t i = 0; i < values.size(); ++i) to[i] = f32_to_e4m3(values[i] * inverse);
}

}  // namespace weir::quant
