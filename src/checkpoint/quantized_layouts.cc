// Finding the parts of quantized matrices among a checkpoint's tensors, and checking that they fit.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "checkpoint/quantized.h"

namespace weir::checkpoint {
namespace {

using text::Json;
using Codes = QuantizedMatrix::Codes;
using Zeros = QuantizedMatrix::Zeros;
using Method = QuantizationConfig::Method;

constexpr size_t kNvfp4Group = 16;
constexpr size_t kMxfp4Group = 32;

// Parts that say how activations or the cache are to be quantized, which is not done here.
constexpr std::string_view kIgnored[] = {
    ".input_scale", ".input_zero_point", ".input_global_scale", ".output_scale", ".k_scale",
    ".v_scale",     ".k_zero_point",     ".v_zero_point",       ".q_scale"};
// All others, beside the weight itself.
constexpr std::string_view kParts[] = {".qweight",
                                       ".qzeros",
                                       ".scales",
                                       ".g_idx",
                                       ".weight_packed",
                                       ".weight_scale",
                                       ".weight_scale_inv",
                                       ".weight_zero_point",
                                       ".weight_global_scale",
                                       ".weight_shape",
                                       ".weight_g_idx"};

class Parts {
 public:
  explicit Parts(std::string name) : name_(std::move(name)) {}
  void add(std::string_view part, const SafeTensor& t) { parts_[part] = &t; }
  const std::string& name() const { return name_; }
  const SafeTensor* find(std::string_view part) const {
    const auto found = parts_.find(part);
    return found == parts_.end() ? nullptr : found->second;
  }
  Result<const SafeTensor*> get(std::string_view part) const {
    if (const SafeTensor* t = find(part)) return t;
    return make_error(ErrorCode::kCorrupt, "tensor {}{} is missing", name_, part);
  }
  bool empty() const { return parts_.empty(); }

 private:
  std::string name_;
  std::map<std::string_view, const SafeTensor*> parts_;
};

Error unfit(const SafeTensor& t, std::string_view wanted) {
  return make_error(ErrorCode::kCorrupt, "tensor {} has type {} and shape [{}], not {}", t.name,
                    dtype_name(t.dtype), fmt::join(t.shape, ", "), wanted);
}

Status expect(const SafeTensor& t, Dtype dtype, size_t rows, size_t cols) {
  if (t.dtype == dtype && t.shape == std::vector<uint64_t>{rows, cols}) return {};
  return unfit(t, fmt::format("{} [{}, {}]", dtype_name(dtype), rows, cols));
}

class Joiner {
 public:
  Joiner(const QuantizationConfig& config, const Parts& parts) : config_(config), parts_(parts) {
    m_.name = parts.name() + ".weight";
  }

  Result<QuantizedMatrix> run() {
    if (parts_.find(".qweight") != nullptr) {
      WEIR_TRY(config_.method == Method::kAwq ? awq() : gptq());
    } else if (parts_.find(".weight_packed") != nullptr) {
      WEIR_TRY(packed());
    } else {
      WEIR_TRY(plain());
    }
    if (m_.rows == 0 || m_.cols == 0)
      return make_error(ErrorCode::kCorrupt, "matrix {} is empty", m_.name);
    m_.natural = m_.find_natural();
    return std::move(m_);
  }

 private:
  Status matrix_of(const SafeTensor& t, Dtype dtype) const {
    if (t.dtype == dtype && t.shape.size() == 2 && !t.data.empty()) return {};
    return unfit(t, fmt::format("a matrix of {}", dtype_name(dtype)));
  }

  // Groups of equal width, [groups, rows] or [rows, groups].
  Status groups(const SafeTensor& scales, size_t rows_at) {
    const bool float16 =
        scales.dtype == Dtype::kF16 || scales.dtype == Dtype::kBF16 || scales.dtype == Dtype::kF32;
    if (!float16 || scales.shape.size() != 2 || scales.shape[rows_at] != m_.rows)
      return unfit(scales, fmt::format("floats for each of {} rows", m_.rows));
    const size_t count = scales.shape[1 - rows_at];
    if (count == 0 || m_.cols % count != 0)
      return unfit(scales, fmt::format("groups that divide {} columns", m_.cols));
    m_.group = m_.cols / count;
    m_.scale_bytes = scales.data;
    m_.scale_type = scales.dtype;
    m_.row_stride = rows_at == 0 ? count : 1;
    m_.group_stride = rows_at == 0 ? 1 : m_.rows;
    return {};
  }

