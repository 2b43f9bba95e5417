// Second moments of the inputs of a model's matrices, E[x·xᵀ]: what GPTQ works with. A GGUF file of
// general.type "weir.moments": for each input a tensor NAME.in_outer [n·(n + 1)/2] in F32, the
// lower triangle row by row, where NAME is one of the matrices that read it; weir.moments.matrices
// and weir.moments.inputs list all matrices and the tensor of each.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "gguf/file.h"
#include "kernels/thread_pool.h"
#include "ops/eval/windows.h"

namespace weir::ops {

// Sums of one input's outer products while they are collected. One thread.
class MomentSums {
 public:
  explicit MomentSums(size_t cols);

  // x: row t at x + t * ldx, f32.
  void add(const float* x, size_t ldx, size_t rows, kernels::ThreadPool& pool);

  size_t cols() const { return cols_; }
  // What it is made of, for a run that goes on later: how many rows went in, and of column i its
  // sums with columns 0 to i.
  double rows() const { return rows_; }
  void set_rows(double rows) { rows_ = rows; }
  std::span<const float> row(size_t i) const { return {sums_.data() + i * stride_, i + 1}; }
  std::span<float> row(size_t i) { return {sums_.data() + i * stride_, i + 1}; }
  // Means over the rows: the lower triangle, row by row.
  void means(std::vector<float>& out) const;

  static size_t bytes(size_t cols);

 private:
  size_t cols_, stride_;
  std::vector<float> sums_;    // [stride, stride], its lower triangle in pieces of 16 by 64
  std::vector<float> padded_;  // rows of x, [rows, stride]
  double rows_ = 0;
};

struct InputMoments {
  std::vector<std::string> matrices;  // that read the input
  MomentSums sums;
};

// Of the tensors in a file of moments, for inputs of so many columns.
uint64_t moments_tensor_bytes(size_t cols);

// windows: of the text. Errors: those of gguf::Writer.
Status write_moments(const std::vector<InputMoments>& inputs,
                     const std::optional<TextWindows>& windows, const std::string& path);

// A file of moments, mapped: what is asked for is read. Any thread, once open.
class Moments {
 public:
  // Errors: those of gguf::File::open; kCorrupt naming what is no file of moments about it.
  static Result<Moments> open(const std::string& path);

  // Of a matrix's input with `cols` columns, or nothing. Error: kCorrupt when it has another number
  // of columns: the file is of another model.
  Result<std::optional<std::span<const float>>> find(std::string_view matrix, size_t cols) const;
  size_t matrices() const { return input_of_.size(); }
  const std::optional<TextWindows>& windows() const { return windows_; }
  Hash128 hash() const { return hash_; }  // engine::model_identity of the file

 private:
  explicit Moments(gguf::File file) : file_(std::move(file)) {}

  gguf::File file_;
  std::unordered_map<std::string, std::string> input_of_;
  std::optional<TextWindows> windows_;
  Hash128 hash_;
};

}  // namespace weir::ops
