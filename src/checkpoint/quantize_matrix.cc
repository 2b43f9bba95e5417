#include "checkpoint/quantize_matrix.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

#include "checkpoint/quantize_pack.h"
#include "os/cpu.h"
#include "quant/codec.h"
#include "quant/e4m3.h"
#include "quant/groups.h"
#include "quant/half.h"
#include "quant/quantize.h"

namespace weir::checkpoint {
namespace {

using gguf::TensorType;
using Codes = QuantizeScheme::Codes;
using Format = QuantizeScheme::Format;

constexpr float kMaxE2m1 = 6;
// Rows that a worker takes at once: whole words of every packing.
constexpr size_t kStripRows = 16;

struct Shape {
  size_t rows = 0, cols = 0;
};
Shape shape_of(const SafeTensor& t) {
  return {static_cast<size_t>(t.shape[0]), static_cast<size_t>(t.shape[1])};
}

TensorType float_type(Dtype dtype) {
  if (dtype == Dtype::kF32) return TensorType::kF32;
  return dtype == Dtype::kF16 ? TensorType::kF16 : TensorType::kBF16;
}

quant::ScaleType scale_type(Dtype dtype) {
  if (dtype == Dtype::kF32) return quant::ScaleType::kF32;
  return dtype == Dtype::kF16 ? quant::ScaleType::kF16 : quant::ScaleType::kBF16;
}

// Of scales that are floats: those of compressed-tensors are of the weights' own type.
Dtype scale_dtype(const QuantizeScheme& s, const SafeTensor& matrix) {
  return s.format == Format::kCompressedTensors ? matrix.dtype : Dtype::kF16;
}

size_t groups_of(const QuantizeScheme& s, size_t cols) {
  return s.group == 0 ? 1 : (cols + s.group - 1) / s.group;
}

size_t words(size_t codes, int bits) {
  const auto n = static_cast<size_t>(32 / bits);
  return (codes + n - 1) / n;
}

Status check_sizes(const QuantizeScheme& s, const SafeTensor& t) {
  const auto [rows, cols] = shape_of(t);
  const bool squares = s.block > 0;
  if (!squares && s.group > 0 && cols % s.group != 0) {
    std::string fits;
    for (const size_t g : {size_t{128}, size_t{64}, size_t{32}}) {
      if (s.packed && s.codes == Codes::kInteger && fits.empty() && cols % g == 0)
        fits = fmt::format("; --group-size {} fits", g);
    }
    return make_error(ErrorCode::kUnsupported,
                      "tensor {}: {} columns are no multiple of the {} that share a scale{}",
                      t.name, cols, s.group, fits);
  }
  const auto a_word = static_cast<size_t>(32 / s.bits);
  if (s.format != Format::kCompressedTensors && rows % a_word != 0) {
    return make_error(ErrorCode::kUnsupported,
                      "tensor {}: {} rows are no multiple of the {} that share a word of zero "
                      "points; take --format compressed-tensors",
                      t.name, rows, a_word);
  }
  return {};
}

class PartList {
 public:
  explicit PartList(std::string_view matrix)
      : base_(matrix.substr(0, matrix.size() - std::string_view("weight").size())) {}
  void add(std::string_view part, Dtype dtype, std::vector<uint64_t> shape) {
    parts_.push_back({base_ + std::string(part), dtype, std::move(shape)});
  }
  std::vector<SafeTensorInfo> take() { return std::move(parts_); }

