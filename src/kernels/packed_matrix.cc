#include "kernels/packed_matrix.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/block_readers.h"
#include "kernels/table.h"
#include "quant/codec.h"
#include "quant/half.h"

namespace weir::kernels {
namespace {

using gguf::TensorType;
using quant::f16_bad;

constexpr size_t kLine = 64;

struct Shape {
  size_t rows;  // of a panel
  size_t cols;
  PanelFormat format;
  bool biased_q8;

  size_t blocks() const { return cols / kBlock; }
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
      default:
        bytes = (block_offset(format, blocks()) - head_bytes(format)) * rows;
        break;
    }
    return (bytes + kLine - 1) / kLine * kLine;
  }
};

// The pairs of nibbles keep their order and are only dealt out to the groups, four at a time.
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

// Two bits of each code from bit `from`.
void put_two_bits(const Shape& s, uint8_t* out, size_t row, const uint8_t* codes, size_t from) {
  for (size_t k = 0; k < kBlock; ++k) {
    const size_t g = k / 4;
    uint8_t& byte = out[(g / 4 * s.rows + row) * 4 + k % 4];
    byte = static_cast<uint8_t>(byte | (codes[k] >> from & 3U) << (2 * (g % 4)));
  }
}

void put_one_bit(uint8_t* out, size_t row, const uint8_t* codes, size_t from) {
  for (size_t k = 0; k < kBlock; ++k) {
    uint8_t& byte = out[row * 4 + k % 4];
    byte = static_cast<uint8_t>(byte | (codes[k] >> from & 1U) << (k / 4));
  }
}

// Codes that are one unsigned byte each, field by field. The panel's bytes are zero before.
template <PanelFormat F>
void put_bit_fields(const Shape& s, uint8_t* out, size_t row, const uint8_t* codes) {
  if (low_bits(F) == 2) {
    put_two_bits(s, out, row, codes, 0);
  } else {
    uint8_t pairs[kBlock / 2];
    for (size_t k = 0; k < kBlock / 2; ++k)
      pairs[k] = static_cast<uint8_t>((codes[k] & 15U) | (codes[k + kBlock / 2] & 15U) << 4);
    put_nibbles(s, out, row, pairs);
  }
  uint8_t* high = out + low_bytes(F) * s.rows;
  if (high_bits(F) == 1) put_one_bit(high, row, codes, low_bits(F));
  if (high_bits(F) == 2) put_two_bits(s, high, row, codes, low_bits(F));
}

// out: where the panel's block begins.
template <PanelFormat F>
void put_block(const Shape& s, uint8_t* out, size_t row, bool with_head, const Block& block) {
  if constexpr (F == PanelFormat::kQ8) {
    put_bytes(s, out, row, block.codes);
  } else if constexpr (bit_fields(F)) {
    put_bit_fields<F>(s, out, row, block.codes);
  } else {
    put_nibbles(s, out, row, block.codes);
  }
  uint8_t* scale = out + code_bytes(F) * s.rows;
  if constexpr (!is_k_quant(F)) {
    std::memcpy(scale + 2 * row, &block.scale, 2);
    if (has_min(F)) std::memcpy(scale + 2 * (s.rows + row), &block.min, 2);
    return;
  }
  for (size_t h = 0; h < scales(F); ++h) {
    std::memcpy(scale + h * s.rows + row, &block.scales[h], 1);
    if (has_min(F)) std::memcpy(scale + (scales(F) + h) * s.rows + row, &block.mins[h], 1);
  }
  if (!with_head) return;
  uint8_t* head = out - head_bytes(F) * s.rows;
  std::memcpy(head + 2 * row, &block.scale, 2);
  if (has_min(F)) std::memcpy(head + 2 * (s.rows + row), &block.min, 2);
}

struct Source {
  TensorType type;
  size_t row_bytes;
};

