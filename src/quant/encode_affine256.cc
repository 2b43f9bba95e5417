// Search for Q2_K, Q4_K and Q5_K: sub-blocks with a scale and a min of a few bits each, which d and
// dmin of 256 values multiply.
#include <algorithm>
#include <cmath>

#include "quant/blocks.h"
#include "quant/encoders.h"

namespace weir::quant {

namespace {

constexpr size_t kSuper = 256;

struct Format {
  AffineCodes codes;
  float level_max;  // of the scales and mins of sub-blocks
  size_t sub;       // values of a sub-block
  SearchSteps steps;
  int rounds;  // of: levels nearest to the best, then least squares for d and dmin
};
constexpr Format kQ2K{{3, true}, 15, 16, {-0.9F, 0.1F, 16, 2}, 4};
constexpr Format kQ4K{{15, true}, 63, 32, {-0.8F, 0.1F, 20, 2}, 2};
constexpr Format kQ5K{{31, true}, 63, 32, {-1.0F, 0.1F, 21, 2}, 2};

// The multipliers of a super-block and the levels of its sub-blocks.
struct Levels {
  Half d[2], dmin[2];   // of each super-block of the batch
  PerBlock scale, min;  // levels, as whole numbers; of the min negated
};

class Superblocks {
 public:
  Superblocks(const SearchTable& search, const Format& format, const float* x, const float* w,
              size_t count)
      : search_(search), format_(format), lanes_(kSuper / format.sub), count_(count) {
    load_batch(x, w, format.sub, count * lanes_, batch_);
    for (size_t b = 0; b < kLanes; ++b) weight_[b] = sum_x_[b] = 0;
    for (size_t i = 0; i < batch_.n; ++i) {
      for (size_t b = 0; b < kLanes; ++b) {
        const float wi = batch_.w[i * kLanes + b];
        weight_[b] += wi;
        sum_x_[b] += wi * batch_.x[i * kLanes + b];
      }
    }
  }

  void run() {
    PerBlock scale, min;
    search_.fit_affine(batch_, format_.codes, format_.steps, scale, min);
    Levels trial;
    for (size_t g = 0; g < count_; ++g) {
      float largest_scale = 0, largest_min = 0;
      for (size_t b = g * lanes_; b < (g + 1) * lanes_; ++b) {
        largest_scale = std::max(largest_scale, scale.at[b]);
        largest_min = std::max(largest_min, -min.at[b]);
      }
      trial.d[g] = to_half(largest_scale / format_.level_max);
      trial.dmin[g] = to_half(largest_min / format_.level_max);
      best_error_[g] = HUGE_VALF;
    }
    PerBlock wanted_scale = scale, wanted_min = min;
    for (int round = 0; round < format_.rounds; ++round) {
      choose_levels(wanted_scale, wanted_min, trial);
      for (size_t g = 0; g < count_; ++g) {
        float error = 0;
        for (size_t b = g * lanes_; b < (g + 1) * lanes_; ++b) error += sums_.error.at[b];
        if (error < best_error_[g]) keep(trial, g, error);
        if (round + 1 < format_.rounds) solve(g, trial);
      }
      // What the levels stood for before d and dmin moved.
      effective(trial, wanted_scale, wanted_min);
    }
  }

  const Levels& levels() const { return best_; }
  // [sub][kLanes]
  void codes(int32_t* out) const {
    PerBlock scale, min;
    effective(best_, scale, min);
    search_.codes_affine(batch_, format_.codes, scale, min, out);
  }

 private:
  static float level(float value, float unit, float max) {
    return unit == 0 ? 0 : std::clamp(std::nearbyint(value / unit), 0.0F, max);
  }

  void effective(const Levels& l, PerBlock& scale, PerBlock& min) const {
    for (size_t b = 0; b < kLanes; ++b) {
      const size_t g = b / lanes_;
      scale.at[b] = l.d[g].value * l.scale.at[b];
      min.at[b] = -(l.dmin[g].value * l.min.at[b]);
    }
  }

