#include "ops/quantize/convert.h"

#include <algorithm>

#include "os/cpu.h"
#include "quant/codec.h"

namespace weir::ops {
namespace {

// Values of a piece: 256 KiB in F32 stay in a core's L2 cache.
constexpr size_t kPieceValues = 64 << 10;

}  // namespace

uint64_t bytes_as(gguf::TensorType type, uint64_t values) {
  const gguf::TypeInfo& info = *gguf::type_info(type);
  return values / info.block_elements * info.block_bytes;
}

SourceRows rows_of(const gguf::Tensor& t, size_t first, size_t count) {
  const size_t row_bytes = t.data.size() / t.rows();
  return {t, t.type, t.data.subspan(first * row_bytes, count * row_bytes), first, count};
}

Converter::Converter(kernels::ThreadPool& pool)
    : pool_(pool), isa_(quant::best_search_isa(os::detect_cpu())), values_(pool.threads()) {}

Result<std::span<const std::byte>> Converter::convert(const SourceRows& from, gguf::TensorType type,
                                                      std::span<const float> importance,
                                                      const ErrorFeedback* feedback) {
  const gguf::Tensor& t = from.tensor;
  const size_t first = from.first, rows = from.count;
  const size_t cols = t.shape[0];
  const size_t from_bytes = from.data.size() / rows;
  const size_t to_bytes = bytes_as(type, cols);
  const size_t rows_of_matrix = t.shape.size() > 1 ? t.shape[1] : 1;
  const size_t step = std::max<size_t>(1, kPieceValues / cols);
  out_.resize(rows * to_bytes);
  first_failure_ = rows;
  const auto piece = [&](size_t task, size_t worker) {
    size_t row = task * step;
    const size_t end = std::min(rows, row + step);
    while (row < end) {
      // A piece may reach into the next expert, which has an importance of its own.
      const size_t matrix = (first + row) / rows_of_matrix;
      const size_t last = std::min(end, (matrix + 1) * rows_of_matrix - first);
      Piece p;
      p.source = from.data.subspan(row * from_bytes, (last - row) * from_bytes);
      p.target = std::span(out_).subspan(row * to_bytes, (last - row) * to_bytes);
      if (!importance.empty())
        p.importance = importance.subspan(matrix % (importance.size() / cols) * cols, cols);
      note(one(from, type, p, feedback, values_[worker]), row);
      row = last;
    }
  };
  pool_.parallel_for((rows + step - 1) / step, piece);
  if (first_failure_ < rows) {
    return failure_.with_context(fmt::format("{}, in the {} rows from row {}", t.name,
                                             rows - first_failure_, first + first_failure_));
  }
  return std::span<const std::byte>(out_);
}

Status Converter::one(const SourceRows& rows, gguf::TensorType type, const Piece& piece,
                      const ErrorFeedback* feedback, std::vector<float>& values) const {
  const gguf::TypeInfo& from = *gguf::type_info(rows.type);
  values.resize(piece.source.size() / from.block_bytes * from.block_elements);
  WEIR_TRY(quant::decode(rows.type, piece.source, values));
  WEIR_TRY(quant::quantize_rows(type, values, rows.tensor.shape[0], piece.importance, piece.target,
                                isa_));
  return feedback == nullptr ? Status() : feedback->apply(type, values, isa_, piece.target);
}

// Of several failures that of the first row counts, so that messages do not depend on threads.
void Converter::note(const Status& status, size_t row) {
  if (status.ok()) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  if (row >= first_failure_) return;
  first_failure_ = row;
  failure_ = status.error();
}

}  // namespace weir::ops