  // The group of each column, where columns were sorted by activation.
  Status order(const SafeTensor* index) {
    if (index == nullptr) return {};
    if (index->dtype != Dtype::kI32 || index->shape != std::vector<uint64_t>{m_.cols})
      return unfit(*index, fmt::format("I32 [{}]", m_.cols));
    std::vector<uint32_t> group(m_.cols);
    bool plain = true;
    for (size_t i = 0; i < m_.cols; ++i) {
      int32_t value;
      std::memcpy(&value, index->data.data() + i * 4, 4);
      if (value < 0 || static_cast<size_t>(value) >= m_.cols / m_.group) {
        return make_error(ErrorCode::kCorrupt, "tensor {}: column {} is of group {}; there are {}",
                          index->name, i, value, m_.cols / m_.group);
      }
      group[i] = static_cast<uint32_t>(value);
      plain = plain && group[i] == i / m_.group;
    }
    if (!plain) m_.group_of = std::move(group);
    return {};
  }

  Status gptq() {
    WEIR_ASSIGN(const SafeTensor* codes, parts_.get(".qweight"));
    WEIR_ASSIGN(const SafeTensor* scales, parts_.get(".scales"));
    WEIR_ASSIGN(const SafeTensor* zeros, parts_.get(".qzeros"));
    WEIR_TRY(matrix_of(*codes, Dtype::kI32));
    const auto a_word = static_cast<size_t>(32 / config_.bits);
    m_.bits = config_.bits;
    m_.codes = Codes::kDown;
    m_.code_bytes = codes->data;
    m_.rows = codes->shape[1];
    m_.cols = codes->shape[0] * a_word;
    WEIR_TRY(groups(*scales, 1));
    if (m_.rows % a_word != 0)
      return unfit(*codes, fmt::format("rows that are multiples of {}", a_word));
    WEIR_TRY(expect(*zeros, Dtype::kI32, m_.cols / m_.group, m_.rows / a_word));
    m_.zeros = Zeros::kAcross;
    m_.zero_bytes = zeros->data;
    m_.offset = config_.zeros_less_one ? 1 : 0;
    return order(parts_.find(".g_idx"));
  }

  Status awq() {
    WEIR_ASSIGN(const SafeTensor* codes, parts_.get(".qweight"));
    WEIR_ASSIGN(const SafeTensor* scales, parts_.get(".scales"));
    WEIR_ASSIGN(const SafeTensor* zeros, parts_.get(".qzeros"));
    WEIR_TRY(matrix_of(*codes, Dtype::kI32));
    m_.codes = Codes::kAcross;
    m_.code_bytes = codes->data;
    m_.rows = codes->shape[1] * 8;
    m_.cols = codes->shape[0];
    WEIR_TRY(groups(*scales, 1));
    WEIR_TRY(expect(*zeros, Dtype::kI32, m_.cols / m_.group, m_.rows / 8));
    m_.zeros = Zeros::kAwq;
    m_.zero_bytes = zeros->data;
    return {};
  }

  // weight_packed of compressed-tensors: integers in words, or 4-bit floats in bytes.
  Status packed() {
    WEIR_ASSIGN(const SafeTensor* codes, parts_.get(".weight_packed"));
    WEIR_ASSIGN(const SafeTensor* scales, parts_.get(".weight_scale"));
    if (codes->dtype == Dtype::kU8) return packed_floats(*codes, *scales);
    WEIR_TRY(matrix_of(*codes, Dtype::kI32));
    WEIR_ASSIGN(const SafeTensor* shape, parts_.get(".weight_shape"));
    WEIR_TRY(read_shape(*shape));
    m_.codes = Codes::kRows;
    m_.code_bytes = codes->data;
    const size_t words = codes->shape[1];
    m_.bits = words == (m_.cols + 7) / 8 ? 4 : 8;
    if (codes->shape[0] != m_.rows || words != (m_.cols * static_cast<size_t>(m_.bits) + 31) / 32)
      return unfit(*codes, fmt::format("4 or 8 bits for each of [{}, {}]", m_.rows, m_.cols));
    WEIR_TRY(groups(*scales, 0));
    m_.offset = 1 << (m_.bits - 1);
    if (const SafeTensor* zeros = parts_.find(".weight_zero_point")) WEIR_TRY(packed_zeros(*zeros));
    return order(parts_.find(".weight_g_idx"));
  }

  Status packed_zeros(const SafeTensor& zeros) {
    const size_t count = m_.cols / m_.group;
    m_.zero_bytes = zeros.data;
    if (zeros.dtype == Dtype::kI8) {  // as the numbers they are
      WEIR_TRY(expect(zeros, Dtype::kI8, m_.rows, count));
      m_.zeros = Zeros::kInt8;
      return {};
    }
    const auto a_word = static_cast<size_t>(32 / m_.bits);
    WEIR_TRY(expect(zeros, Dtype::kI32, (m_.rows + a_word - 1) / a_word, count));
    m_.zeros = Zeros::kRows;
    return {};
  }

