// Search for IQ1, IQ2 and IQ3: codes that stand for a row of four or eight magnitudes, units of 16
// or 32 values with a scale of a few bits, which d of 256 values multiplies. Every row of the book
// is tried at every scale that is; with the sums of search.h that takes four operations a row.
#include <algorithm>
#include <bit>
#include <cmath>
#include <span>
#include <vector>

#include "quant/blocks.h"
#include "quant/codebooks.h"
#include "quant/encoders.h"

namespace weir::quant {

namespace {

constexpr size_t kSuper = 256;
constexpr size_t kMaxUnits = 16;

// A book side by side, as the search takes it.
class Book {
 public:
  // value(row, i): value i of a row.
  template <typename Value>
  Book(size_t n, size_t rows, Value value) : values_(n * rows), book_{values_.data(), n, rows} {
    for (size_t i = 0; i < n; ++i) {
      for (size_t row = 0; row < rows; ++row) values_[i * rows + row] = value(row, i);
    }
  }
  Book(const Book&) = delete;
  Book& operator=(const Book&) = delete;
  const GridBook& grid() const { return book_; }

 private:
  std::vector<float> values_;
  GridBook book_;
};

template <const uint16_t* Codebook>
float iq2_value(size_t row, size_t i) {
  return kIq2Values[Codebook[row] >> (2 * i) & 3];
}
const Book& iq2_xxs_book() {
  static const Book book(8, 256, iq2_value<kIq2XxsCodebook>);
  return book;
}
const Book& iq2_xs_book() {
  static const Book book(8, 512, iq2_value<kIq2XsCodebook>);
  return book;
}
const Book& iq2_s_book() {
  static const Book book(8, 1024, iq2_value<kIq2SCodebook>);
  return book;
}

const Book& iq3_xxs_book() {
  static const Book book(
      4, 256, [](size_t r, size_t i) { return kIq3XxsValues[kIq3XxsCodebook[r] >> (3 * i) & 7]; });
  return book;
}

const Book& iq3_s_book() {
  static const Book book(
      4, 512, [](size_t r, size_t i) { return kIq3SValues[kIq3SCodebook[r] >> (3 * i) & 7]; });
  return book;
}

constexpr float kIq1Delta = 0.125F;
constexpr size_t kIq1Rows = 2048;

// Rows raised by the delta, then rows lowered by it.
float iq1_value(size_t row, size_t i) {
  return kIq1Values[kIq1SCodebook[row % kIq1Rows] >> (2 * i) & 3] +
         (row < kIq1Rows ? kIq1Delta : -kIq1Delta);
}
const Book& iq1_raised() {
  static const Book book(8, kIq1Rows, iq1_value);
  return book;
}
const Book& iq1_lowered() {
  static const Book book(8, kIq1Rows,
                         [](size_t r, size_t i) { return iq1_value(r + kIq1Rows, i); });
  return book;
}
const Book& iq1_both() {
  static const Book book(8, 2 * kIq1Rows, iq1_value);
  return book;
}

// How the signs of values are kept.
enum class Signs : uint8_t {
  kInRows,  // nowhere else
  kEven,    // seven bits for eight values: the number of minus signs is even
  kFree,    // a bit for each value
};

struct Format {
  size_t unit;  // values that share a scale
  Signs signs;
  float multiple, step;  // the scale of a unit is d * (multiple + step * level)
  int levels;
  float top;          // the largest value of a row
  float first, last;  // scales tried first, relative to the one that puts top on the largest
  float flat = 0;     // one more such scale, for values that are all alike; 0: none
};

constexpr int kTried = 12;       // scales of a unit that are tried
constexpr int kRefinements = 2;  // rounds of: rows nearest at the scale so far, then least squares
constexpr int kRounds = 3;       // of: levels nearest to the best scales, then least squares for d

constexpr Format kIq2Xxs{32, Signs::kEven, 0.125F, 0.25F, 16, 43, 0.6F, 1.15F, 43.0F / 8};
constexpr Format kIq2Xs{16, Signs::kEven, 0.125F, 0.25F, 16, 43, 0.6F, 1.15F, 43.0F / 8};
constexpr Format kIq2S{16, Signs::kFree, 0.125F, 0.25F, 16, 43, 0.6F, 1.15F, 43.0F / 8};
constexpr Format kIq3Xxs{32, Signs::kEven, 0.25F, 0.5F, 16, 62, 0.7F, 1.25F, 62.0F / 4};
constexpr Format kIq3S{32, Signs::kFree, 1, 2, 16, 15, 0.7F, 1.25F, 15};
constexpr Format kIq1S{32, Signs::kInRows, 1, 2, 8, 1.125F, 0.3F, 1.1F};
constexpr Format kIq1M{16, Signs::kInRows, 1, 2, 8, 1.125F, 0.3F, 1.1F};

struct Unit {
  GridUnit target;        // of magnitudes where the signs are kept apart
  uint8_t signs[4] = {};  // bit j of byte k: value 8 * k + j is turned around
  size_t book = 0;
  float scale = 0;  // that its rows like best
  int level = 0;
  GridChoice choice;
};

// The number of minus signs becomes even: where it costs least a value gets the wrong one.
void make_even(float* target, const float* w, uint8_t& signs) {
  if (std::popcount(signs) % 2 == 0) return;
  size_t least = 0;
  for (size_t j = 1; j < 8; ++j) {
    if (w[j] * target[j] < w[least] * target[least]) least = j;
  }
  target[least] = -target[least];
  signs = static_cast<uint8_t>(signs ^ 1U << least);
}

class Superblock {
 public:
  Superblock(const SearchTable& search, const Format& format,
             std::span<const GridBook* const> books, const float* x, const float* w)
      : search_(search), format_(format), books_(books), count_(kSuper / format.unit) {
    for (size_t u = 0; u < count_; ++u) take(x + u * format.unit, w + u * format.unit, units_[u]);
    for (size_t u = 0; u < count_; ++u) find_scale(units_[u]);
    float largest = 0;
    for (size_t u = 0; u < count_; ++u) largest = std::max(largest, units_[u].scale);
    choose_levels(largest / multiple(format_.levels - 1));
  }

