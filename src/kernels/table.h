// The functions that each ISA folder provides, all serial, and the views they read. Internal to
// kernels/.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/attention.h"
#include "kernels/isa.h"
#include "kernels/ops.h"
#include "kernels/packed_matrix.h"

namespace weir::kernels {

inline constexpr size_t kMaxTileTokens = 16;  // tokens per micro-kernel: 16 accumulators + 8 code
                                              // vectors + 4 sums + scales in 32 registers

// The activation rows of one tile; layout: Activations.
struct ActivationView {
  const float* x = nullptr;  // [tokens, cols], row stride ldx
  size_t ldx = 0;
  const int8_t* codes = nullptr;       // [cols / 32][width][32]
  const float* scales = nullptr;       // [cols / 32][width]
  const int32_t* neg8_sums = nullptr;  // [cols / 32][width]: -8 * sum of the block's codes
  const float* scaled_sums = nullptr;  // [cols / 32][width]: scale * sum of the block's codes
  const int32_t* half_sums = nullptr;  // [cols / 32][2][width]: sum of the codes of each half
  size_t width = 0;                    // of the tile; at least the tokens in it
};

// Where quantize_row puts one row: strides between blocks of 32.
struct QuantizedRow {
  int8_t* codes = nullptr;
  size_t code_stride = 0;
  float* scales = nullptr;
  int32_t* neg8_sums = nullptr;
  float* scaled_sums = nullptr;
  int32_t* half_sums = nullptr;  // the second half's at [stride]
  size_t stride = 0;
};

// y[t * ldy + r] (+)= panel row r · activation row t, t < tokens <= kMaxTileTokens, r < rows <=
// panel rows.
using MatmulTile = void (*)(const std::byte* panel, size_t cols, const ActivationView& a,
                            size_t tokens, float* y, size_t ldy, size_t rows, bool add);

// One tile of attention: query rows of one KV head, over all its pages.
struct AttentionTile {
  KvLayout layout;
  const std::byte* k = nullptr;  // page p of this KV head at k + p * k_stride_bytes
  const std::byte* v = nullptr;
  size_t k_stride_bytes = 0;
  size_t v_stride_bytes = 0;
  const int32_t* pages = nullptr;
  // Where the worker's next tile will begin, for prefetching; nullptr: unknown.
  const std::byte* then_k = nullptr;
  const std::byte* then_v = nullptr;
  size_t position = 0;  // of the first token
  size_t tokens = 0;
  size_t group = 0;  // query heads of this KV head; tokens * group <= kMaxTileRows
  float scale = 1.0F;
  float softcap = 0.0F;
  size_t window = 0;
  size_t keys = 0;               // > 0: every token sees the keys [0, keys), else causal
  const float* sinks = nullptr;  // [group] or nullptr
  bool hadamard_keys = false;    // keys are stored transformed, so queries have to be
  bool hadamard_values = false;  // values are, so outputs have to be transformed back
  const float* q = nullptr;      // token t, head g at q + t * ldq + g * head_dim
  size_t ldq = 0;
  float* out = nullptr;  // token t, head g at out + t * ldo + g * value_dim
  size_t ldo = 0;
};
inline constexpr size_t kMaxTileRows = 12;

struct Kernels {
  Isa isa = Isa::kScalar;
  size_t panel_rows = 0;
  bool biased_q8 = false;  // 8-bit codes stored as code + 128
  MatmulTile matmul[kPanelFormats] = {};
  void (*quantize_row)(const float* x, size_t cols, const QuantizedRow& out) = nullptr;
  void (*rms_norm_row)(const float* x, size_t cols, const float* weight, float epsilon,
                       float* y) = nullptr;
  void (*rope_row)(float* x, size_t heads, size_t head_dim, size_t dims, RopeStyle style,
                   const float* cos, const float* sin) = nullptr;
  void (*layer_norm_row)(const float* x, size_t cols, const float* weight, const float* bias,
                         float epsilon, float* y) = nullptr;
  void (*gate)(Activation activation, const float* gate, const float* up, size_t n,
               float* y) = nullptr;
  void (*activate)(Activation activation, float* x, size_t n) = nullptr;
  void (*scale)(float factor, float* x, size_t n) = nullptr;
  void (*softcap)(float cap, float* x, size_t n) = nullptr;
  void (*add)(const float* x, size_t n, float* y) = nullptr;
  void (*softmax)(float* x, size_t n) = nullptr;
  double (*exp_sum)(const float* x, size_t n, float max) = nullptr;
  MassAndGap (*mass_and_gap)(const float* log_p, float floor, const float* y, float shift,
                             size_t n) = nullptr;
  size_t (*argmax)(const float* x, size_t n) = nullptr;
  float (*dot)(const float* a, const float* b, size_t n) = nullptr;
  // n floats to f16; values at y + i * stride.
  void (*to_f16)(const float* x, size_t n, uint16_t* y, size_t stride) = nullptr;
  // n floats, whole blocks, to the ggml blocks of a block type.
  void (*encode_kv)(KvType type, const float* x, size_t n, std::byte* row) = nullptr;
  // The orthonormal Walsh-Hadamard transform in place, its own inverse, in blocks of the largest
  // power of two that divides n, which is a multiple of 32.
  void (*hadamard)(float* x, size_t n) = nullptr;
  void (*attend)(const AttentionTile& tile) = nullptr;
};

const Kernels& scalar_kernels();
const Kernels& avx2_kernels();
const Kernels& avx512_kernels();

}  // namespace weir::kernels
