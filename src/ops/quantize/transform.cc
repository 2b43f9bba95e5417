#include "ops/quantize/transform.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "quant/codec.h"

namespace weir::ops {
namespace {

// Values that a worker takes at once.
constexpr size_t kPieceValues = 64 << 10;
// Columns whose rows are rotated side by side: a cache line of F32.
constexpr size_t kLanes = 16;

// Each run of a row.
void rotate_row(const Rotation& rotation, std::span<double> row) {
  for (size_t at = 0; at < row.size(); at += rotation.size())
    rotation.apply(row.subspan(at, rotation.size()), 1);
}

// A symmetric matrix [n, n] from its lower triangle, of the inputs divided by factors.
std::vector<float> divided_square(std::span<const float> moments, std::span<const float> factors,
                                  size_t n) {
  std::vector<float> a(n * n);
  std::vector<double> inverse(n, 1);
  for (size_t i = 0; i < factors.size(); ++i)
    inverse[i] = factors[i] == 0 ? 0 : 1.0 / static_cast<double>(factors[i]);
  size_t at = 0;
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j <= i; ++j) {
      const auto value = static_cast<float>(moments[at++] * inverse[i] * inverse[j]);
      a[i * n + j] = a[j * n + i] = value;
    }
    if (inverse[i] == 0) a[i * n + i] = 1;
  }
  return a;
}

// A ← A Rᵀ, R on each run of columns.
void rotate_columns(const Rotation& rotation, size_t n, kernels::ThreadPool& pool,
                    std::vector<float>& a) {
  pool.parallel_for(n, [&](size_t i, size_t /*worker*/) {
    float* row = a.data() + i * n;
    std::vector<double> scratch(row, row + n);
    rotate_row(rotation, scratch);
    for (size_t c = 0; c < n; ++c) row[c] = static_cast<float>(scratch[c]);
  });
}

}  // namespace

const TensorTransform* find_transform(const TensorTransforms& transforms, std::string_view name) {
  const auto at = transforms.find(name);
  return at == transforms.end() ? nullptr : &at->second;
}

void transform_inputs(const TensorTransform& transform, std::span<float> mean_squares) {
  const std::vector<float>& f = transform.columns;
  if (f.empty()) return;
  for (size_t i = 0; i < mean_squares.size(); ++i)
    mean_squares[i] /= f[i % f.size()] * f[i % f.size()];
}

void transform_moments(const TensorTransform& transform, std::span<const float> moments,
                       size_t cols, kernels::ThreadPool& pool, std::vector<float>& out) {
  out.assign(moments.begin(), moments.end());
  const std::vector<float>& f = transform.columns;
  if (transform.column_rotation == nullptr) {
    size_t at = 0;
    for (size_t i = 0; i < f.size(); ++i) {
      for (size_t j = 0; j <= i; ++j) out[at++] /= f[i] * f[j];
    }
    return;
  }
  std::vector<float> a = divided_square(moments, f, cols);
  rotate_columns(*transform.column_rotation, cols, pool, a);
  for (size_t i = 0; i < cols; ++i) {
    for (size_t j = 0; j < i; ++j) std::swap(a[i * cols + j], a[j * cols + i]);
  }
  rotate_columns(*transform.column_rotation, cols, pool, a);
  size_t at = 0;
  for (size_t i = 0; i < cols; ++i) {
    for (size_t j = 0; j <= i; ++j) out[at++] = a[i * cols + j];
  }
}

size_t row_block(const TensorTransform& transform) {
  return transform.row_rotation == nullptr ? 1 : transform.row_rotation->size();
}

TransformedRows::TransformedRows(kernels::ThreadPool& pool) : pool_(pool) {}

Status TransformedRows::row(const gguf::Tensor& t, const TensorTransform& transform, size_t number,
                            std::span<float> out, std::vector<double>& scratch) const {
  const size_t row_bytes = t.data.size() / t.rows();
  WEIR_TRY(quant::decode(t.type, t.data.subspan(number * row_bytes, row_bytes), out));
  const double of_row = transform.rows.empty() ? 1 : transform.rows[number];
  scratch.resize(out.size());
  for (size_t i = 0; i < out.size(); ++i) {
    if (!std::isfinite(out[i])) {
      return make_error(ErrorCode::kInvalidValue, "{}: the value at row {}, column {} is {}",
                        t.name, number, i, out[i]);
    }
    scratch[i] = out[i] * of_row * (transform.columns.empty() ? 1 : transform.columns[i]);
  }
  if (transform.column_rotation != nullptr) rotate_row(*transform.column_rotation, scratch);
  for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(scratch[i]);
  return {};
}

// Of values_, block after block.
void TransformedRows::rotate_rows(const Rotation& rotation, size_t cols) {
  const size_t block = rotation.size();
  const size_t strips = (cols + kLanes - 1) / kLanes;
  pool_.parallel_for(values_.size() / (block * cols) * strips, [&](size_t task, size_t /*worker*/) {
    float* first = values_.data() + task / strips * block * cols + task % strips * kLanes;
    const size_t lanes = std::min(kLanes, cols - task % strips * kLanes);
    std::vector<double> scratch(block * lanes);
    for (size_t i = 0; i < scratch.size(); ++i) scratch[i] = first[i / lanes * cols + i % lanes];
    rotation.apply(scratch, lanes);
    for (size_t i = 0; i < scratch.size(); ++i)
      first[i / lanes * cols + i % lanes] = static_cast<float>(scratch[i]);
  });
}

Result<std::span<const float>> TransformedRows::read(const gguf::Tensor& t,
                                                     const TensorTransform& transform, size_t first,
                                                     size_t rows) {
  const size_t cols = t.shape[0];
  if (!transform.values.empty()) return std::span<const float>(transform.values);
  values_.resize(rows * cols);
  const size_t step = std::max<size_t>(1, kPieceValues / cols);
  size_t first_failure = rows;  // that of the first row counts, so messages depend on no threads
  Error failure;
  pool_.parallel_for((rows + step - 1) / step, [&](size_t task, size_t /*worker*/) {
    std::vector<double> scratch;
    for (size_t i = task * step; i < std::min(rows, (task + 1) * step); ++i) {
      const auto to = std::span(values_).subspan(i * cols, cols);
      const Status status = row(t, transform, first + i, to, scratch);
      if (status.ok()) continue;
      const std::lock_guard<std::mutex> lock(mutex_);
      if (i >= first_failure) return;
      first_failure = i;
      failure = status.error();
      return;
    }
  });
  if (first_failure < rows) return failure;
  if (transform.row_rotation != nullptr) rotate_rows(*transform.row_rotation, cols);
  return std::span<const float>(values_);
}

}  // namespace weir::ops
