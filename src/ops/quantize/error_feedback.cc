#include "ops/quantize/error_feedback.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "quant/levels.h"
#include "quant/outer.h"

namespace weir::ops {
namespace {

using quant::kOuterCols;
using quant::kOuterRows;

size_t packed(size_t row, size_t col) {
  return row >= col ? row * (row + 1) / 2 + col : col * (col + 1) / 2 + row;
}

// Cholesky's factor of a symmetric matrix, in place in its lower triangle, a panel of columns at a
// time.
class Cholesky {
 public:
  Cholesky(std::vector<double>& a, size_t n, kernels::ThreadPool& pool)
      : a_(a), n_(n), pool_(pool), panel_(kPanel * n) {}

  // False when the matrix is not positive.
  bool run() {
    for (size_t first = 0; first < n_; first += kPanel) {
      const size_t last = std::min(n_, first + kPanel);
      if (!diagonal(first, last)) return false;
      below(first, last);
      rest(first, last);
    }
    return true;
  }

 private:
  static constexpr size_t kPanel = 64;
  static constexpr size_t kRowsOfTask = 16;

  double* row(size_t i) { return a_.data() + i * n_; }

  bool diagonal(size_t first, size_t last) {
    for (size_t j = first; j < last; ++j) {
      double* rj = row(j);
      for (size_t k = first; k < j; ++k) rj[j] -= rj[k] * rj[k];
      if (!(rj[j] > 0) || !std::isfinite(rj[j])) return false;
      rj[j] = std::sqrt(rj[j]);
      for (size_t i = j + 1; i < last; ++i) {
        double* ri = row(i);
        for (size_t k = first; k < j; ++k) ri[j] -= ri[k] * rj[k];
        ri[j] /= rj[j];
      }
    }
    return true;
  }

  // The panel's columns of the rows below, and a transposed copy of them.
  void below(size_t first, size_t last) {
    each_rows(last, [&](size_t i) {
      double* ri = row(i);
      for (size_t j = first; j < last; ++j) {
        const double* rj = row(j);
        for (size_t k = first; k < j; ++k) ri[j] -= ri[k] * rj[k];
        ri[j] /= rj[j];
        panel_[(j - first) * n_ + i] = ri[j];
      }
    });
  }

  // What the panel takes off the triangle that is left.
  void rest(size_t first, size_t last) {
    each_rows(last, [&](size_t i) {
      double* ri = row(i);
      for (size_t k = first; k < last; ++k) {
        const double factor = ri[k];
        const double* column = panel_.data() + (k - first) * n_;
        for (size_t j = last; j <= i; ++j) ri[j] -= factor * column[j];
      }
    });
  }

  template <typename F>
  void each_rows(size_t first, const F& of_row) {
    const size_t tasks = (n_ - first + kRowsOfTask - 1) / kRowsOfTask;
    pool_.parallel_for(tasks, [&](size_t task, size_t) {
      const size_t begin = first + task * kRowsOfTask;
      for (size_t i = begin; i < std::min(n_, begin + kRowsOfTask); ++i) of_row(i);
    });
  }

  std::vector<double>& a_;  // [n, n]
  size_t n_;
  kernels::ThreadPool& pool_;
  std::vector<double> panel_;  // [kPanel, n]
};

// The code whose value is nearest to x.
uint8_t nearest_code(std::span<const float> level, bool whole, float x, float unit, float offset) {
  if (unit == 0) return 0;
  const float wanted = (x - offset) / unit;
  const auto most = static_cast<float>(level.size() - 1);
  if (whole) return static_cast<uint8_t>(std::clamp(std::nearbyint(wanted), 0.0F, most));
  size_t code = 0;
  while (code + 1 < level.size() && wanted > 0.5F * (level[code] + level[code + 1])) ++code;
  return static_cast<uint8_t>(code);
}

// Up to kOuterRows rows of a matrix that go through the columns together.
class Tile {
 public:
  Tile(const std::vector<uint32_t>& order, std::span<const float> feedback, size_t stride,
       quant::SearchIsa isa)
      : order_(order), feedback_(feedback), stride_(stride), isa_(isa) {
    errors_.resize(order.size() * kOuterRows);
  }

