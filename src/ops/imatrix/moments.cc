#include "ops/imatrix/moments.h"

#include <algorithm>
#include <cmath>

#include "engine/model_identity.h"
#include "gguf/writer.h"
#include "os/cpu.h"
#include "quant/outer.h"

namespace weir::ops {
namespace {

using quant::kOuterCols;
using quant::kOuterRows;

constexpr std::string_view kType = "weir.moments";
constexpr std::string_view kMatrices = "weir.moments.matrices";
constexpr std::string_view kInputs = "weir.moments.inputs";

size_t padded_cols(size_t cols) { return (cols + kOuterCols - 1) / kOuterCols * kOuterCols; }
uint64_t triangle(uint64_t cols) { return cols * (cols + 1) / 2; }
std::string tensor_name(std::string_view matrix) { return std::string(matrix) + ".in_outer"; }

}  // namespace

MomentSums::MomentSums(size_t cols)
    : cols_(cols), stride_(padded_cols(cols)), sums_(stride_ * stride_) {}

size_t MomentSums::bytes(size_t cols) {
  return padded_cols(cols) * padded_cols(cols) * sizeof(float);
}

void MomentSums::add(const float* x, size_t ldx, size_t rows, kernels::ThreadPool& pool) {
  padded_.resize(rows * stride_);
  for (size_t t = 0; t < rows; ++t) std::copy_n(x + t * ldx, cols_, padded_.data() + t * stride_);
  const quant::SearchIsa isa = quant::best_search_isa(os::detect_cpu());
  // The longest rows first: what is left at the end is short.
  const size_t tasks = stride_ / kOuterRows;
  pool.parallel_for(tasks, [&](size_t task, size_t) {
    const size_t i = (tasks - 1 - task) * kOuterRows;
    for (size_t j = 0; j < i + kOuterRows; j += kOuterCols) {
      float piece[kOuterRows * kOuterCols] = {};
      quant::add_outer(isa, padded_.data() + i, stride_, padded_.data() + j, stride_, rows, piece);
      for (size_t r = 0; r < kOuterRows; ++r) {
        float* sums = sums_.data() + (i + r) * stride_ + j;
        for (size_t c = 0; c < kOuterCols; ++c) sums[c] += piece[r * kOuterCols + c];
      }
    }
  });
  rows_ += static_cast<double>(rows);
}

void MomentSums::means(std::vector<float>& out) const {
  out.clear();
  out.reserve(triangle(cols_));
  const auto factor = static_cast<float>(rows_ > 0 ? 1 / rows_ : 0);
  for (size_t i = 0; i < cols_; ++i) {
    for (size_t j = 0; j <= i; ++j) out.push_back(sums_[i * stride_ + j] * factor);
  }
}

uint64_t moments_tensor_bytes(size_t cols) { return triangle(cols) * sizeof(float); }

Status write_moments(const std::vector<InputMoments>& inputs,
                     const std::optional<TextWindows>& windows, const std::string& path) {
  gguf::Writer writer;
  writer.set_string("general.type", kType);
  std::vector<std::string> matrices, of;
  for (const InputMoments& input : inputs) {
    const std::string name = tensor_name(input.matrices.front());
    const uint64_t shape[] = {triangle(input.sums.cols())};
    writer.declare_tensor(name, gguf::TensorType::kF32, shape);
    for (const std::string& matrix : input.matrices) {
      matrices.push_back(matrix);
      of.push_back(name);
    }
  }
  writer.set_strings(kMatrices, std::span<const std::string>(matrices));
  writer.set_strings(kInputs, std::span<const std::string>(of));
  if (windows) write_windows(*windows, writer);
  WEIR_ASSIGN(gguf::TensorStream stream, writer.begin_file(path));
  std::vector<float> means;
  for (const InputMoments& input : inputs) {
    input.sums.means(means);
    WEIR_TRY(stream.write(std::as_bytes(std::span(means))));
  }
  return stream.commit();
}

Result<Moments> Moments::open(const std::string& path) {
  WEIR_ASSIGN(gguf::File file, gguf::File::open(path));
  WEIR_ASSIGN(const std::string_view type, file.string_or("general.type", "nothing"));
  if (type != kType) {
    return make_error(ErrorCode::kCorrupt,
                      "{}: general.type is '{}'; that of second moments is '{}' (weir imatrix "
                      "--moments makes them)",
                      path, type.substr(0, 100), kType);
  }
  Moments m(std::move(file));
  WEIR_ASSIGN(const auto matrices, m.file_.get_strings(kMatrices));
  WEIR_ASSIGN(const auto inputs, m.file_.get_strings(kInputs));
  if (matrices.size() != inputs.size()) {
    return make_error(ErrorCode::kCorrupt, "{}: {} has {} names and {} has {}", path, kMatrices,
                      matrices.size(), kInputs, inputs.size());
  }
  for (size_t i = 0; i < matrices.size(); ++i) {
    const gguf::Tensor* t = m.file_.find_tensor(inputs[i]);
    if (t == nullptr || t->type != gguf::TensorType::kF32) {
      return make_error(ErrorCode::kCorrupt, "{}: '{}', the moments of '{}', is {}", path,
                        inputs[i].substr(0, 100), matrices[i].substr(0, 100),
                        t == nullptr ? "missing" : "not F32");
    }
    m.input_of_.emplace(matrices[i], inputs[i]);
  }
  WEIR_ASSIGN(m.windows_, read_windows(m.file_));
  m.hash_ = engine::model_identity(m.file_);
  return m;
}

Result<std::optional<std::span<const float>>> Moments::find(std::string_view matrix,
                                                            size_t cols) const {
  const auto at = input_of_.find(std::string(matrix));
  if (at == input_of_.end()) return std::optional<std::span<const float>>();
  const gguf::Tensor& t = *file_.find_tensor(at->second);
  if (t.elements() != triangle(cols)) {
    return make_error(ErrorCode::kCorrupt,
                      "{}: the moments of '{}' have {} values; {} columns have {}: they are of "
                      "another model",
                      file_.path(), matrix, t.elements(), cols, triangle(cols));
  }
  const std::span<const float> values(reinterpret_cast<const float*>(t.data.data()),
                                      t.data.size() / sizeof(float));
  bool any = false;
  for (size_t i = 0; i < cols; ++i) {
    const float square = values[triangle(i + 1) - 1];
    if (!(square >= 0) || !std::isfinite(square)) {
      return make_error(ErrorCode::kCorrupt,
                        "{}: the mean square of column {} of '{}' is {}; collect it again: weir "
                        "imatrix --moments",
                        file_.path(), i, matrix, square);
    }
    any = any || square > 0;
  }
  // An input that is always 0 says nothing.
  return any ? std::optional(values) : std::nullopt;
}

}  // namespace weir::ops