  const Unit& unit(size_t u) const { return best_[u]; }
  uint16_t d() const { return d_.bits; }

 private:
  float multiple(int level) const {
    return format_.multiple + format_.step * static_cast<float>(level);
  }

  void take(const float* x, const float* w, Unit& unit) const {
    std::copy_n(x, format_.unit, unit.target.x);
    std::copy_n(w, format_.unit, unit.target.w);
    unit.target.groups = format_.unit / books_[0]->n;
    if (format_.signs == Signs::kInRows) return;
    for (size_t i = 0; i < format_.unit; ++i) {
      if (!std::signbit(x[i])) continue;
      unit.target.x[i] = -x[i];
      unit.signs[i / 8] = static_cast<uint8_t>(unit.signs[i / 8] | 1U << (i % 8));
    }
    if (format_.signs != Signs::kEven) return;
    for (size_t i = 0; i < format_.unit; i += 8)
      make_even(unit.target.x + i, unit.target.w + i, unit.signs[i / 8]);
  }

  // The scale, and the book, at which the unit's error is least.
  void find_scale(Unit& unit) {
    float largest = 0;
    for (size_t i = 0; i < format_.unit; ++i)
      largest = std::max(largest, std::fabs(unit.target.x[i]));
    if (largest == 0) return;
    float best = HUGE_VALF;
    for (size_t book = 0; book < books_.size(); ++book) {
      search_.sum_grid(*books_[book], unit.target, sums_);
      GridChoice choice;
      const auto attempt = [&](float scale) {
        search_.choose_rows(*books_[book], unit.target.groups, sums_, scale, choice);
        if (!(choice.error < best)) return;
        best = choice.error;
        unit.book = book;
        unit.scale = scale;
        unit.choice = choice;
      };
      for (int k = 0; k < kTried; ++k) {
        const float part = static_cast<float>(k) / static_cast<float>(kTried - 1);
        attempt(largest / format_.top * (format_.first + (format_.last - format_.first) * part));
      }
      if (format_.flat > 0) attempt(largest / format_.top * format_.flat);
      for (int k = 0; k < kRefinements && unit.book == book && unit.choice.qq > 0; ++k)
        attempt(unit.choice.xq / unit.choice.qq);
    }
  }