  // levels: of each row; values, codes: [rows, cols].
  void run(std::span<const quant::RowLevels> levels, std::span<const float> values,
           std::span<uint8_t> codes) {
    const size_t cols = order_.size();
    levels_ = levels;
    values_ = values;
    codes_ = codes;
    std::fill(errors_.begin(), errors_.end(), 0.0F);
    for (size_t first = 0; first < cols; first += kOuterCols)
      columns(first, std::min(cols, first + kOuterCols));
  }

 private:
  void columns(size_t first, size_t last) {
    float owed[kOuterRows * kOuterCols] = {};  // by the columns before
    quant::add_outer(isa_, errors_.data(), kOuterRows, feedback_.data() + first, stride_, first,
                     owed);
    const bool whole = levels_[0].level[1] - levels_[0].level[0] == 1 &&
                       levels_[0].level.back() == static_cast<float>(levels_[0].level.size() - 1);
    for (size_t k = first; k < last; ++k) {
      const size_t column = order_[k];
      const float* onward = feedback_.data() + k * stride_ + first;
      for (size_t r = 0; r < levels_.size(); ++r) {
        const quant::RowLevels& l = levels_[r];
        float* row_owed = owed + r * kOuterCols;
        const float value = values_[r * order_.size() + column];
        const float unit = l.unit[column], offset = l.offset[column];
        const uint8_t code =
            nearest_code(l.level, whole, value + row_owed[k - first], unit, offset);
        codes_[r * order_.size() + column] = code;
        const float error = value - (unit * l.level[code] + offset);
        errors_[k * kOuterRows + r] = error;
        for (size_t c = k - first + 1; c < last - first; ++c) row_owed[c] += error * onward[c];
      }
    }
  }