  Status read_shape(const SafeTensor& shape) {
    const bool wide = shape.dtype == Dtype::kI64;
    if ((!wide && shape.dtype != Dtype::kI32) || shape.shape != std::vector<uint64_t>{2})
      return unfit(shape, "I64 [2]");
    int64_t sizes[2];
    for (size_t i = 0; i < 2; ++i) {
      int32_t narrow;
      if (wide) {
        std::memcpy(&sizes[i], shape.data.data() + i * 8, 8);
      } else {
        std::memcpy(&narrow, shape.data.data() + i * 4, 4);
        sizes[i] = narrow;
      }
      if (sizes[i] <= 0 || sizes[i] > INT32_MAX)
        return make_error(ErrorCode::kCorrupt, "tensor {} says {}", shape.name, sizes[i]);
    }
    m_.rows = static_cast<size_t>(sizes[0]);
    m_.cols = static_cast<size_t>(sizes[1]);
    return {};
  }

  Status packed_floats(const SafeTensor& codes, const SafeTensor& scales) {
    WEIR_TRY(matrix_of(codes, Dtype::kU8));
    m_.codes = Codes::kE2m1;
    m_.code_bytes = codes.data;
    m_.rows = codes.shape[0];
    m_.cols = codes.shape[1] * 2;
    const bool nvfp4 = scales.dtype == Dtype::kF8E4M3;
    m_.group = nvfp4 ? kNvfp4Group : kMxfp4Group;
    const Dtype power = scales.dtype == Dtype::kF8E8M0 ? Dtype::kF8E8M0 : Dtype::kU8;
    WEIR_TRY(expect(scales, nvfp4 ? Dtype::kF8E4M3 : power, m_.rows, m_.cols / m_.group));
    if (m_.cols % m_.group != 0)
      return unfit(codes, fmt::format("columns that are multiples of {}", m_.group));
    m_.scale_bytes = scales.data;
    m_.scale_type = nvfp4 ? Dtype::kF8E4M3 : Dtype::kU8;
    m_.row_stride = m_.cols / m_.group;
    m_.group_stride = 1;
    if (!nvfp4) return {};
    WEIR_ASSIGN(const SafeTensor* global, parts_.get(".weight_global_scale"));
    if (global->dtype != Dtype::kF32 || global->data.size() != 4) return unfit(*global, "F32 [1]");
    float divisor;
    std::memcpy(&divisor, global->data.data(), 4);
    if (!(divisor > 0))
      return make_error(ErrorCode::kCorrupt, "tensor {} is {}", global->name, divisor);
    m_.factor = 1.0F / divisor;
    return {};
  }

  // A weight of a byte each with scales beside it.
  Status plain() {
    WEIR_ASSIGN(const SafeTensor* codes, parts_.get(".weight"));
    const bool inverse = parts_.find(".weight_scale_inv") != nullptr;
    WEIR_ASSIGN(const SafeTensor* scales,
                parts_.get(inverse ? ".weight_scale_inv" : ".weight_scale"));
    if (codes->dtype != Dtype::kI8) WEIR_TRY(matrix_of(*codes, Dtype::kF8E4M3));
    if (codes->dtype == Dtype::kI8) WEIR_TRY(matrix_of(*codes, Dtype::kI8));
    m_.codes = codes->dtype == Dtype::kI8 ? Codes::kInt8 : Codes::kE4m3;
    m_.bits = 8;
    m_.code_bytes = codes->data;
    m_.rows = codes->shape[0];
    m_.cols = codes->shape[1];
    WEIR_TRY(plain_scales(*scales));
    const SafeTensor* zeros = parts_.find(".weight_zero_point");
    if (zeros == nullptr || m_.codes != Codes::kInt8) return {};
    WEIR_TRY(expect(*zeros, Dtype::kI8, m_.rows, m_.cols / m_.group));
    m_.zeros = Zeros::kInt8;
    m_.zero_bytes = zeros->data;
    return {};
  }

  // One for all, one for each row or group of it, or one for each block of 128 x 128.
  Status plain_scales(const SafeTensor& scales) {
    const bool floats =
        scales.dtype == Dtype::kF16 || scales.dtype == Dtype::kBF16 || scales.dtype == Dtype::kF32;
    if (!floats || scales.data.empty()) return unfit(scales, "floats");
    m_.group = m_.cols;
    m_.scale_bytes = scales.data;
    m_.scale_type = scales.dtype;
    if (scales.data.size() == dtype_bytes(scales.dtype)) return {};
    if (scales.shape == std::vector<uint64_t>{m_.rows}) {
      m_.row_stride = 1;
      return {};
    }
    if (scales.shape.size() == 2 && scales.shape[0] == m_.rows) return groups(scales, 0);
    constexpr size_t kSide = 128;
    const size_t down = (m_.rows + kSide - 1) / kSide, across = (m_.cols + kSide - 1) / kSide;
    if (scales.shape != std::vector<uint64_t>{down, across})
      return unfit(scales, fmt::format("one scale, [{}, 1] or [{}, {}]", m_.rows, down, across));
    m_.group = kSide;
    m_.scale_rows = kSide;
    m_.row_stride = across;
    m_.group_stride = 1;
    return {};
  }