bool pack_row_as_q8(const Shape& s, const Source& source, const std::byte* row, size_t r,
                    std::byte* panel) {
  std::vector<float> values(s.cols);
  if (!quant::decode(source.type, {row, source.row_bytes}, values).ok()) return false;
  auto* out = reinterpret_cast<uint8_t*>(panel);
  for (size_t b = 0; b < s.blocks(); ++b, out += block_bytes(PanelFormat::kQ8) * s.rows) {
    Block block{};
    if (!round_to_q8(values.data() + b * kBlock, &block)) return false;
    put_block<PanelFormat::kQ8>(s, out, r, false, block);
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

// exponent: the bits that NaN and infinity have all of. False when there is one.
template <typename T>
bool pack_floats(const Shape& s, const std::byte* row, size_t r, std::byte* panel, T exponent) {
  auto* out = reinterpret_cast<T*>(panel);
  bool good = true;
  for (size_t k = 0; k < s.cols; ++k) {
    T value;
    std::memcpy(&value, row + k * sizeof value, sizeof value);
    out[k * s.rows + r] = value;
    good &= (value & exponent) != exponent;
  }
  return good;
}

// A row of blocks, each read into a Block first.
template <PanelFormat F>
bool pack_blocks(const Shape& s, const std::byte* row, size_t r, std::byte* panel,
                 BlockReader read) {
  bool good = true;
  for (size_t b = 0; b < s.blocks(); ++b) {
    Block block{};
    good &= read(row, b, &block) && !f16_bad(block.scale) && !(has_min(F) && f16_bad(block.min));
    auto* out = reinterpret_cast<uint8_t*>(panel) + block_offset(F, b) * s.rows;
    put_block<F>(s, out, r, b % kSuperBlock == 0, block);
  }
  return good;
}

// A row of blocks that are a scale, a min where the format has one, and codes as panels want them
// (Q4_0, Q4_1, IQ4_NL, Q8_0): packing was 26 % of the profile of a load.
template <PanelFormat F>
bool copy_blocks(const Shape& s, const std::byte* row, size_t r, std::byte* panel) {
  static_assert(!is_k_quant(F) && !bit_fields(F));
  auto* out = reinterpret_cast<uint8_t*>(panel);
  const auto* in = reinterpret_cast<const uint8_t*>(row);
  bool good = true;
  for (size_t b = 0; b < s.blocks(); ++b) {
    uint16_t halves[2] = {0, 0};
    std::memcpy(halves, in, has_min(F) ? 4 : 2);
    good &= !f16_bad(halves[0]) && !f16_bad(halves[1]);
    const uint8_t* codes = in + (has_min(F) ? 4 : 2);
    if constexpr (F == PanelFormat::kQ8) {
      put_bytes(s, out, r, codes);
    } else {
      put_nibbles(s, out, r, codes);
    }
    uint8_t* scale = out + code_bytes(F) * s.rows + 2 * r;
    std::memcpy(scale, &halves[0], 2);
    if (has_min(F)) std::memcpy(scale + 2 * s.rows, &halves[1], 2);
    in += block_bytes(F);
    out += block_bytes(F) * s.rows;
  }
  return good;
}

// A row of a type of blocks.
bool pack_block_row(const Shape& s, const Source& source, const std::byte* row, size_t r,
                    std::byte* panel) {
  const BlockReader read = block_reader(source.type);
  if (read == nullptr) return pack_row_as_q8(s, source, row, r, panel);
  switch (source.type) {
    case TensorType::kQ4_0:
      return copy_blocks<PanelFormat::kQ4>(s, row, r, panel);
    case TensorType::kQ4_1:
      return copy_blocks<PanelFormat::kQ4Min>(s, row, r, panel);
    case TensorType::kIQ4_NL:
      return copy_blocks<PanelFormat::kIq4>(s, row, r, panel);
    case TensorType::kQ8_0:
      return copy_blocks<PanelFormat::kQ8>(s, row, r, panel);
    case TensorType::kIQ4_XS:
      return pack_blocks<PanelFormat::kIq4>(s, row, r, panel, read);
    case TensorType::kMXFP4:
      return pack_blocks<PanelFormat::kE2m1>(s, row, r, panel, read);
    case TensorType::kQ5_0:
      return pack_blocks<PanelFormat::kQ5>(s, row, r, panel, read);
    case TensorType::kQ5_1:
      return pack_blocks<PanelFormat::kQ5Min>(s, row, r, panel, read);
    case TensorType::kQ2_K:
      return pack_blocks<PanelFormat::kQ2K>(s, row, r, panel, read);
    case TensorType::kQ3_K:
      return pack_blocks<PanelFormat::kQ3K>(s, row, r, panel, read);
    case TensorType::kQ4_K:
      return pack_blocks<PanelFormat::kQ4K>(s, row, r, panel, read);
    case TensorType::kQ5_K:
      return pack_blocks<PanelFormat::kQ5K>(s, row, r, panel, read);
    case TensorType::kQ6_K:
      return pack_blocks<PanelFormat::kQ6K>(s, row, r, panel, read);
    default:
      return false;
  }
}

// Row r of a panel. False when a value is not finite or does not fit the panel's format.
bool pack_row(const Shape& s, const Source& source, const std::byte* row, size_t r,
              std::byte* panel) {
  switch (source.type) {
    case TensorType::kF32:
      return pack_floats<uint32_t>(s, row, r, panel, 0x7F800000U);
    case TensorType::kF64:
      return pack_doubles(s, row, r, panel);
    case TensorType::kF16:
      return pack_floats<uint16_t>(s, row, r, panel, 0x7C00U);
    case TensorType::kBF16:
      return pack_floats<uint16_t>(s, row, r, panel, 0x7F80U);
    default:
      return pack_block_row(s, source, row, r, panel);
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
      return PanelFormat::kQ4Min;
    case TensorType::kQ4_K:
      return PanelFormat::kQ4K;
    case TensorType::kQ5_0:
      return PanelFormat::kQ5;
    case TensorType::kQ5_1:
      return PanelFormat::kQ5Min;
    case TensorType::kQ5_K:
      return PanelFormat::kQ5K;
    case TensorType::kQ2_K:
      return PanelFormat::kQ2K;
    case TensorType::kQ3_K:
      return PanelFormat::kQ3K;
    case TensorType::kQ6_K:
      return PanelFormat::kQ6K;
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
                        "Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K to Q6_K, IQ1_S to IQ4_XS, TQ1_0, "
                        "TQ2_0, MXFP4, NVFP4",
                        gguf::type_name(type));
  }
}

bool is_reencoded(TensorType type) {
  const auto format = panel_format(type);
  return format.ok() && *format >= PanelFormat::kQ4 && block_reader(type) == nullptr;
}

size_t packed_bytes(PanelFormat format, size_t rows, size_t cols, Isa isa) {
  const Kernels& k = kernels_for(isa);
  const Shape shape{k.panel_rows, cols, format, k.biased_q8};
  return (rows + shape.rows - 1) / shape.rows * shape.panel_bytes();
}

Result<PackedMatrix> PackedMatrix::pack(TensorType type, std::span<const std::byte> data,
                                        size_t rows, size_t cols, Isa isa, ThreadPool& pool,
                                        const PackOptions& options) {
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
  m.buffer_ =
      options.arena != nullptr ? options.arena->allocate(bytes) : AlignedBuffer::allocate(bytes);
  if (m.buffer_.data() == nullptr) {
    return make_error(ErrorCode::kOutOfMemory, "no memory for {} bytes of packed weights", bytes);
  }
  const Source source{type, row_bytes};
  std::atomic<bool> fits{true};
  const size_t first = options.beside != nullptr ? 1 : 0;
  pool.parallel_for(first + m.panels(), [&](size_t task, size_t) {
    if (task < first) {
      (*options.beside)();
      return;
    }
    const size_t p = task - first;
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
