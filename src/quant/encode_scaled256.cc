// Search for Q3_K, Q6_K and IQ4_XS: sub-blocks with a signed scale of a few bits, which d of 256
// values multiplies.
#include <algorithm>
#include <cmath>

#include "quant/blocks.h"
#include "quant/encoders.h"
#include "quant/four_bit_values.h"

namespace weir::quant {

namespace {

constexpr size_t kSuper = 256;

struct Format {
  const TableCodes* table;  // or nullptr: `codes`
  SymmetricCodes codes;
  float level_min, level_max;  // of the scales of sub-blocks
  size_t sub;                  // values of a sub-block
  SearchSteps steps;
  int rounds;  // of: levels nearest to the best, then least squares for d
};

constexpr TableCodes iq4_table() {
  TableCodes table{};
  for (size_t i = 0; i < kTableSize; ++i) table.value[i] = kIq4Values[i];
  return table;
}
constexpr TableCodes kIq4Table = iq4_table();

constexpr Format kQ3K{nullptr, {-4, 3}, -32, 31, 16, {-0.9F, 0.15F, 16, 2}, 3};
constexpr Format kQ6K{nullptr, {-32, 31}, -128, 127, 16, {-0.9F, 0.15F, 16, 2}, 2};
constexpr Format kIq4Xs{&kIq4Table, {}, -32, 31, 32, {-7, 1.5F, 12, 1}, 2};

class Superblocks {
 public:
  Superblocks(const SearchTable& search, const Format& format, const float* x, const float* w,
              size_t count)
      : search_(search), format_(format), lanes_(kSuper / format.sub), count_(count) {
    load_batch(x, w, format.sub, count * lanes_, batch_);
  }

  void run() {
    PerBlock wanted;
    if (format_.table != nullptr) {
      search_.fit_table(batch_, *format_.table, format_.steps, wanted);
    } else {
      search_.fit_symmetric(batch_, format_.codes, format_.steps, wanted);
    }
    for (size_t g = 0; g < count_; ++g) {
      float largest = 0;
      for (size_t b = g * lanes_; b < (g + 1) * lanes_; ++b) {
        if (std::fabs(wanted.at[b]) > std::fabs(largest)) largest = wanted.at[b];
      }
      trial_d_[g] = to_half(largest / format_.level_min);
      best_error_[g] = HUGE_VALF;
    }
    for (int round = 0; round < format_.rounds; ++round) {
      PerBlock level;
      choose_levels(wanted, level);
      for (size_t g = 0; g < count_; ++g) finish_round(g, level);
      for (size_t b = 0; b < kLanes; ++b) wanted.at[b] = trial_d_[b / lanes_].value * level.at[b];
    }
  }

  Half d(size_t g) const { return d_[g]; }
  int level(size_t b) const { return static_cast<int>(level_.at[b]); }
  void codes(int32_t* out) const {
    PerBlock scale;
    for (size_t b = 0; b < kLanes; ++b) scale.at[b] = d_[b / lanes_].value * level_.at[b];
    if (format_.table != nullptr) {
      search_.codes_table(batch_, *format_.table, scale, out);
    } else {
      search_.codes_symmetric(batch_, format_.codes, scale, out);
    }
  }

 private:
  void choose_levels(const PerBlock& wanted, PerBlock& level) {
    PerBlock base;
    for (size_t b = 0; b < kLanes; ++b) {
      const float d = trial_d_[b / lanes_].value;
      base.at[b] = d == 0 ? 0 : std::nearbyint(wanted.at[b] / d);
      level.at[b] = 0;
      sums_.error.at[b] = HUGE_VALF;
    }
    for (const float move : {0.0F, -1.0F, 1.0F}) {
      PerBlock tried, scale;
      for (size_t b = 0; b < kLanes; ++b) {
        tried.at[b] = std::clamp(base.at[b] + move, format_.level_min, format_.level_max);
        scale.at[b] = trial_d_[b / lanes_].value * tried.at[b];
      }
      BlockSums sums;
      if (format_.table != nullptr) {
        search_.sum_table(batch_, *format_.table, scale, sums);
      } else {
        search_.sum_symmetric(batch_, format_.codes, scale, sums);
      }
      for (size_t b = 0; b < kLanes; ++b) {
        if (!(sums.error.at[b] < sums_.error.at[b])) continue;
        level.at[b] = tried.at[b];
        sums_.error.at[b] = sums.error.at[b];
        sums_.qq.at[b] = sums.qq.at[b];
        sums_.xq.at[b] = sums.xq.at[b];
      }
    }
  }

  // Keeps super-block g if it is the best so far, and gives it the d that suits its codes.
  void finish_round(size_t g, const PerBlock& level) {
    float error = 0;
    double ll = 0, lx = 0;
    for (size_t b = g * lanes_; b < (g + 1) * lanes_; ++b) {
      const double l = level.at[b];
      error += sums_.error.at[b];
      ll += l * l * sums_.qq.at[b];
      lx += l * sums_.xq.at[b];
    }
    if (error < best_error_[g]) {
      best_error_[g] = error;
      d_[g] = trial_d_[g];
      for (size_t b = g * lanes_; b < (g + 1) * lanes_; ++b) level_.at[b] = level.at[b];
    }
    if (ll > 0) trial_d_[g] = to_half(static_cast<float>(lx / ll));
  }

