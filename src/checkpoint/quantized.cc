#include "checkpoint/quantized.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "quant/codec.h"
#include "quant/e4m3.h"
#include "quant/half.h"

namespace weir::checkpoint {
namespace {

using gguf::TensorType;
using Codes = QuantizedMatrix::Codes;
using Zeros = QuantizedMatrix::Zeros;

constexpr size_t kBlock = 32;  // values of Q4_0, Q4_1, Q8_0 and MXFP4

// The shift of value i of eight that AutoAWQ packs into a word.
constexpr std::array<unsigned, 8> kAwqShift = {0, 16, 4, 20, 8, 24, 12, 28};

uint32_t word_at(std::span<const std::byte> bytes, size_t i) {
  uint32_t word;
  std::memcpy(&word, bytes.data() + i * 4, 4);
  return word;
}

// Value i of words that hold `bits` of each, the lowest first.
uint32_t packed_at(std::span<const std::byte> bytes, size_t word, size_t i, int bits) {
  const auto a_word = static_cast<size_t>(32 / bits);
  return word_at(bytes, word) >> (i % a_word * static_cast<size_t>(bits)) & ((1U << bits) - 1);
}

const std::array<float, 256>& e4m3_values() {
  static const auto table = [] {
    std::array<float, 256> t{};
    for (size_t i = 0; i < t.size(); ++i) t[i] = quant::e4m3_to_f32(static_cast<uint8_t>(i));
    return t;
  }();
  return table;
}

constexpr std::array<float, 16> kE2m1 = {0,     0.5F,  1,  1.5F,  2,  3,  4,  6,
                                         -0.0F, -0.5F, -1, -1.5F, -2, -3, -4, -6};

uint8_t byte_at(std::span<const std::byte> bytes, size_t i) {
  return std::to_integer<uint8_t>(bytes[i]);
}

int signed_at(std::span<const std::byte> bytes, size_t i) {
  const int code = byte_at(bytes, i);
  return code < 128 ? code : code - 256;
}

float scale_at(const QuantizedMatrix& m, size_t row, size_t group) {
  const size_t i = row / m.scale_rows * m.row_stride + group * m.group_stride;
  float scale = 0;
  uint16_t half = 0;
  switch (m.scale_type) {
    case Dtype::kF32:
      std::memcpy(&scale, m.scale_bytes.data() + i * 4, 4);
      break;
    case Dtype::kF16:
    case Dtype::kBF16:
      std::memcpy(&half, m.scale_bytes.data() + i * 2, 2);
      scale = m.scale_type == Dtype::kF16 ? quant::f16_to_f32(half) : quant::bf16_to_f32(half);
      break;
    case Dtype::kF8E4M3:
      scale = e4m3_values()[byte_at(m.scale_bytes, i)];
      break;
    default:
      scale = std::ldexp(1.0F, byte_at(m.scale_bytes, i) - 127);
  }
  return scale * m.factor;
}

int zero_at(const QuantizedMatrix& m, size_t row, size_t group) {
  const size_t groups = m.zeros == Zeros::kConstant ? 0 : m.cols / m.group;
  const auto a_word = static_cast<size_t>(32 / m.bits);
  switch (m.zeros) {
    case Zeros::kConstant:
      return m.offset;
    case Zeros::kRows:
      return static_cast<int>(packed_at(m.zero_bytes, row / a_word * groups + group, row, m.bits));
    case Zeros::kAcross:
      return m.offset + static_cast<int>(packed_at(
                            m.zero_bytes, group * (m.rows / a_word) + row / a_word, row, m.bits));
    case Zeros::kAwq:
      return static_cast<int>(
          word_at(m.zero_bytes, group * (m.rows / 8) + row / 8) >> kAwqShift[row % 8] & 15U);
    case Zeros::kInt8:
      return m.offset + signed_at(m.zero_bytes, row * groups + group);
  }
  return 0;
}

// The integer codes of a row.
void read_codes(const QuantizedMatrix& m, size_t row, std::span<int> to) {
  const auto a_word = static_cast<size_t>(32 / m.bits);
  switch (m.codes) {
    case Codes::kRows: {
      const size_t first = row * ((m.cols + a_word - 1) / a_word);
      for (size_t i = 0; i < m.cols; ++i)
        to[i] = static_cast<int>(packed_at(m.code_bytes, first + i / a_word, i, m.bits));
      return;
    }
    case Codes::kDown:
      for (size_t i = 0; i < m.cols; ++i)
        to[i] = static_cast<int>(packed_at(m.code_bytes, i / a_word * m.rows + row, i, m.bits));
      return;
    case Codes::kAcross:
      for (size_t i = 0; i < m.cols; ++i)
        to[i] = static_cast<int>(
            word_at(m.code_bytes, i * (m.rows / 8) + row / 8) >> kAwqShift[row % 8] & 15U);
      return;
    case Codes::kInt8:
      for (size_t i = 0; i < m.cols; ++i) to[i] = signed_at(m.code_bytes, row * m.cols + i);
      return;
    case Codes::kE4m3:
      for (size_t i = 0; i < m.cols; ++i) to[i] = byte_at(m.code_bytes, row * m.cols + i);
      return;
    case Codes::kE2m1:
      for (size_t i = 0; i < m.cols; ++i)
        to[i] = byte_at(m.code_bytes, row * (m.cols / 2) + i / 2) >> (i % 2 * 4) & 15;
      return;
  }
}

size_t group_of(const QuantizedMatrix& m, size_t col) {
  return m.group_of.empty() ? col / m.group : m.group_of[col];
}

bool is_float(Codes codes) { return codes == Codes::kE4m3 || codes == Codes::kE2m1; }

// A block of Q4_0, Q4_1, Q8_0 or MXFP4 with the codes as they stand. False when its scale is no
// f16.
bool write_block(const QuantizedMatrix& m, size_t row, size_t first, TensorType type,
                 std::span<const int> codes, std::byte* to) {
  const size_t group = first / m.group;
  const auto byte = [](int v) { return static_cast<std::byte>(v); };
  if (type == TensorType::kMXFP4) {
    *to++ = m.scale_bytes[row * m.row_stride + group * m.group_stride];
    for (size_t i = 0; i < 16; ++i) to[i] = byte(codes[i] | codes[i + 16] << 4);
    return true;
  }
  const float scale = scale_at(m, row, group);
  const int zero = zero_at(m, row, group);
  constexpr float kMaxHalf = 65504.0F;
  if (!(std::fabs(scale) * static_cast<float>(std::max(1, std::abs(zero))) <= kMaxHalf))
    return false;
  const uint16_t d = quant::f32_to_f16(scale);
  std::memcpy(to, &d, 2);
  to += 2;
  if (type == TensorType::kQ8_0) {
    for (size_t i = 0; i < kBlock; ++i) to[i] = byte(codes[i] - zero);
    return true;
  }
  if (type == TensorType::kQ4_1) {
    const uint16_t least = quant::f32_to_f16(-static_cast<float>(zero) * scale);
    std::memcpy(to, &least, 2);
    to += 2;
  }
  for (size_t i = 0; i < 16; ++i) to[i] = byte(codes[i] | codes[i + 16] << 4);
  return true;
}

// Every zero point is the middle of the codes.
bool is_symmetric(const QuantizedMatrix& m) {
  const int middle = m.codes == Codes::kInt8 ? 0 : 1 << (m.bits - 1);
  if (m.zeros == Zeros::kConstant) return m.offset == middle;
  for (size_t row = 0; row < m.rows; ++row) {
    for (size_t g = 0; g < m.cols / m.group; ++g) {
      if (zero_at(m, row, g) != middle) return false;
    }
  }
  return true;
}

}  // namespace

TensorType QuantizedMatrix::find_natural() const {
  const bool blocks = group_of.empty() && group % kBlock == 0 && cols % kBlock == 0;
  if (!blocks) return TensorType::kF16;
  if (codes == Codes::kE2m1)
    return scale_type == Dtype::kU8 ? TensorType::kMXFP4 : TensorType::kF16;
  if (codes == Codes::kE4m3) return TensorType::kF16;
  const bool symmetric = is_symmetric(*this);
  if (bits == 4) return symmetric ? TensorType::kQ4_0 : TensorType::kQ4_1;
  return symmetric ? TensorType::kQ8_0 : TensorType::kF16;
}

void QuantizedMatrix::read_row(size_t row, std::span<float> to) const {
  std::vector<int> row_codes(cols);
  read_codes(*this, row, row_codes);
  size_t last = SIZE_MAX;
  float scale = 0;
  int zero = 0;
  for (size_t i = 0; i < cols; ++i) {
    const size_t g = checkpoint::group_of(*this, i);
    if (g != last) {
      last = g;
      scale = scale_at(*this, row, g);
      zero = is_float(codes) ? 0 : zero_at(*this, row, g);
    }
    const auto code = static_cast<size_t>(row_codes[i]);
    const float value = codes == Codes::kE4m3   ? e4m3_values()[code]
                        : codes == Codes::kE2m1 ? kE2m1[code]
                                                : static_cast<float>(row_codes[i] - zero);
    to[i] = value * scale;
  }
}

Status QuantizedMatrix::write_row(size_t row, TensorType type, std::span<std::byte> to) const {
  if (type == TensorType::kF16 || type != natural) {
    std::vector<float> values(cols);
    read_row(row, values);
    return quant::encode(type, values, to);
  }
  std::vector<int> row_codes(cols);
  read_codes(*this, row, row_codes);
  const size_t bytes = gguf::type_info(type)->block_bytes;
  for (size_t b = 0; b < cols / kBlock; ++b) {
    if (write_block(*this, row, b * kBlock, type, std::span(row_codes).subspan(b * kBlock, kBlock),
                    to.data() + b * bytes))
      continue;
    return make_error(ErrorCode::kInvalidValue,
                      "row {}, column {}: the scale {} is past what f16 holds; the file is damaged",
                      row, b * kBlock, scale_at(*this, row, b * kBlock / group));
  }
  return {};
}

}  // namespace weir::checkpoint
