// Shared by the tests of this folder: every ISA of the machine, random data, encoded matrices.
#pragma once

#include <cstring>
#include <random>
#include <vector>

#include "gguf/tensor_type.h"
#include "kernels/isa.h"
#include "kernels/matmul.h"
#include "os/cpu.h"
#include "quant/codec.h"
#include "quant/half.h"

namespace weir::kernels::test {

inline std::vector<Isa> isas() { return present_isas(os::detect_cpu()); }

inline std::vector<float> random_floats(size_t n, uint32_t seed, float scale = 1.0F) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal(0.0F, scale);
  std::vector<float> values(n);
  for (float& v : values) v = normal(rng);
  return values;
}

inline void put_half(std::vector<std::byte>& bytes, size_t at, float value) {
  const uint16_t half = quant::f32_to_f16(value);
  std::memcpy(bytes.data() + at, &half, sizeof half);
}

// A random matrix in the file's format: random codes, tame scales (their positions in a block:
// ggml-common.h).
inline std::vector<std::byte> random_matrix(gguf::TensorType type, size_t rows, size_t cols,
                                            uint32_t seed) {
  using gguf::TensorType;
  const gguf::TypeInfo& info = *gguf::type_info(type);
  const size_t blocks = rows * cols / info.block_elements;
  std::vector<std::byte> bytes(blocks * info.block_bytes);
  std::mt19937 rng(seed);
  for (std::byte& b : bytes) b = static_cast<std::byte>(rng());
  std::uniform_real_distribution<float> scale(0.001F, 0.02F);
  for (size_t b = 0; b < blocks; ++b) {
    const size_t at = b * info.block_bytes;
    switch (type) {
      case TensorType::kF32: {
        const float v = scale(rng) * 10.0F - 0.1F;
        std::memcpy(bytes.data() + at, &v, sizeof v);
        break;
      }
      case TensorType::kF64: {
        const double v = scale(rng) * 10.0 - 0.1;
        std::memcpy(bytes.data() + at, &v, sizeof v);
        break;
      }
      case TensorType::kTQ2_0:
        put_half(bytes, at + 64, scale(rng));
        break;
      case TensorType::kIQ1_M:  // 0x1ccc: about 0.005, a nibble at the top of each word of scales
        for (size_t i = 0; i < 4; ++i) {
          std::byte& top = bytes[at + 49 + 2 * i];
          top = (top & std::byte{0x0F}) | (i == 3 ? std::byte{0x10} : std::byte{0xC0});
        }
        break;
      case TensorType::kMXFP4:  // 2^-8 to 2^-5
        bytes[at] = static_cast<std::byte>(119 + rng() % 4);
        break;
      case TensorType::kNVFP4:
        // 2^-2 to 2^-1: scales of neighbours that are far apart do not survive in blocks of 32.
        for (size_t i = 0; i < 4; ++i)
          bytes[at + i] = (bytes[at + i] & std::byte{7}) | std::byte{0x28};
        break;
      case TensorType::kBF16: {
        const uint16_t v = quant::f32_to_bf16(scale(rng) * 10.0F - 0.1F);
        std::memcpy(bytes.data() + at, &v, sizeof v);
        break;
      }
      case TensorType::kF16:
        put_half(bytes, at, scale(rng) * 10.0F - 0.1F);
        break;
      case TensorType::kQ4_1:
      case TensorType::kQ5_1:
        put_half(bytes, at + 2, -8.0F * scale(rng));
        put_half(bytes, at, scale(rng));
        break;
      case TensorType::kQ4_K:
      case TensorType::kQ5_K:
        put_half(bytes, at + 2, scale(rng) / 8.0F);
        put_half(bytes, at, scale(rng) / 32.0F);
        break;
      case TensorType::kQ6_K:
        put_half(bytes, at + 208, scale(rng) / 64.0F);
        break;
      case TensorType::kQ3_K:
        put_half(bytes, at + 108, scale(rng) / 16.0F);
        break;
      case TensorType::kQ2_K:
        put_half(bytes, at + 80, scale(rng) / 4.0F);
        put_half(bytes, at + 82, scale(rng) / 4.0F);
        break;
      default:
        put_half(bytes, at, scale(rng));
        break;
    }
  }
  return bytes;
}

inline std::vector<float> decoded(gguf::TensorType type, const std::vector<std::byte>& bytes,
                                  size_t values) {
  std::vector<float> out(values);
  if (!quant::decode(type, bytes, out).ok()) out.clear();
  return out;
}

inline PackedMatrix packed(gguf::TensorType type, const std::vector<std::byte>& bytes, size_t rows,
                           size_t cols, Isa isa, ThreadPool& pool) {
  auto m = PackedMatrix::pack(type, bytes, rows, cols, isa, pool);
  return m.ok() ? std::move(m).value() : PackedMatrix();
}

// y = W·x, [tokens, rows].
inline std::vector<float> product(const PackedMatrix& w, ThreadPool& pool, const float* x,
                                  size_t tokens) {
  const Kernels& kernels = kernels_for(w.isa());
  Activations a;
  a.quantize(kernels, pool, x, w.cols(), tokens, w.cols());
  std::vector<float> y(tokens * w.rows(), -1.0F);
  const MatmulJob job{&w, y.data(), w.rows()};
  matmul(kernels, pool, a, {&job, 1});
  return y;
}

}  // namespace weir::kernels::test