  const SearchTable& search_;
  const Format& format_;
  size_t lanes_;  // sub-blocks of a super-block
  size_t count_;  // super-blocks
  Batch batch_;
  BlockSums sums_;  // of the levels chosen last
  Half trial_d_[2], d_[2];
  PerBlock level_{};
  float best_error_[2] = {};
};

}  // namespace

void search_q3_k(const SearchTable& search, const float* x, const float* w, size_t blocks,
                 std::byte* dst) {
  for (size_t b = 0; b < blocks; ++b) {
    Superblocks super(search, kQ3K, x + b * kSuper, w + b * kSuper, 1);
    super.run();
    int32_t codes[kMaxBlock * kLanes];
    super.codes(codes);
    const auto code = [&](size_t i) {
      return static_cast<uint32_t>(codes[i % 16 * kLanes + i / 16]);
    };
    std::byte* block = dst + b * 110;
    for (size_t i = 0; i < 32; ++i) {
      uint32_t high = 0;  // set: no offset of 4
      for (size_t part = 0; part < 8; ++part) high |= (code(part * 32 + i) >> 2) << part;
      block[i] = to_byte(high);
    }
    for (size_t i = 0; i < 64; ++i) {
      uint32_t four = 0;
      for (size_t part = 0; part < 4; ++part)
        four |= (code(i / 32 * 128 + part * 32 + i % 32) & 3U) << (2 * part);
      block[32 + i] = to_byte(four);
    }
    uint32_t levels[16];
    for (size_t s = 0; s < 16; ++s) levels[s] = static_cast<uint32_t>(super.level(s) + 32);
    for (size_t s = 0; s < 8; ++s)
      block[96 + s] = to_byte((levels[s] & 15U) | (levels[s + 8] & 15U) << 4);
    for (size_t s = 0; s < 4; ++s) {
      block[104 + s] = to_byte(levels[s] >> 4 | levels[s + 4] >> 4 << 2 | levels[s + 8] >> 4 << 4 |
                               levels[s + 12] >> 4 << 6);
    }
    store_u16(block + 108, super.d(0).bits);
  }
}

void search_q6_k(const SearchTable& search, const float* x, const float* w, size_t blocks,
                 std::byte* dst) {
  for (size_t b = 0; b < blocks; ++b) {
    Superblocks super(search, kQ6K, x + b * kSuper, w + b * kSuper, 1);
    super.run();
    int32_t codes[kMaxBlock * kLanes];
    super.codes(codes);
    const auto code = [&](size_t i) {
      return static_cast<uint32_t>(codes[i % 16 * kLanes + i / 16]);
    };
    std::byte* block = dst + b * 210;
    for (size_t i = 0; i < 128; ++i) {
      const size_t at = i / 64 * 128 + i % 64;
      block[i] = to_byte((code(at) & 15U) | (code(at + 64) & 15U) << 4);
    }
    for (size_t i = 0; i < 64; ++i) {
      uint32_t four = 0;
      for (size_t part = 0; part < 4; ++part)
        four |= (code(i / 32 * 128 + part * 32 + i % 32) >> 4) << (2 * part);
      block[128 + i] = to_byte(four);
    }
    for (size_t s = 0; s < 16; ++s)
      block[192 + s] = to_byte(static_cast<uint32_t>(super.level(s)) & 255U);
    store_u16(block + 208, super.d(0).bits);
  }
}

void search_iq4_xs(const SearchTable& search, const float* x, const float* w, size_t blocks,
                   std::byte* dst) {
  for (size_t first = 0; first < blocks; first += 2) {
    const size_t count = std::min<size_t>(2, blocks - first);
    Superblocks super(search, kIq4Xs, x + first * kSuper, w + first * kSuper, count);
    super.run();
    int32_t codes[kMaxBlock * kLanes];
    super.codes(codes);
    for (size_t g = 0; g < count; ++g) {
      std::byte* block = dst + (first + g) * 136;
      store_u16(block, super.d(g).bits);
      uint32_t high = 0;
      for (size_t s = 0; s < 8; ++s) {
        const auto level = static_cast<uint32_t>(super.level(g * 8 + s) + 32);
        high |= level >> 4 << (2 * s);
        const std::byte nibble = to_byte((level & 15U) << (s % 2 * 4));
        block[4 + s / 2] = s % 2 == 0 ? nibble : block[4 + s / 2] | nibble;
      }
      store_u16(block + 2, static_cast<uint16_t>(high));
      for (size_t s = 0; s < 8; ++s) {
        for (size_t i = 0; i < 16; ++i) {
          const auto low = static_cast<uint32_t>(codes[i * kLanes + g * 8 + s]);
          const auto upper = static_cast<uint32_t>(codes[(i + 16) * kLanes + g * 8 + s]);
          block[8 + s * 16 + i] = to_byte(low | upper << 4);
        }
      }
    }
  }
}

}  // namespace weir::quant