  // For each sub-block the best of the nine levels about those nearest to what it wants.
  void choose_levels(const PerBlock& wanted_scale, const PerBlock& wanted_min, Levels& l) {
    PerBlock base_scale, base_min;
    for (size_t b = 0; b < kLanes; ++b) {
      const size_t g = b / lanes_;
      base_scale.at[b] = level(wanted_scale.at[b], l.d[g].value, format_.level_max);
      base_min.at[b] = level(-wanted_min.at[b], l.dmin[g].value, format_.level_max);
      sums_.error.at[b] = HUGE_VALF;
    }
    for (int move = 0; move < 9; ++move) {
      static constexpr float kScaleMoves[9] = {0, 0, 0, -1, 1, -1, -1, 1, 1};
      static constexpr float kMinMoves[9] = {0, -1, 1, 0, 0, -1, 1, -1, 1};
      Levels tried = l;
      for (size_t b = 0; b < kLanes; ++b) {
        tried.scale.at[b] =
            std::clamp(base_scale.at[b] + kScaleMoves[move], 0.0F, format_.level_max);
        tried.min.at[b] = std::clamp(base_min.at[b] + kMinMoves[move], 0.0F, format_.level_max);
      }
      PerBlock scale, min;
      effective(tried, scale, min);
      BlockSums sums;
      search_.sum_affine(batch_, format_.codes, scale, min, sums);
      for (size_t b = 0; b < kLanes; ++b) {
        if (!(sums.error.at[b] < sums_.error.at[b])) continue;
        l.scale.at[b] = tried.scale.at[b];
        l.min.at[b] = tried.min.at[b];
        sums_.error.at[b] = sums.error.at[b];
        sums_.q.at[b] = sums.q.at[b];
        sums_.qq.at[b] = sums.qq.at[b];
        sums_.xq.at[b] = sums.xq.at[b];
      }
    }
  }

  void keep(const Levels& l, size_t g, float error) {
    best_error_[g] = error;
    best_.d[g] = l.d[g];
    best_.dmin[g] = l.dmin[g];
    for (size_t b = g * lanes_; b < (g + 1) * lanes_; ++b) {
      best_.scale.at[b] = l.scale.at[b];
      best_.min.at[b] = l.min.at[b];
    }
  }

  // d and dmin by least squares for the levels and codes of super-block g.
  void solve(size_t g, Levels& l) const {
    double ss = 0, sm = 0, mm = 0, sx = 0, mx = 0;
    for (size_t b = g * lanes_; b < (g + 1) * lanes_; ++b) {
      const double s = l.scale.at[b], m = -l.min.at[b];
      ss += s * s * sums_.qq.at[b];
      sm += s * m * sums_.q.at[b];
      mm += m * m * weight_[b];
      sx += s * sums_.xq.at[b];
      mx += m * sum_x_[b];
    }
    const double det = ss * mm - sm * sm;
    if (mm == 0 && ss > 0) {
      l.d[g] = to_half(static_cast<float>(sx / ss));
    } else if (det > 1e-9 * ss * mm) {
      const auto d = static_cast<float>((sx * mm - mx * sm) / det);
      const auto dmin = static_cast<float>((ss * mx - sm * sx) / det);
      if (d > 0 && dmin > 0) {
        l.d[g] = to_half(d);
        l.dmin[g] = to_half(dmin);
      }
    }
  }