  const std::vector<uint32_t>& order_;
  std::span<const float> feedback_;
  size_t stride_;
  quant::SearchIsa isa_;
  std::span<const quant::RowLevels> levels_;
  std::span<const float> values_;
  std::span<uint8_t> codes_;
  std::vector<float> errors_;  // w − ŵ: [cols in order, kOuterRows]
};

// H in reverse order of `order`, damped, its lower triangle.
void fill_reversed(std::span<const float> moments, const std::vector<uint32_t>& order,
                   double damping, std::vector<double>& a) {
  const size_t n = order.size();
  a.resize(n * n);
  for (size_t i = 0; i < n; ++i) {
    const size_t from = order[n - 1 - i];
    for (size_t j = 0; j <= i; ++j) a[i * n + j] = moments[packed(from, order[n - 1 - j])];
    a[i * n + i] += damping;
  }
}

}  // namespace

Result<ErrorFeedback> ErrorFeedback::create(std::span<const float> moments, size_t cols,
                                            double damping, kernels::ThreadPool& pool) {
  if (cols == 0 || moments.size() != cols * (cols + 1) / 2) {
    return make_error(ErrorCode::kInvalidValue, "{} second moments are no triangle of {} columns",
                      moments.size(), cols);
  }
  ErrorFeedback f;
  f.order_.resize(cols);
  std::iota(f.order_.begin(), f.order_.end(), 0U);
  const auto weight = [&](uint32_t c) { return moments[packed(c, c)]; };
  double mean = 0;
  for (uint32_t c = 0; c < cols; ++c) mean += weight(c) / static_cast<double>(cols);
  if (!(mean > 0) || !std::isfinite(mean)) {
    return make_error(ErrorCode::kInvalidValue,
                      "the mean of the second moments is {}; collect them again", mean);
  }
  std::stable_sort(f.order_.begin(), f.order_.end(),
                   [&](uint32_t a, uint32_t b) { return weight(a) > weight(b); });
  std::vector<double> factor;
  bool positive = false;
  // Few tokens, or columns that are sums of others, leave H without a factor.
  for (int attempt = 0; attempt < 4 && !positive; ++attempt) {
    fill_reversed(moments, f.order_, damping * mean, factor);
    positive = Cholesky(factor, cols, pool).run();
    damping *= 10;
  }
  if (!positive) {
    return make_error(ErrorCode::kInvalidValue,
                      "the second moments are not positive; collect them again from more text");
  }
  f.stride_ = (cols + kOuterCols - 1) / kOuterCols * kOuterCols;
  f.feedback_.resize(cols * f.stride_);
  f.variance_.resize(cols);
  pool.parallel_for(cols, [&](size_t k, size_t) {
    const double root = factor[(cols - 1 - k) * (cols + 1)];
    f.variance_[k] = static_cast<float>(root * root);
    for (size_t c = k + 1; c < cols; ++c) {
      const size_t i = cols - 1 - k, j = cols - 1 - c;
      f.feedback_[k * f.stride_ + c] =
          static_cast<float>(factor[i * cols + j] / factor[j * cols + j]);
    }
  });
  return f;
}

Status ErrorFeedback::apply(gguf::TensorType type, std::span<const float> values,
                            quant::SearchIsa isa, std::span<std::byte> encoded) const {
  const size_t rows = values.size() / cols();
  if (rows == 0) return {};
  const size_t row_bytes = encoded.size() / rows;
  const auto row = [&](size_t r) { return encoded.subspan(r * row_bytes, row_bytes); };
  Tile tile(order_, feedback_, stride_, isa);
  quant::RowLevels levels[kOuterRows];
  std::vector<uint8_t> codes(kOuterRows * cols());
  for (size_t first = 0; first < rows; first += kOuterRows) {
    const size_t count = std::min(kOuterRows, rows - first);
    for (size_t r = 0; r < count; ++r)
      WEIR_TRY(quant::read_levels(type, row(first + r), levels[r]));
    tile.run(std::span(levels).first(count), values.subspan(first * cols(), count * cols()), codes);
    for (size_t r = 0; r < count; ++r) {
      const auto of_row = std::span(codes).subspan(r * cols(), cols());
      WEIR_TRY(quant::store_codes(type, of_row, row(first + r)));
    }
  }
  return {};
}

void ErrorFeedback::choose(std::span<const quant::RowLevels> levels, std::span<const float> values,
                           quant::SearchIsa isa, std::span<uint8_t> codes) const {
  Tile tile(order_, feedback_, stride_, isa);
  for (size_t first = 0; first < levels.size(); first += kOuterRows) {
    const size_t count = std::min(kOuterRows, levels.size() - first);
    tile.run(levels.subspan(first, count), values.subspan(first * cols(), count * cols()),
             codes.subspan(first * cols(), count * cols()));
  }
}

// With H = (U + I) D (U + I)ᵀ the error of a row is Σ_k D_k (e_k + Σ_{j<k} e_j U_jk)².
double ErrorFeedback::output_error(std::span<const float> values, std::span<const float> quantized,
                                   quant::SearchIsa isa) const {
  const size_t n = cols();
  std::vector<float> errors(n * kOuterRows);  // [cols in order, kOuterRows]
  double sum = 0;
  for (size_t first = 0; first < values.size(); first += n * kOuterRows) {
    const size_t rows = std::min(kOuterRows, (values.size() - first) / n);
    for (size_t k = 0; k < n; ++k) {
      for (size_t r = 0; r < rows; ++r) {
        const size_t at = first + r * n + order_[k];
        errors[k * kOuterRows + r] = values[at] - quantized[at];
      }
    }
    for (size_t block = 0; block < n; block += kOuterCols) {
      const size_t last = std::min(n, block + kOuterCols);
      float owed[kOuterRows * kOuterCols] = {};
      quant::add_outer(isa, errors.data(), kOuterRows, feedback_.data() + block, stride_, last,
                       owed);
      for (size_t k = block; k < last; ++k) {
        for (size_t r = 0; r < rows; ++r) {
          const double e = errors[k * kOuterRows + r] + owed[r * kOuterCols + k - block];
          sum += e * e * variance_[k];
        }
      }
    }
  }
  return sum;
}

}  // namespace weir::ops