  const QuantizationConfig& config_;
  const Parts& parts_;
  QuantizedMatrix m_;
};

// The part that a tensor is; "" for none.
std::string_view part_of(std::string_view name) {
  for (const std::string_view part : kParts) {
    if (name.ends_with(part)) return part;
  }
  return {};
}

Result<std::string> text_of(const Json& json, std::string_view key) {
  const Json* v = json.find(key);
  if (v == nullptr || v->is_null()) return std::string();
  if (v->is_string()) return v->as_string();
  return make_error(ErrorCode::kCorrupt, "quantization_config.{} must be a string", key);
}

Result<int> bits_of(const Json& json) {
  const Json* v = json.find("bits");
  if (v == nullptr || !v->is_int())
    return make_error(ErrorCode::kCorrupt, "quantization_config.bits must be an integer");
  if (v->as_int() == 4 || v->as_int() == 8) return static_cast<int>(v->as_int());
  return make_error(ErrorCode::kUnsupported, "quantization_config.bits is {}; 4 and 8 are read",
                    v->as_int());
}

}  // namespace

Result<QuantizationConfig> read_quantization_config(const Json& json) {
  QuantizationConfig config;
  if (!json.is_object())
    return make_error(ErrorCode::kCorrupt, "quantization_config must be an object");
  WEIR_ASSIGN(const std::string method, text_of(json, "quant_method"));
  if (method == "compressed-tensors") {
    config.method = Method::kCompressedTensors;
    return config;
  }
  if (method == "fp8") {
    config.method = Method::kFp8;
    return config;
  }
  if (method != "gptq" && method != "awq") {
    return make_error(ErrorCode::kUnsupported,
                      "quantization_config: weights quantized by {} are not supported; gptq, awq, "
                      "compressed-tensors and fp8 are, and models in bfloat16, float16 or as GGUF",
                      method.empty() ? "an unnamed method"
                                     : text::json_quote(std::string_view(method).substr(0, 40)));
  }
  config.method = method == "gptq" ? Method::kGptq : Method::kAwq;
  WEIR_ASSIGN(config.bits, bits_of(json));
  WEIR_ASSIGN(const std::string format,
              text_of(json, config.method == Method::kGptq ? "checkpoint_format" : "version"));
  const bool known =
      config.method == Method::kGptq
          ? format.empty() || format == "gptq" || format == "gptq_v2"
          : (format.empty() || format == "gemm" || format == "GEMM") && config.bits == 4;
  if (!known) {
    return make_error(ErrorCode::kUnsupported,
                      "quantization_config: {} of {} bits in the format {} is not read; gptq and "
                      "gptq_v2 are, and awq of 4 bits in the format gemm",
                      method, config.bits,
                      text::json_quote(std::string_view(format).substr(0, 40)));
  }
  config.zeros_less_one = config.method == Method::kGptq && format != "gptq_v2";
  return config;
}

Result<std::vector<SafeTensor>> join_quantized(const QuantizationConfig& config,
                                               std::vector<SafeTensor> tensors) {
  if (config.method == Method::kNone) return tensors;
  std::map<std::string, Parts, std::less<>> matrices;
  std::vector<SafeTensor> out;
  for (const SafeTensor& t : tensors) {
    const std::string_view part = part_of(t.name);
    if (part.empty()) continue;
    const std::string base(t.name.substr(0, t.name.size() - part.size()));
    matrices.try_emplace(base, base).first->second.add(part, t);
  }
  for (SafeTensor& t : tensors) {
    const auto ignored = [&](std::string_view part) { return t.name.ends_with(part); };
    if (std::any_of(std::begin(kIgnored), std::end(kIgnored), ignored)) continue;
    if (!part_of(t.name).empty()) continue;
    constexpr std::string_view kWeight = ".weight";
    const auto found = t.name.ends_with(kWeight)
                           ? matrices.find(t.name.substr(0, t.name.size() - kWeight.size()))
                           : matrices.end();
    if (found == matrices.end()) {
      out.push_back(std::move(t));
    } else {
      found->second.add(kWeight, t);
    }
  }
  for (const auto& [name, parts] : matrices) {
    WEIR_ASSIGN(QuantizedMatrix matrix, Joiner(config, parts).run());
    SafeTensor t;
    t.name = matrix.name;
    t.shape = {matrix.rows, matrix.cols};
    t.quantized = std::make_shared<const QuantizedMatrix>(std::move(matrix));
    out.push_back(std::move(t));
  }
  return out;
}

}  // namespace weir::checkpoint