  const SearchTable& search_;
  const Format& format_;
  size_t lanes_;  // sub-blocks of a super-block
  size_t count_;  // super-blocks
  Batch batch_;
  float weight_[kLanes], sum_x_[kLanes];
  BlockSums sums_;  // of the levels chosen last
  Levels best_;
  float best_error_[2] = {};
};

uint32_t level_bits(float level) { return static_cast<uint32_t>(level); }

// The 12 bytes of blocks256.cc (ScaleMin).
void pack_scales(const Levels& l, size_t first, std::byte* dst) {
  for (size_t i = 0; i < 4; ++i) {
    const uint32_t low_scale = level_bits(l.scale.at[first + i]);
    const uint32_t low_min = level_bits(l.min.at[first + i]);
    const uint32_t high_scale = level_bits(l.scale.at[first + i + 4]);
    const uint32_t high_min = level_bits(l.min.at[first + i + 4]);
    dst[i] = to_byte(low_scale | high_scale >> 4 << 6);
    dst[i + 4] = to_byte(low_min | high_min >> 4 << 6);
    dst[i + 8] = to_byte((high_scale & 15U) | (high_min & 15U) << 4);
  }
}

void search_q45(const SearchTable& search, const float* x, const float* w, size_t blocks,
                std::byte* dst, const Format& format, bool five_bits) {
  const size_t block_bytes = five_bits ? 176 : 144;
  for (size_t first = 0; first < blocks; first += 2) {
    const size_t count = std::min<size_t>(2, blocks - first);
    Superblocks super(search, format, x + first * kSuper, w + first * kSuper, count);
    super.run();
    int32_t codes[kMaxBlock * kLanes];
    super.codes(codes);
    for (size_t g = 0; g < count; ++g) {
      std::byte* block = dst + (first + g) * block_bytes;
      store_u16(block, super.levels().d[g].bits);
      store_u16(block + 2, super.levels().dmin[g].bits);
      pack_scales(super.levels(), g * 8, block + 4);
      const auto code = [&](size_t i) {
        return static_cast<uint32_t>(codes[i % 32 * kLanes + g * 8 + i / 32]);
      };
      std::byte* nibbles = block + (five_bits ? 48 : 16);
      for (size_t i = 0; i < 128; ++i) {
        const size_t at = i / 32 * 64 + i % 32;
        nibbles[i] = to_byte((code(at) & 15U) | (code(at + 32) & 15U) << 4);
      }
      if (!five_bits) continue;
      for (size_t i = 0; i < 32; ++i) {
        uint32_t fifth = 0;
        for (size_t s = 0; s < 8; ++s) fifth |= code(s * 32 + i) >> 4 << s;
        block[16 + i] = to_byte(fifth);
      }
    }
  }
}

}  // namespace

void search_q4_k(const SearchTable& search, const float* x, const float* w, size_t blocks,
                 std::byte* dst) {
  search_q45(search, x, w, blocks, dst, kQ4K, false);
}

void search_q5_k(const SearchTable& search, const float* x, const float* w, size_t blocks,
                 std::byte* dst) {
  search_q45(search, x, w, blocks, dst, kQ5K, true);
}

void search_q2_k(const SearchTable& search, const float* x, const float* w, size_t blocks,
                 std::byte* dst) {
  for (size_t b = 0; b < blocks; ++b) {
    Superblocks super(search, kQ2K, x + b * kSuper, w + b * kSuper, 1);
    super.run();
    int32_t codes[kMaxBlock * kLanes];
    super.codes(codes);
    std::byte* block = dst + b * 84;
    for (size_t s = 0; s < 16; ++s) {
      block[s] = to_byte(level_bits(super.levels().scale.at[s]) |
                         level_bits(super.levels().min.at[s]) << 4);
    }
    for (size_t i = 0; i < 64; ++i) {
      uint32_t four = 0;
      for (size_t part = 0; part < 4; ++part) {
        const size_t at = i / 32 * 128 + part * 32 + i % 32;
        four |= static_cast<uint32_t>(codes[at % 16 * kLanes + at / 16]) << (2 * part);
      }
      block[16 + i] = to_byte(four);
    }
    store_u16(block + 80, super.levels().d[0].bits);
    store_u16(block + 82, super.levels().dmin[0].bits);
  }
}

}  // namespace weir::quant