  // The best of the levels about the one whose scale is nearest.
  void choose_level(float d, Unit& unit) {
    const GridBook& book = *books_[unit.book];
    search_.sum_grid(book, unit.target, sums_);
    const int nearest = d > 0 ? static_cast<int>(std::lround(std::min(
                                    (unit.scale / d - format_.multiple) / format_.step, 1e6F)))
                              : 0;
    float best = HUGE_VALF;
    for (int move = -1; move <= 1; ++move) {
      const int level = std::clamp(nearest + move, 0, format_.levels - 1);
      GridChoice choice;
      search_.choose_rows(book, unit.target.groups, sums_, d * multiple(level), choice);
      if (!(choice.error < best)) continue;
      best = choice.error;
      unit.level = level;
      unit.choice = choice;
    }
  }

  void choose_levels(float d) {
    float best = HUGE_VALF;
    for (int round = 0; round < kRounds; ++round) {
      const Half half = to_half(d);
      float error = 0, xq = 0, qq = 0;
      for (size_t u = 0; u < count_; ++u) {
        choose_level(half.value, units_[u]);
        const float m = multiple(units_[u].level);
        error += units_[u].choice.error;
        xq += m * units_[u].choice.xq;
        qq += m * m * units_[u].choice.qq;
      }
      if (error < best) {
        best = error;
        d_ = half;
        std::copy_n(units_, count_, best_);
      }
      if (!(xq > 0 && qq > 0)) break;
      d = xq / qq;
    }
  }

