#include "quant/codec.h"

#include <bit>
#include <cstring>

#include "quant/blocks.h"
#include "quant/half.h"

namespace weir::quant {

namespace {

using gguf::TensorType;

void decode_f32(const std::byte* src, float* dst) { std::memcpy(dst, src, sizeof *dst); }
void decode_f16(const std::byte* src, float* dst) { *dst = load_f16(src); }
void decode_bf16(const std::byte* src, float* dst) { *dst = bf16_to_f32(load_u16(src)); }

template <typename T>
void decode_number(const std::byte* src, float* dst) {
  T value;
  std::memcpy(&value, src, sizeof value);
  *dst = static_cast<float>(value);
}

EncodeFault encode_f32(const float* src, std::byte* dst) {
  std::memcpy(dst, src, sizeof *src);
  return {};
}
EncodeFault encode_f16(const float* src, std::byte* dst) {
  store_u16(dst, f32_to_f16(*src));
  return {};
}
EncodeFault encode_bf16(const float* src, std::byte* dst) {
  store_u16(dst, f32_to_bf16(*src));
  return {};
}

using Decoder = void (*)(const std::byte*, float*);
using Encoder = EncodeFault (*)(const float*, std::byte*);

struct Codec {
  TensorType type;
  Decoder decode;
  Encoder encode;  // nullptr: decode only
};

constexpr Codec kCodecs[] = {
    {TensorType::kF32, decode_f32, encode_f32},
    {TensorType::kF16, decode_f16, encode_f16},
    {TensorType::kBF16, decode_bf16, encode_bf16},
    {TensorType::kQ4_0, decode_q4_0, encode_q4_0},
    {TensorType::kQ4_1, decode_q4_1, encode_q4_1},
    {TensorType::kQ5_0, decode_q5_0, nullptr},
    {TensorType::kQ5_1, decode_q5_1, nullptr},
    {TensorType::kQ8_0, decode_q8_0, encode_q8_0},
    {TensorType::kQ2_K, decode_q2_k, nullptr},
    {TensorType::kQ3_K, decode_q3_k, nullptr},
    {TensorType::kQ4_K, decode_q4_k, nullptr},
    {TensorType::kQ5_K, decode_q5_k, nullptr},
    {TensorType::kQ6_K, decode_q6_k, nullptr},
    {TensorType::kIQ1_S, decode_iq1_s, nullptr},
    {TensorType::kIQ1_M, decode_iq1_m, nullptr},
    {TensorType::kIQ2_XXS, decode_iq2_xxs, nullptr},
    {TensorType::kIQ2_XS, decode_iq2_xs, nullptr},
    {TensorType::kIQ2_S, decode_iq2_s, nullptr},
    {TensorType::kIQ3_XXS, decode_iq3_xxs, nullptr},
    {TensorType::kIQ3_S, decode_iq3_s, nullptr},
    {TensorType::kIQ4_NL, decode_iq4_nl, nullptr},
    {TensorType::kIQ4_XS, decode_iq4_xs, nullptr},
    {TensorType::kTQ1_0, decode_tq1_0, nullptr},
    {TensorType::kTQ2_0, decode_tq2_0, nullptr},
    {TensorType::kMXFP4, decode_mxfp4, nullptr},
    {TensorType::kNVFP4, decode_nvfp4, nullptr},
    {TensorType::kF64, decode_number<double>, nullptr},
    {TensorType::kI8, decode_number<int8_t>, nullptr},
    {TensorType::kI16, decode_number<int16_t>, nullptr},
    {TensorType::kI32, decode_number<int32_t>, nullptr},
    {TensorType::kI64, decode_number<int64_t>, nullptr},
};

const Codec* find_codec(TensorType type) {
  for (const Codec& codec : kCodecs) {
    if (codec.type == type) return &codec;
  }
  return nullptr;
}

Error unsupported(std::string_view verb, TensorType type, bool encode_too) {
  std::string names;
  for (const Codec& codec : kCodecs) {
    if (encode_too && codec.encode == nullptr) continue;
    if (!names.empty()) names += ", ";
    names += gguf::type_name(codec.type);
  }
  return make_error(ErrorCode::kUnsupported,
                    "cannot {} tensors of {}; weir knows {}: take the model in one of these", verb,
                    gguf::type_name(type), names);
}

Status check_sizes(const gguf::TypeInfo& info, size_t values, size_t bytes) {
  if (values % info.block_elements == 0 && values / info.block_elements * info.block_bytes == bytes)
    return {};
  return make_error(ErrorCode::kInvalidValue,
                    "{} bytes do not hold {} values of {} ({} values in {} bytes a block)", bytes,
                    values, info.name, info.block_elements, info.block_bytes);
}

// f16_to_f32 without branches, for loops that become vectors. The product is exact: it shifts the
// exponent by 112, of subnormals too.
float f16_value(uint16_t half) {
  const uint32_t shifted = static_cast<uint32_t>(half & 0x7fffU) << 13;
  const auto finite = std::bit_cast<uint32_t>(std::bit_cast<float>(shifted) * 0x1p112F);
  // All bits of infinities and NaNs, of the latter quiet ones.
  const uint32_t special = 0U - static_cast<uint32_t>(shifted >= 0x0f800000U);
  const uint32_t quiet = (0U - static_cast<uint32_t>(shifted > 0x0f800000U)) & 0x400000U;
  const uint32_t bits = (finite & ~special) | ((shifted | 0x7f800000U | quiet) & special);
  return std::bit_cast<float>(bits | static_cast<uint32_t>(half & 0x8000U) << 16);
}

// Types whose blocks are single values of 16 bits: a call each would cost more than the value.
template <typename Value>
void decode_halves(std::span<const std::byte> src, std::span<float> dst, Value value) {
  for (size_t i = 0; i < dst.size(); ++i) dst[i] = value(load_u16(src.data() + 2 * i));
}

}  // namespace

bool can_decode(TensorType type) { return find_codec(type) != nullptr; }

bool can_encode(TensorType type) {
  const Codec* codec = find_codec(type);
  return codec != nullptr && codec->encode != nullptr;
}

Status decode(TensorType type, std::span<const std::byte> src, std::span<float> dst) {
  const Codec* codec = find_codec(type);
  if (codec == nullptr) return unsupported("decode", type, false);
  const gguf::TypeInfo& info = *gguf::type_info(type);
  WEIR_TRY(check_sizes(info, dst.size(), src.size()));
  if (type == TensorType::kF16) return decode_halves(src, dst, f16_value), Status();
  if (type == TensorType::kBF16) return decode_halves(src, dst, bf16_to_f32), Status();
  const size_t blocks = dst.size() / info.block_elements;
  for (size_t b = 0; b < blocks; ++b) {
    codec->decode(src.data() + b * info.block_bytes, dst.data() + b * info.block_elements);
  }
  return {};
}

Status encode(TensorType type, std::span<const float> src, std::span<std::byte> dst) {
  const Codec* codec = find_codec(type);
  if (codec == nullptr || codec->encode == nullptr) return unsupported("encode", type, true);
  const gguf::TypeInfo& info = *gguf::type_info(type);
  WEIR_TRY(check_sizes(info, src.size(), dst.size()));
  const size_t blocks = src.size() / info.block_elements;
  for (size_t b = 0; b < blocks; ++b) {
    const float* values = src.data() + b * info.block_elements;
    const EncodeFault fault = codec->encode(values, dst.data() + b * info.block_bytes);
    if (fault.kind == EncodeFault::Kind::kNone) continue;
    const bool not_finite = fault.kind == EncodeFault::Kind::kNotFinite;
    return make_error(ErrorCode::kInvalidValue, "value {} is {}, {} {}",
                      b * info.block_elements + fault.index, values[fault.index],
                      not_finite ? "which cannot stand in" : "too large for the f16 scale of",
                      info.name);
  }
  return {};
}

}  // namespace weir::quant