 private:
  std::string base_;
  std::vector<SafeTensorInfo> parts_;
};

void add_packed_parts(const QuantizeScheme& s, const SafeTensor& t, PartList& list) {
  const auto [rows, cols] = shape_of(t);
  const size_t groups = groups_of(s, cols);
  if (s.format == Format::kCompressedTensors) {
    list.add("weight_packed", Dtype::kI32, {rows, words(cols, s.bits)});
    list.add("weight_scale", t.dtype, {rows, groups});
    if (!s.symmetric) list.add("weight_zero_point", Dtype::kI32, {words(rows, s.bits), groups});
    list.add("weight_shape", Dtype::kI64, {2});
    return;
  }
  const bool awq = s.format == Format::kAwq;
  if (awq) {
    list.add("qweight", Dtype::kI32, {cols, words(rows, s.bits)});
  } else {
    list.add("qweight", Dtype::kI32, {words(cols, s.bits), rows});
  }
  list.add("scales", Dtype::kF16, {groups, rows});
  list.add("qzeros", Dtype::kI32, {groups, words(rows, s.bits)});
  if (!awq) list.add("g_idx", Dtype::kI32, {cols});
}

void add_parts(const QuantizeScheme& s, const SafeTensor& t, PartList& list) {
  const auto [rows, cols] = shape_of(t);
  const size_t groups = groups_of(s, cols);
  switch (s.codes) {
    case Codes::kNone:
      return;
    case Codes::kInteger:
      if (s.packed) return add_packed_parts(s, t, list);
      list.add("weight", Dtype::kI8, {rows, cols});
      list.add("weight_scale", t.dtype, {rows, groups});
      return;
    case Codes::kE4m3:
      list.add("weight", Dtype::kF8E4M3, {rows, cols});
      if (s.whole) {
        list.add("weight_scale", t.dtype, {1});
        list.add("input_scale", t.dtype, {1});
        return;
      }
      list.add("weight_scale", t.dtype,
               {s.block > 0 ? (rows + s.block - 1) / s.block : rows, groups});
      return;
    case Codes::kNvfp4:
      list.add("weight_packed", Dtype::kU8, {rows, cols / 2});
      list.add("weight_scale", Dtype::kF8E4M3, {rows, groups});
      list.add("weight_global_scale", Dtype::kF32, {1});
      if (s.fixed_inputs()) list.add("input_global_scale", Dtype::kF32, {1});
      return;
    case Codes::kMxfp4:
      list.add("weight_packed", Dtype::kU8, {rows, cols / 2});
      list.add("weight_scale", Dtype::kU8, {rows, groups});
      return;
  }
}

template <typename T>
void store(std::span<std::byte> to, size_t i, T value) {
  std::memcpy(to.data() + i * sizeof value, &value, sizeof value);
}

void store_scale(Dtype dtype, std::span<std::byte> to, size_t i, float scale) {
  if (dtype == Dtype::kF32) return store(to, i, scale);
  store(to, i, dtype == Dtype::kF16 ? quant::f32_to_f16(scale) : quant::f32_to_bf16(scale));
}

}  // namespace

Status read_rows(const SafeTensor& t, size_t first, size_t rows, std::vector<float>& to) {
  const auto [all_rows, cols] = shape_of(t);
  const size_t row_bytes = t.data.size() / all_rows;
  to.resize(rows * cols);
  WEIR_TRY(
      quant::decode(float_type(t.dtype), t.data.subspan(first * row_bytes, rows * row_bytes), to));
  const auto bad = std::find_if(to.begin(), to.end(), [](float v) { return !std::isfinite(v); });
  if (bad == to.end()) return {};
  const auto at = static_cast<size_t>(bad - to.begin());
  return make_error(ErrorCode::kInvalidValue, "row {}, column {} is {}; the file is damaged",
                    first + at / cols, at % cols, *bad);
}

namespace {

// Runs fn(first row, rows, worker) -> Status over strips on all workers. Of several errors that of
// the first strip counts, so that messages do not depend on threads.
template <typename Fn>
Status for_strips(kernels::ThreadPool& pool, const SafeTensor& t, size_t strip, Fn fn) {
  const size_t rows = shape_of(t).rows;
  std::vector<Status> results((rows + strip - 1) / strip);
  pool.parallel_for(results.size(), [&](size_t task, size_t worker) {
    const size_t first = task * strip;
    results[task] = fn(first, std::min(strip, rows - first), worker);
  });
  for (const Status& status : results) {
    if (!status.ok()) return status.error().with_context(fmt::format("tensor {}", t.name));
  }
  return {};
}

// GPTQ stores zero points less 1.
int least_zero(const QuantizeScheme& s) { return s.format == Format::kGptq ? 1 : 0; }

// Of weights that may be empty.
std::span<const float> part_of(std::span<const float> weights, size_t first, size_t count) {
  return weights.empty() ? weights : weights.subspan(first, count);
}

quant::IntegerScale fit_integer_group(const QuantizeScheme& s, const SafeTensor& t,
                                      std::span<const float> values,
                                      std::span<const float> weights) {
  return quant::fit_integers(values, {s.bits, s.symmetric, least_zero(s)},
                             scale_type(scale_dtype(s, t)), weights);
}

class Encoder {
 public:
  Encoder(const QuantizeScheme& s, const SafeTensor& t, float largest,
          const MatrixCalibration& calibration, const Fold* fold, size_t workers)
      : s_(s),
        t_(t),
        calibration_(calibration),
        fold_(fold),
        isa_(quant::best_search_isa(os::detect_cpu())),
        scratch_(workers) {
    cols_ = shape_of(t).cols;
    groups_ = groups_of(s, cols_);
    // As much as can be without subnormal scales; a matrix of zeros gets some.
    divisor_ = quant::kMaxE4m3 * kMaxE2m1 / std::max(largest, 0x1p-100F);
    whole_scale_ = quant::round_scale(largest / quant::kMaxE4m3, quant_scale());
  }