  const SearchTable& search_;
  const Format& format_;
  std::span<const GridBook* const> books_;
  size_t count_;
  Unit units_[kMaxUnits];
  Unit best_[kMaxUnits];
  Half d_;
  GridSums sums_;
};

// Encodes block by block; pack(superblock, block's bytes).
template <size_t BlockBytes, typename Pack>
void encode_blocks(const SearchTable& search, const Format& format,
                   std::span<const GridBook* const> books, const float* x, const float* w,
                   size_t blocks, std::byte* dst, Pack pack) {
  for (size_t b = 0; b < blocks; ++b) {
    const Superblock found(search, format, books, x + b * kSuper, w + b * kSuper);
    std::byte* block = dst + b * BlockBytes;
    std::fill_n(block, BlockBytes, std::byte{0});
    pack(found, block);
  }
}

void add_u16(std::byte* at, uint32_t bits) {
  store_u16(at, static_cast<uint16_t>(load_u16(at) | bits));
}

void add_u32(std::byte* at, uint32_t bits) {
  add_u16(at, bits & 0xffffU);
  add_u16(at + 2, bits >> 16);
}

void add_nibble(std::byte* at, size_t i, uint32_t value) {
  at[i / 2] |= to_byte(value << (i % 2 * 4));
}

uint32_t seven(uint8_t signs) { return signs & 127U; }
uint32_t row_of(const Unit& unit, size_t g) { return static_cast<uint32_t>(unit.choice.row[g]); }
uint32_t level_of(const Unit& unit) { return static_cast<uint32_t>(unit.level); }

}  // namespace

void search_iq2_xxs(const SearchTable& search, const float* x, const float* w, size_t blocks,
                    std::byte* dst) {
  const GridBook* books[] = {&iq2_xxs_book().grid()};
  encode_blocks<66>(search, kIq2Xxs, books, x, w, blocks, dst,
                    [](const Superblock& found, std::byte* block) {
                      store_u16(block, found.d());
                      for (size_t u = 0; u < 8; ++u) {
                        const Unit& unit = found.unit(u);
                        std::byte* p = block + 2 + u * 8;
                        for (size_t g = 0; g < 4; ++g) {
                          p[g] = to_byte(row_of(unit, g));
                          add_u32(p + 4, seven(unit.signs[g]) << (7 * g));
                        }
                        add_u32(p + 4, level_of(unit) << 28);
                      }
                    });
}

void search_iq2_xs(const SearchTable& search, const float* x, const float* w, size_t blocks,
                   std::byte* dst) {
  const GridBook* books[] = {&iq2_xs_book().grid()};
  encode_blocks<74>(
      search, kIq2Xs, books, x, w, blocks, dst, [](const Superblock& found, std::byte* block) {
        store_u16(block, found.d());
        for (size_t i = 0; i < 32; ++i) {
          const Unit& unit = found.unit(i / 2);
          add_u16(block + 2 + 2 * i, row_of(unit, i % 2) | seven(unit.signs[i % 2]) << 9);
        }
        for (size_t u = 0; u < 16; ++u) add_nibble(block + 66, u, level_of(found.unit(u)));
      });
}

void search_iq2_s(const SearchTable& search, const float* x, const float* w, size_t blocks,
                  std::byte* dst) {
  const GridBook* books[] = {&iq2_s_book().grid()};
  encode_blocks<82>(search, kIq2S, books, x, w, blocks, dst,
                    [](const Superblock& found, std::byte* block) {
                      store_u16(block, found.d());
                      for (size_t i = 0; i < 32; ++i) {
                        const Unit& unit = found.unit(i / 2);
                        const uint32_t row = row_of(unit, i % 2);
                        block[2 + i] = to_byte(row & 255U);
                        block[34 + i] = to_byte(unit.signs[i % 2]);
                        block[66 + i / 4] |= to_byte((row >> 8) << (i % 4 * 2));
                      }
                      for (size_t u = 0; u < 16; ++u)
                        add_nibble(block + 74, u, level_of(found.unit(u)));
                    });
}

void search_iq3_xxs(const SearchTable& search, const float* x, const float* w, size_t blocks,
                    std::byte* dst) {
  const GridBook* books[] = {&iq3_xxs_book().grid()};
  encode_blocks<98>(search, kIq3Xxs, books, x, w, blocks, dst,
                    [](const Superblock& found, std::byte* block) {
                      store_u16(block, found.d());
                      for (size_t u = 0; u < 8; ++u) {
                        const Unit& unit = found.unit(u);
                        std::byte* rest = block + 66 + u * 4;
                        for (size_t g = 0; g < 8; ++g)
                          block[2 + u * 8 + g] = to_byte(row_of(unit, g));
                        for (size_t k = 0; k < 4; ++k)
                          add_u32(rest, seven(unit.signs[k]) << (7 * k));
                        add_u32(rest, level_of(unit) << 28);
                      }
                    });
}

void search_iq3_s(const SearchTable& search, const float* x, const float* w, size_t blocks,
                  std::byte* dst) {
  const GridBook* books[] = {&iq3_s_book().grid()};
  encode_blocks<110>(search, kIq3S, books, x, w, blocks, dst,
                     [](const Superblock& found, std::byte* block) {
                       store_u16(block, found.d());
                       for (size_t u = 0; u < 8; ++u) {
                         const Unit& unit = found.unit(u);
                         for (size_t g = 0; g < 8; ++g) {
                           const uint32_t row = row_of(unit, g);
                           block[2 + u * 8 + g] = to_byte(row & 255U);
                           block[66 + u] |= to_byte((row >> 8) << g);
                         }
                         for (size_t k = 0; k < 4; ++k)
                           block[74 + u * 4 + k] = to_byte(unit.signs[k]);
                         add_nibble(block + 106, u, level_of(unit));
                       }
                     });
}

void search_iq1_s(const SearchTable& search, const float* x, const float* w, size_t blocks,
                  std::byte* dst) {
  const GridBook* books[] = {&iq1_raised().grid(), &iq1_lowered().grid()};
  encode_blocks<50>(
      search, kIq1S, books, x, w, blocks, dst, [](const Superblock& found, std::byte* block) {
        store_u16(block, found.d());
        for (size_t u = 0; u < 8; ++u) {
          const Unit& unit = found.unit(u);
          uint32_t high = level_of(unit) << 12 | static_cast<uint32_t>(unit.book) << 15;
          for (size_t g = 0; g < 4; ++g) {
            const uint32_t row = row_of(unit, g);
            block[2 + u * 4 + g] = to_byte(row & 255U);
            high |= (row >> 8) << (3 * g);
          }
          add_u16(block + 34 + u * 2, high);
        }
      });
}

void search_iq1_m(const SearchTable& search, const float* x, const float* w, size_t blocks,
                  std::byte* dst) {
  const GridBook* books[] = {&iq1_both().grid()};
  encode_blocks<56>(search, kIq1M, books, x, w, blocks, dst,
                    [](const Superblock& found, std::byte* block) {
                      for (size_t i = 0; i < 32; ++i) {
                        const uint32_t row = row_of(found.unit(i / 2), i % 2);
                        block[i] = to_byte(row & 255U);
                        add_nibble(block + 32, i, row >> 8);  // its top bit: lowered
                      }
                      for (size_t u = 0; u < 16; ++u)
                        add_u16(block + 48 + u / 4 * 2, level_of(found.unit(u)) << (u % 4 * 3));
                      for (size_t k = 0; k < 4; ++k)
                        add_u16(block + 48 + k * 2, (found.d() >> (4 * k) & 15U) << 12);
                    });
}

}  // namespace weir::quant
