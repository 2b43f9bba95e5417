#include "quant/levels.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "quant/blocks.h"
#include "quant/codec.h"
#include "quant/four_bit_values.h"

namespace weir::quant {

namespace {

using gguf::TensorType;

// Codes of a block into its bytes; the scales stay.
using PutCodes = void (*)(const uint8_t* codes, std::byte* block);

std::byte nibbles(unsigned low, unsigned high) {
  return static_cast<std::byte>((low & 15U) | (high & 15U) << 4);
}

// n low nibbles of values i, and in the same bytes those of values i + n.
void put_halves(const uint8_t* codes, size_t n, std::byte* dst) {
  for (size_t i = 0; i < n; ++i) dst[i] = nibbles(codes[i], codes[i + n]);
}

template <size_t kAt>
void put_block32(const uint8_t* codes, std::byte* block) {
  put_halves(codes, 16, block + kAt);
}

template <size_t kAt>
void put_five_bits(const uint8_t* codes, std::byte* block) {
  uint32_t fifth = 0;
  for (size_t i = 0; i < 32; ++i) fifth |= static_cast<uint32_t>(codes[i] >> 4) << i;
  std::memcpy(block + kAt, &fifth, sizeof fifth);
  put_halves(codes, 16, block + kAt + 4);
}

void put_q8_0(const uint8_t* codes, std::byte* block) {
  for (size_t i = 0; i < 32; ++i) block[2 + i] = static_cast<std::byte>(codes[i] - 127);
}

// Two bits each of four values 32 apart, in 64 bytes; `shift` leaves out lower bits.
void put_quarters(const uint8_t* codes, unsigned shift, std::byte* dst) {
  for (size_t i = 0; i < 64; ++i) {
    unsigned four = 0;
    for (size_t part = 0; part < 4; ++part)
      four |= (codes[i / 32 * 128 + part * 32 + i % 32] >> shift & 3U) << (2 * part);
    dst[i] = static_cast<std::byte>(four);
  }
}

// One bit of each of eight values 32 apart, in 32 bytes.
void put_bit(const uint8_t* codes, unsigned bit, std::byte* dst) {
  for (size_t i = 0; i < 32; ++i) {
    unsigned eight = 0;
    for (size_t part = 0; part < 8; ++part) eight |= (codes[part * 32 + i] >> bit & 1U) << part;
    dst[i] = static_cast<std::byte>(eight);
  }
}

void put_q2_k(const uint8_t* codes, std::byte* block) { put_quarters(codes, 0, block + 16); }

void put_q3_k(const uint8_t* codes, std::byte* block) {
  put_bit(codes, 2, block);
  put_quarters(codes, 0, block + 32);
}

template <size_t kAt>
void put_pairs_of_32(const uint8_t* codes, std::byte* block) {
  for (size_t pair = 0; pair < 4; ++pair)
    put_halves(codes + pair * 64, 32, block + kAt + pair * 32);
}

void put_q5_k(const uint8_t* codes, std::byte* block) {
  put_bit(codes, 4, block + 16);
  put_pairs_of_32<48>(codes, block);
}

void put_q6_k(const uint8_t* codes, std::byte* block) {
  put_halves(codes, 64, block);
  put_halves(codes + 128, 64, block + 64);
  put_quarters(codes, 4, block + 128);
}

void put_iq4_xs(const uint8_t* codes, std::byte* block) {
  for (size_t s = 0; s < 8; ++s) put_halves(codes + s * 32, 16, block + 8 + s * 16);
}

template <size_t kHalf>
void put_e2m1(const uint8_t* codes, std::byte* dst) {
  for (size_t i = 0; i < kHalf; ++i)
    dst[i] = nibbles(kE2m1Codes[codes[i]], kE2m1Codes[codes[i + kHalf]]);
}

void put_mxfp4(const uint8_t* codes, std::byte* block) { put_e2m1<16>(codes, block + 1); }

void put_nvfp4(const uint8_t* codes, std::byte* block) {
  for (size_t s = 0; s < 4; ++s) put_e2m1<8>(codes + s * 16, block + 4 + s * 8);
}

// Whole numbers from 0: what is taken off them in a format is part of the offset.
constexpr auto kWhole = [] {
  std::array<float, 255> levels{};
  for (size_t i = 0; i < levels.size(); ++i) levels[i] = static_cast<float>(i);
  return levels;
}();
constexpr auto kIq4 = [] {
  std::array<float, 16> levels{};
  for (size_t i = 0; i < levels.size(); ++i) levels[i] = kIq4Values[i];
  return levels;
}();
constexpr auto kE2m1 = [] {
  std::array<float, 15> levels{};
  for (size_t i = 0; i < levels.size(); ++i) levels[i] = kE2m1Values[kE2m1Codes[i]];
  return levels;
}();

constexpr std::span<const float> whole(size_t count) {
  return std::span<const float>(kWhole).first(count);
}

struct Coding {
  TensorType type;
  std::span<const float> level;
  PutCodes put;
};
constexpr Coding kCodings[] = {
    {TensorType::kQ4_0, whole(16), put_block32<2>},
    {TensorType::kQ4_1, whole(16), put_block32<4>},
    {TensorType::kQ5_0, whole(32), put_five_bits<2>},
    {TensorType::kQ5_1, whole(32), put_five_bits<4>},
    {TensorType::kQ8_0, whole(255), put_q8_0},
    {TensorType::kQ2_K, whole(4), put_q2_k},
    {TensorType::kQ3_K, whole(8), put_q3_k},
    {TensorType::kQ4_K, whole(16), put_pairs_of_32<16>},
    {TensorType::kQ5_K, whole(32), put_q5_k},
    {TensorType::kQ6_K, whole(64), put_q6_k},
    {TensorType::kIQ4_NL, kIq4, put_block32<2>},
    {TensorType::kIQ4_XS, kIq4, put_iq4_xs},
    {TensorType::kMXFP4, kE2m1, put_mxfp4},
    {TensorType::kNVFP4, kE2m1, put_nvfp4},
};

const Coding* find_coding(TensorType type) {
  for (const Coding& c : kCodings) {
    if (c.type == type) return &c;
  }
  return nullptr;
}

// `bytes` of a row of `cols` values, or of any number of them when cols is 0.
Result<const Coding*> coding_of(TensorType type, size_t bytes, size_t cols) {
  const Coding* coding = find_coding(type);
  if (coding == nullptr) {
    return make_error(ErrorCode::kUnsupported, "{} has no code for each value",
                      gguf::type_name(type));
  }
  const gguf::TypeInfo& info = *gguf::type_info(type);
  const size_t blocks = bytes / info.block_bytes;
  if (bytes % info.block_bytes != 0 || (cols != 0 && cols != blocks * info.block_elements)) {
    return make_error(ErrorCode::kInvalidValue,
                      "{} bytes and {} values are no row of {}: its blocks have {} values in {} "
                      "bytes",
                      bytes, cols, info.name, info.block_elements, info.block_bytes);
  }
  return coding;
}

}  // namespace

bool has_levels(TensorType type) { return find_coding(type) != nullptr; }

// What a format does with its scales is the decoder's business: rows of the lowest and of the
// highest code say it all.
Status read_levels(TensorType type, std::span<const std::byte> row, RowLevels& out) {
  WEIR_ASSIGN(const Coding* coding, coding_of(type, row.size(), 0));
  const gguf::TypeInfo& info = *gguf::type_info(type);
  const size_t cols = row.size() / info.block_bytes * info.block_elements;
  out.level = coding->level;
  out.unit.resize(cols);
  out.offset.resize(cols);
  std::vector<std::byte> trial(row.begin(), row.end());
  const float lowest = coding->level.front(), highest = coding->level.back();
  std::vector<uint8_t> codes(cols, 0);
  WEIR_TRY(store_codes(type, codes, trial));
  WEIR_TRY(decode(type, trial, out.offset));
  std::fill(codes.begin(), codes.end(), static_cast<uint8_t>(coding->level.size() - 1));
  WEIR_TRY(store_codes(type, codes, trial));
  WEIR_TRY(decode(type, trial, out.unit));
  for (size_t i = 0; i < cols; ++i) {
    out.unit[i] = (out.unit[i] - out.offset[i]) / (highest - lowest);
    out.offset[i] -= out.unit[i] * lowest;
  }
  return {};
}

Status store_codes(TensorType type, std::span<const uint8_t> codes, std::span<std::byte> row) {
  WEIR_ASSIGN(const Coding* coding, coding_of(type, row.size(), codes.size()));
  const uint8_t most = codes.empty() ? uint8_t{0} : *std::max_element(codes.begin(), codes.end());
  if (most >= coding->level.size()) {
    return make_error(ErrorCode::kInvalidValue, "code {}: {} has {}", most, gguf::type_name(type),
                      coding->level.size());
  }
  const gguf::TypeInfo& info = *gguf::type_info(type);
  for (size_t b = 0; b * info.block_bytes < row.size(); ++b)
    coding->put(codes.data() + b * info.block_elements, row.data() + b * info.block_bytes);
  return {};
}

}  // namespace weir::quant