  Result<PartBytes> run(kernels::ThreadPool& pool) {
    WEIR_ASSIGN(const auto parts, parts_of(s_, t_));
    const float input = calibration_.largest_input;
    if (s_.fixed_inputs() && !(input > 0 && std::isfinite(input))) {
      return make_error(ErrorCode::kInvalidValue,
                        "tensor {}: the largest value that it is multiplied with was not measured",
                        t_.name);
    }
    for (const SafeTensorInfo& p : parts) parts_.emplace_back(p.bytes());
    const size_t strip = s_.block > 0 ? s_.block : kStripRows;
    WEIR_TRY(for_strips(pool, t_, strip, [&](size_t first, size_t rows, size_t worker) {
      return encode(first, rows, scratch_[worker]);
    }));
    WEIR_TRY(add_constants());
    return std::move(parts_);
  }

 private:
  struct Scratch {
    std::vector<float> values;      // [rows, cols]
    std::vector<uint8_t> codes;     // [rows, cols]
    std::vector<float> scales;      // [rows, groups]
    std::vector<uint8_t> zeros;     // [rows, groups]
    std::vector<float> square;      // [rows, block], of a square
    std::vector<std::byte> blocks;  // as quant/ has them
  };

  Status encode(size_t first, size_t rows, Scratch& x) {
    WEIR_TRY(read_rows(t_, first, rows, x.values));
    if (fold_ != nullptr) multiply(*fold_, first, rows, x.values);
    if (s_.codes == Codes::kNvfp4 || s_.codes == Codes::kMxfp4) return four_bit_floats(first, x);
    x.codes.resize(rows * cols_);
    x.scales.resize(rows * groups_);
    x.zeros.resize(rows * groups_);
    if (s_.block > 0) return squares(first, rows, x);
    if (s_.whole) {
      quant::encode_e4m3(x.values, whole_scale_, x.codes);
      return pack(first, rows, x);
    }
    for (size_t row = 0; row < rows; ++row) {
      for (size_t g = 0; g < groups_; ++g) {
        fit_group(x, row, g);
        WEIR_TRY(keep_scale(first + row, scale_index(first + row, g), x.scales[row * groups_ + g]));
      }
    }
    if (calibration_.chooser != nullptr && s_.codes == Codes::kInteger) {
      const GroupedRows grouped{rows, cols_, groups_, s_.bits, x.values, x.scales, x.zeros};
      WEIR_TRY(calibration_.chooser->choose(grouped, x.codes));
    }
    return pack(first, rows, x);
  }

  void multiply(const Fold& fold, size_t first, size_t rows, std::span<float> values) const {
    for (size_t row = 0; row < rows; ++row) {
      const auto of_row = values.subspan(row * cols_, cols_);
      if (!fold.rows.empty()) {
        for (float& v : of_row) v *= fold.rows[first + row];
      }
      for (size_t i = 0; i < fold.columns.size(); ++i) of_row[i] *= fold.columns[i];
    }
  }

  // The scale (and zero point) of a row's group, and the nearest codes.
  void fit_group(Scratch& x, size_t row, size_t g) const {
    const size_t width = s_.group == 0 ? cols_ : s_.group;
    const size_t at = row * cols_ + g * width;
    const auto values = std::span<const float>(x.values).subspan(at, width);
    const auto codes = std::span(x.codes).subspan(at, width);
    float& scale = x.scales[row * groups_ + g];
    if (s_.codes == Codes::kE4m3) {
      scale = quant::fit_e4m3(values, quant_scale());
      return quant::encode_e4m3(values, scale, codes);
    }
    const quant::IntegerScale fit =
        fit_integer_group(s_, t_, values, part_of(calibration_.weights, g * width, width));
    scale = fit.scale;
    x.zeros[row * groups_ + g] = static_cast<uint8_t>(fit.zero);
    quant::encode_integers(values, fit, s_.bits, codes);
  }

