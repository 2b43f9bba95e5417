#include "kernels/packed_matrix.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/table.h"
#include "quant/codec.h"
#include "quant/half.h"

namespace weir::kernels {
namespace {

using gguf::TensorType;

constexpr size_t kLine = 64;
constexpr size_t kQ4KBytes = 144;
constexpr size_t kIq4XsBytes = 136;

struct Shape {
  size_t rows;  // of a panel
  size_t cols;
  PanelFormat format;
  bool biased_q8;

  size_t blocks() const { return cols / kBlock; }
  size_t code_bytes() const { return kBlock * rows * (format == PanelFormat::kQ8 ? 2 : 1) / 2; }
  size_t block_bytes() const {
    return code_bytes() + rows * (format == PanelFormat::kQ4Min ? 4 : 2);
  }
  size_t panel_bytes() const {
    size_t bytes = 0;
    switch (format) {
      case PanelFormat::kF32:
        bytes = cols * rows * 4;
        break;
      case PanelFormat::kF16:
      case PanelFormat::kBF16:
        bytes = cols * rows * 2;
        break;
      case PanelFormat::kQ4:
      case PanelFormat::kQ4Min:
      case PanelFormat::kIq4:
      case PanelFormat::kE2m1:
      case PanelFormat::kQ8:
        bytes = blocks() * block_bytes();
        break;
    }
    return (bytes + kLine - 1) / kLine * kLine;
  }
};

// One block of 32 values of one row, on its way into a panel.
struct Block {
  uint8_t codes[kBlock];  // 4-bit: 16 pairs as put_nibbles wants them; 8-bit: two's complement
  uint16_t scale;         // f16
  uint16_t min;           // f16, kQ4Min only
};

void store_u16(uint8_t* p, uint16_t v) { std::memcpy(p, &v, sizeof v); }

// A block's 4-bit codes as ggml stores them: 16 bytes, low nibbles k = 0 .. 15, high nibbles k = 16
// .. 31. A panel keeps the pairs and only deals the bytes out to the groups, four at a time.
void put_nibbles(const Shape& s, uint8_t* out, size_t row, const uint8_t* pairs) {
  for (size_t g = 0; g < kBlock / 8; ++g)
    std::memcpy(out + (g * s.rows + row) * 4, pairs + g * 4, 4);
}

void put_bytes(const Shape& s, uint8_t* out, size_t row, const uint8_t* codes) {
  const uint32_t bias = s.biased_q8 ? 0x80808080U : 0;  // + 128 modulo 256 flips the top bit
  for (size_t g = 0; g < kBlock / 4; ++g) {
    uint32_t quad;
    std::memcpy(&quad, codes + g * 4, 4);
    quad ^= bias;
    std::memcpy(out + (g * s.rows + row) * 4, &quad, 4);
  }
}

void put_block(const Shape& s, std::byte* panel, size_t row, size_t b, const Block& block) {
  auto* out = reinterpret_cast<uint8_t*>(panel) + b * s.block_bytes();
  if (s.format == PanelFormat::kQ8) {
    put_bytes(s, out, row, block.codes);
  } else {
    put_nibbles(s, out, row, block.codes);
  }
  store_u16(out + s.code_bytes() + 2 * row, block.scale);
  if (s.format == PanelFormat::kQ4Min)
    store_u16(out + s.code_bytes() + 2 * (s.rows + row), block.min);
}

uint16_t load_u16(const std::byte* p) {
  uint16_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

// Block b of a row stored as Q4_0, IQ4_NL, Q4_1 or Q8_0 (block_q4_0 and so on of
// ggml-common.h).
Block read_native(TensorType type, const std::byte* row, size_t b) {
  Block block{};
  if (type == TensorType::kQ4_0 || type == TensorType::kIQ4_NL) {
    const std::byte* p = row + b * 18;
    block.scale = load_u16(p);
    std::memcpy(block.codes, p + 2, kBlock / 2);
  } else if (type == TensorType::kQ4_1) {
    const std::byte* p = row + b * 20;
    block.scale = load_u16(p);
    block.min = load_u16(p + 2);
    std::memcpy(block.codes, p + 4, kBlock / 2);
  } else {
    const std::byte* p = row + b * 34;
    block.scale = load_u16(p);
    std::memcpy(block.codes, p + 2, kBlock);
  }
  return block;
}

// f16 of a scale that a product or a division made. False when it does not fit.
bool to_scale(float value, uint16_t* half) {
  *half = quant::f32_to_f16(value);
  return (*half & 0x7c00) != 0x7c00;
}

// Block b of a row of Q4_K: 8 blocks of 32 with 6-bit scales and mins, w = d * scale * code - dmin
// * min (block_q4_K and get_scale_min_k4 of ggml).
bool read_q4_k(const std::byte* row, size_t b, Block* block) {
  const std::byte* p = row + b / 8 * kQ4KBytes;
  const auto* packed = reinterpret_cast<const uint8_t*>(p + 4);
  const size_t i = b % 8;
  uint8_t scale;
  uint8_t min;
  if (i < 4) {
    scale = packed[i] & 63;
    min = packed[i + 4] & 63;
  } else {
    scale = static_cast<uint8_t>((packed[i + 4] & 15) | ((packed[i - 4] >> 6) << 4));
    min = static_cast<uint8_t>((packed[i + 4] >> 4) | ((packed[i] >> 6) << 4));
  }
  const auto* codes = reinterpret_cast<const uint8_t*>(p + 16 + i / 2 * 32);
  const unsigned shift = i % 2 == 0 ? 0 : 4;
  for (size_t k = 0; k < kBlock / 2; ++k) {
    const unsigned low = (codes[k] >> shift) & 15U;
    const unsigned high = (codes[k + kBlock / 2] >> shift) & 15U;
    block->codes[k] = static_cast<uint8_t>(low | high << 4);
  }
  const float d = quant::f16_to_f32(load_u16(p));
  const float dmin = quant::f16_to_f32(load_u16(p + 2));
  return to_scale(d * scale, &block->scale) && to_scale(-dmin * min, &block->min);
}

// Block b of a row of IQ4_XS: 8 blocks of 32 with 6-bit scales, low nibbles first, then pairs of
// high bits (block_iq4_xs of ggml).
bool read_iq4_xs(const std::byte* row, size_t b, Block* block) {
  const std::byte* p = row + b / 8 * kIq4XsBytes;
  const size_t i = b % 8;
  const unsigned low = std::to_integer<unsigned>(p[4 + i / 2]) >> (i % 2 * 4) & 15U;
  const unsigned high = static_cast<unsigned>(load_u16(p + 2)) >> (2 * i) & 3U;
  std::memcpy(block->codes, p + 8 + i * (kBlock / 2), kBlock / 2);
  const float scale = static_cast<float>(static_cast<int>(low | high << 4) - 32);
  return to_scale(quant::f16_to_f32(load_u16(p)) * scale, &block->scale);
}

// Block b of a row of MXFP4. Its scale is a power of two; below 2^-24, the least of f16, it counts
// as 0.
bool read_mxfp4(const std::byte* row, size_t b, Block* block) {
  const std::byte* p = row + b * 17;
  std::memcpy(block->codes, p + 1, kBlock / 2);
  // 2^(e - 127), halved because the values of the codes are doubled.
  return to_scale(std::ldexp(1.0F, std::to_integer<int>(p[0]) - 128), &block->scale);
}

// Rounds 32 decoded values to signed 8 bits.
bool encode_q8(const float* x, Block* block) {
  float amax = 0.0F;
  for (size_t k = 0; k < kBlock; ++k) {
    if (!std::isfinite(x[k])) return false;
    amax = std::max(amax, std::fabs(x[k]));
  }
  if (!to_scale(amax / 127.0F, &block->scale)) return false;
  // The codes are for the scale that the kernel will read, after its rounding to f16.
  const float scale = quant::f16_to_f32(block->scale);
  for (size_t k = 0; k < kBlock; ++k) {
    const float code = scale > 0.0F ? std::nearbyint(x[k] / scale) : 0.0F;
    block->codes[k] = static_cast<uint8_t>(static_cast<int8_t>(std::clamp(code, -127.0F, 127.0F)));
  }
  return true;
}

struct Source {
  TensorType type;
  const std::byte* data;
  size_t row_bytes;
  size_t rows;
};

bool pack_row_as_q8(const Shape& s, const Source& source, const std::byte* row, size_t r,
                    std::byte* panel) {
  std::vector<float> values(s.cols);
  if (!quant::decode(source.type, {row, source.row_bytes}, values).ok()) return false;
  for (size_t b = 0; b < s.blocks(); ++b) {
    Block block{};
    if (!encode_q8(values.data() + b * kBlock, &block)) return false;
    put_block(s, panel, r, b, block);
  }
  return true;
}

// Rounded to f32. False when a value does not fit.
bool pack_doubles(const Shape& s, const std::byte* row, size_t r, std::byte* panel) {
  auto* out = reinterpret_cast<float*>(panel);
  for (size_t k = 0; k < s.cols; ++k) {
    double value;
    std::memcpy(&value, row + k * sizeof value, sizeof value);
    out[k * s.rows + r] = static_cast<float>(value);
    if (!std::isfinite(out[k * s.rows + r])) return false;
  }
  return true;
}

template <typename T>
void pack_floats(const Shape& s, const std::byte* row, size_t r, std::byte* panel) {
  auto* out = reinterpret_cast<T*>(panel);
  for (size_t k = 0; k < s.cols; ++k)
    std::memcpy(out + k * s.rows + r, row + k * sizeof(T), sizeof(T));
}

template <typename Read>
bool pack_blocks(const Shape& s, const std::byte* row, size_t r, std::byte* panel, Read read) {
  for (size_t b = 0; b < s.blocks(); ++b) {
    Block block{};
    if (!read(row, b, &block)) return false;
    put_block(s, panel, r, b, block);
  }
  return true;
}

// Row r of a panel. False when a value does not fit the panel's format.
bool pack_row(const Shape& s, const Source& source, const std::byte* row, size_t r,
              std::byte* panel) {
  switch (source.type) {
    case TensorType::kF32:
      pack_floats<uint32_t>(s, row, r, panel);
      return true;
    case TensorType::kF64:
      return pack_doubles(s, row, r, panel);
    case TensorType::kF16:
    case TensorType::kBF16:
      pack_floats<uint16_t>(s, row, r, panel);
      return true;
    case TensorType::kQ4_0:
    case TensorType::kQ4_1:
    case TensorType::kQ8_0:
    case TensorType::kIQ4_NL:
      for (size_t b = 0; b < s.blocks(); ++b)
        put_block(s, panel, r, b, read_native(source.type, row, b));
      return true;
    case TensorType::kQ4_K:
      return pack_blocks(s, row, r, panel, read_q4_k);
    case TensorType::kIQ4_XS:
      return pack_blocks(s, row, r, panel, read_iq4_xs);
    case TensorType::kMXFP4:
      return pack_blocks(s, row, r, panel, read_mxfp4);
    default:
      return pack_row_as_q8(s, source, row, r, panel);
  }
}

}  // namespace

Result<PanelFormat> panel_format(TensorType type) {
  switch (type) {
    case TensorType::kF32:
    case TensorType::kF64:
      return PanelFormat::kF32;
    case TensorType::kF16:
      return PanelFormat::kF16;
    case TensorType::kBF16:
      return PanelFormat::kBF16;
    case TensorType::kQ4_0:
      return PanelFormat::kQ4;
    case TensorType::kQ4_1:
    case TensorType::kQ4_K:
      return PanelFormat::kQ4Min;
    case TensorType::kIQ4_NL:
    case TensorType::kIQ4_XS:
      return PanelFormat::kIq4;
    case TensorType::kMXFP4:
      return PanelFormat::kE2m1;
    default:
      if (quant::can_decode(type) && gguf::type_info(type)->block_elements > 1)
        return PanelFormat::kQ8;
      return make_error(ErrorCode::kUnsupported,
                        "matrices of type {} are not supported; supported: F32, F16, BF16, F64, "
                        "Q4_0, Q4_1, Q5_0, "
                        "Q5_1, Q8_0, Q2_K to Q6_K, IQ1_S to IQ4_XS, TQ1_0, TQ2_0, MXFP4, NVFP4",
                        gguf::type_name(type));
  }
}

size_t packed_bytes(PanelFormat format, size_t rows, size_t cols, Isa isa) {
  const Kernels& k = kernels_for(isa);
  const Shape shape{k.panel_rows, cols, format, k.biased_q8};
  return (rows + shape.rows - 1) / shape.rows * shape.panel_bytes();
}

Result<PackedMatrix> PackedMatrix::pack(TensorType type, std::span<const std::byte> data,
                                        size_t rows, size_t cols, Isa isa, ThreadPool& pool) {
  WEIR_ASSIGN(const PanelFormat format, panel_format(type));
  const gguf::TypeInfo& info = *gguf::type_info(type);
  const size_t step =
      format >= PanelFormat::kQ4 ? std::max<size_t>(info.block_elements, kBlock) : 1;
  if (rows == 0 || cols == 0 || cols % step != 0) {
    return make_error(ErrorCode::kCorrupt,
                      "a {} matrix of {} rows and {} columns: columns must be a multiple of {}",
                      info.name, rows, cols, step);
  }
  const size_t row_bytes = cols / info.block_elements * info.block_bytes;
  if (data.size() / row_bytes != rows || data.size() % row_bytes != 0) {
    return make_error(
        ErrorCode::kCorrupt,
        "a {} matrix of {} rows and {} columns takes {} bytes a row, but {} bytes are given",
        info.name, rows, cols, row_bytes, data.size());
  }
  const Kernels& kernels = kernels_for(isa);
  const Shape shape{kernels.panel_rows, cols, format, kernels.biased_q8};
  PackedMatrix m;
  m.rows_ = rows;
  m.cols_ = cols;
  m.panel_rows_ = shape.rows;
  m.panel_bytes_ = shape.panel_bytes();
  m.format_ = format;
  m.isa_ = isa;
  const size_t bytes = m.panels() * m.panel_bytes_;
  m.buffer_ = AlignedBuffer::allocate(bytes);
  if (m.buffer_.data() == nullptr) {
    return make_error(ErrorCode::kOutOfMemory, "no memory for {} bytes of packed weights", bytes);
  }
  const Source source{type, data.data(), row_bytes, rows};
  std::atomic<bool> fits{true};
  pool.parallel_for(m.panels(), [&](size_t p, size_t) {
    std::byte* panel = m.buffer_.data() + p * m.panel_bytes_;
    for (size_t r = 0; r < std::min(shape.rows, rows - p * shape.rows); ++r) {
      const std::byte* row = data.data() + (p * shape.rows + r) * row_bytes;
      if (!pack_row(shape, source, row, r, panel)) fits.store(false, std::memory_order_relaxed);
    }
  });
  if (!fits.load()) {
    return make_error(ErrorCode::kCorrupt,
                      "the weights hold values that are not finite or too large for a {} block",
                      info.name);
  }
  return m;
}

}  // namespace weir::kernels