  quant::ScaleType quant_scale() const { return scale_type(scale_dtype(s_, t_)); }

  size_t scale_index(size_t row, size_t g) const {
    return s_.format == Format::kCompressedTensors ? row * groups_ + g
                                                   : g * shape_of(t_).rows + row;
  }

  Status keep_scale(size_t row, size_t i, float scale) {
    if (!std::isfinite(scale)) {
      return make_error(ErrorCode::kInvalidValue,
                        "row {}: its values are past what a scale in {} can stand for", row,
                        dtype_name(scale_dtype(s_, t_)));
    }
    store_scale(scale_dtype(s_, t_), parts_[1], i, scale);
    return {};
  }

  // A strip of squares that share a scale each.
  Status squares(size_t first, size_t rows, Scratch& x) {
    for (size_t g = 0; g < groups_; ++g) {
      const size_t at = g * s_.block, width = std::min(s_.block, cols_ - at);
      x.square.clear();
      for (size_t row = 0; row < rows; ++row) {
        const float* from = x.values.data() + row * cols_ + at;
        x.square.insert(x.square.end(), from, from + width);
      }
      const float scale = quant::fit_e4m3(x.square, quant_scale());
      for (size_t row = 0; row < rows; ++row) {
        quant::encode_e4m3(std::span<const float>(x.square).subspan(row * width, width), scale,
                           std::span(x.codes).subspan(row * cols_ + at, width));
      }
      WEIR_TRY(keep_scale(first, first / s_.block * groups_ + g, scale));
    }
    return pack(first, rows, x);
  }

  Status pack(size_t first, size_t rows, Scratch& x) {
    const size_t all = shape_of(t_).rows;
    const CodeStrip codes{first, rows, all, cols_, s_.bits, x.codes};
    const CodeStrip zeros{first, rows, all, groups_, s_.bits, x.zeros};
    if (!s_.packed) {
      // Signed integers are kept as such.
      const uint8_t middle = s_.codes == Codes::kInteger ? 128 : 0;
      for (size_t i = 0; i < x.codes.size(); ++i)
        parts_[0][first * cols_ + i] = std::byte{static_cast<uint8_t>(x.codes[i] - middle)};
      return {};
    }
    switch (s_.format) {
      case Format::kCompressedTensors:
        pack_along_rows(codes, parts_[0]);
        if (!s_.symmetric) pack_rows_down(zeros, parts_[2]);
        break;
      case Format::kGptq:
        pack_columns_across(codes, parts_[0]);
        for (uint8_t& zero : x.zeros) zero = static_cast<uint8_t>(zero - least_zero(s_));
        pack_rows_across(zeros, parts_[2]);
        break;
      case Format::kAwq:
        pack_awq(codes, parts_[0]);
        pack_awq(zeros, parts_[2]);
        break;
    }
    return {};
  }

  // By way of quant/'s blocks of NVFP4 (64 values: 4 scales, 4 times 8 bytes) and MXFP4 (32 values:
  // a scale, 16 bytes), in which a byte has values i and i + half a group.
  Status four_bit_floats(size_t first, Scratch& x) {
    const bool nvfp4 = s_.codes == Codes::kNvfp4;
    const size_t a_block = nvfp4 ? 64 : 32;
    const size_t groups = x.values.size() / s_.group;
    if (nvfp4) {
      constexpr float kMost = quant::kMaxE4m3 * kMaxE2m1;
      for (float& v : x.values) v = std::clamp(v * divisor_, -kMost, kMost);
    }
    const size_t blocks = (x.values.size() + a_block - 1) / a_block;
    x.values.resize(blocks * a_block);
    const TensorType type = nvfp4 ? TensorType::kNVFP4 : TensorType::kMXFP4;
    const size_t block_bytes = nvfp4 ? 36 : 17;
    x.blocks.resize(blocks * block_bytes);
    WEIR_TRY(quant::quantize_rows(type, x.values, x.values.size(), {}, x.blocks, isa_));
    const size_t a_group = a_block / s_.group;  // groups of a block
    const size_t half = s_.group / 2;           // bytes of a group
    for (size_t g = 0; g < groups; ++g) {
      const std::byte* block = x.blocks.data() + g / a_group * block_bytes;
      const std::byte* codes = block + a_group + g % a_group * half;
      const size_t at = first * groups_ + g;
      parts_[1][at] = block[g % a_group];
      for (size_t i = 0; i < half; i += 2) {
        const std::byte low{15};
        parts_[0][at * half + i / 2] = (codes[i] & low) | (codes[i + 1] & low) << 4;
        parts_[0][(at * half) + (half + i) / 2] = codes[i] >> 4 | (codes[i + 1] >> 4) << 4;
      }
    }
    return {};
  }

  Status add_constants() {
    const float input = std::max(calibration_.largest_input, 0x1p-100F);
    if (s_.whole) {
      WEIR_TRY(keep_scale(0, 0, whole_scale_));
      store_scale(t_.dtype, parts_[2], 0,
                  quant::round_scale(input / quant::kMaxE4m3, quant_scale()));
    }
    if (s_.codes == Codes::kNvfp4) {
      store(parts_[2], 0, divisor_);
      if (s_.fixed_inputs()) store(parts_[3], 0, quant::kMaxE4m3 * kMaxE2m1 / input);
    }
    if (!s_.packed || s_.codes != Codes::kInteger) return {};
    if (s_.format == Format::kCompressedTensors) {
      for (size_t i = 0; i < 2; ++i) store(parts_.back(), i, static_cast<int64_t>(t_.shape[i]));
    } else if (s_.format == Format::kGptq) {
      for (size_t i = 0; i < cols_; ++i)
        store(parts_.back(), i, static_cast<int32_t>(i / s_.group));
    }
    return {};
  }

  const QuantizeScheme& s_;
  const SafeTensor& t_;
  MatrixCalibration calibration_;
  const Fold* fold_;
  quant::SearchIsa isa_;
  size_t cols_ = 0, groups_ = 0;
  float divisor_ = 1;      // of NVFP4's values
  float whole_scale_ = 1;  // where the matrix has one
  PartBytes parts_;
  std::vector<Scratch> scratch_;  // of each worker
};

}  // namespace

Result<std::vector<SafeTensorInfo>> parts_of(const QuantizeScheme& scheme,
                                             const SafeTensor& matrix) {
  if (matrix.dtype != Dtype::kF32 && matrix.dtype != Dtype::kF16 && matrix.dtype != Dtype::kBF16) {
    return make_error(ErrorCode::kUnsupported, "tensor {} is {}; F32, F16 and BF16 are quantized",
                      matrix.name, dtype_name(matrix.dtype));
  }
  WEIR_TRY(check_sizes(scheme, matrix));
  PartList list(matrix.name);
  add_parts(scheme, matrix, list);
  return list.take();
}

Result<float> largest_value(const SafeTensor& matrix, kernels::ThreadPool& pool) {
  std::vector<std::vector<float>> values(pool.threads());
  std::vector<float> largest(pool.threads());
  WEIR_TRY(for_strips(pool, matrix, kStripRows, [&](size_t first, size_t rows, size_t worker) {
    Status status = read_rows(matrix, first, rows, values[worker]);
    if (!status.ok()) return status;
    for (const float v : values[worker]) largest[worker] = std::max(largest[worker], std::fabs(v));
    return status;
  }));
  return *std::max_element(largest.begin(), largest.end());
}

Result<PartBytes> encode_matrix(const QuantizeScheme& scheme, const SafeTensor& matrix,
                                float largest, kernels::ThreadPool& pool,
                                const MatrixCalibration& calibration, const Fold* fold) {
  return Encoder(scheme, matrix, largest, calibration, fold, pool.threads()).run(pool);
}

void round_trip(const QuantizeScheme& scheme, const SafeTensor& matrix,
                std::span<const float> weights, std::span<float> values) {
  const size_t cols = shape_of(matrix).cols;
  const size_t width = scheme.group == 0 ? cols : scheme.group;
  std::vector<uint8_t> codes(width);
  for (size_t at = 0; at < values.size(); at += width) {
    const auto group = values.subspan(at, width);
    const quant::IntegerScale fit =
        fit_integer_group(scheme, matrix, group, part_of(weights, at % cols, width));
    quant::encode_integers(group, fit, scheme.bits, codes);
    for (size_t i = 0; i < width; ++i)
      group[i] = static_cast<float>(codes[i] - fit.zero) * fit.scale;
  }
}

}  // namespace weir::checkpoint
