#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <mutex>

#include "gguf/writer.h"
#include "ops/eval/fingerprint.h"
#include "ops/quantize/quantize.h"
#include "os/cpu.h"
#include "os/file.h"
#include "quant/codec.h"
#include "quant/quantize.h"

namespace weir::ops {
namespace {

// Values of a slice that goes through memory at once, and of a piece of it that a worker takes:
// pieces of 256 KiB in F32 stay in a core's L2 cache, and a slice has many for each core.
constexpr size_t kSliceValues = 4 << 20;
constexpr size_t kPieceValues = 64 << 10;
// Left free on the disk, for the directory and for others.
constexpr uint64_t kSpareBytes = 1 << 20;

// Keys of the source that its quantized file does not take over.
bool replaced(std::string_view key) {
  return key == "general.file_type" || key == "general.quantization_version" ||
         key.starts_with("split.") || key.starts_with("quantize.") ||
         key.starts_with("weir.quantize.");
}

gguf::Writer header(const gguf::File& file, const QuantizePlan& plan,
                    const ImportanceMatrix* importance, const Provenance& from) {
  gguf::Writer writer;
  for (const gguf::Metadata& m : file.metadata()) {
    if (!replaced(m.key)) writer.set(m.key, m.value);
  }
  writer.set_uint("general.quantization_version", 2);
  writer.set_uint("general.file_type", plan.mix.file_type);
  writer.set_string("weir.quantize.version", from.version);
  writer.set_string("weir.quantize.type", plan.mix.name);
  writer.set_string("weir.quantize.source", from.source);
  writer.set_string("weir.quantize.source_identity", hex(from.source_identity));
  writer.set_bool("weir.quantize.requantized", plan.requantized > 0);
  if (importance != nullptr) {
    // The keys of llama-quantize.
    writer.set_string("quantize.imatrix.file", from.importance_file);
    if (!importance->datasets.empty())
      writer.set_string("quantize.imatrix.dataset", importance->datasets.back());
    writer.set_int("quantize.imatrix.entries_count",
                   static_cast<int32_t>(importance->entries.size()));
    writer.set_int("quantize.imatrix.chunks_count", static_cast<int32_t>(importance->chunks));
    writer.set_string("weir.quantize.imatrix_hash", hex(importance->hash));
  }
  for (const PlannedTensor& p : plan.tensors)
    writer.declare_tensor(p.source->name, p.type, p.source->shape);
  return writer;
}

// Rows of a tensor on their way from one type to another, in pieces that workers take.
class Slices {
 public:
  explicit Slices(kernels::ThreadPool& pool)
      : pool_(pool), isa_(quant::best_search_isa(os::detect_cpu())) {
    values_.resize(pool.threads());
  }

  // Converts rows [first, first + rows) of p; `importance`: [matrices, cols] or empty.
  Result<std::span<const std::byte>> convert(const PlannedTensor& p, size_t first, size_t rows,
                                             std::span<const float> importance) {
    const gguf::Tensor& t = *p.source;
    const size_t cols = t.shape[0];
    const size_t from_bytes = t.data.size() / t.rows();
    const size_t to_bytes = p.bytes / t.rows();
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
        const auto source = t.data.subspan((first + row) * from_bytes, (last - row) * from_bytes);
        const auto target = std::span(out_).subspan(row * to_bytes, (last - row) * to_bytes);
        const auto own = importance.empty()
                             ? importance
                             : importance.subspan(matrix % (importance.size() / cols) * cols, cols);
        note(one(p, source, target, cols, own, values_[worker]), row);
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

 private:
  Status one(const PlannedTensor& p, std::span<const std::byte> source, std::span<std::byte> target,
             size_t cols, std::span<const float> importance, std::vector<float>& values) const {
    const gguf::TypeInfo& from = *gguf::type_info(p.source->type);
    values.resize(source.size() / from.block_bytes * from.block_elements);
    WEIR_TRY(quant::decode(p.source->type, source, values));
    return quant::quantize_rows(p.type, values, cols, importance, target, isa_);
  }

  // Of several failures that of the first row counts, so that messages do not depend on threads.
  void note(const Status& status, size_t row) {
    if (status.ok()) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    if (row >= first_failure_) return;
    first_failure_ = row;
    failure_ = status.error();
  }

  kernels::ThreadPool& pool_;
  quant::SearchIsa isa_;
  std::vector<std::vector<float>> values_;  // of each worker
  std::vector<std::byte> out_;
  std::mutex mutex_;
  size_t first_failure_ = 0;
  Error failure_;
};

Status check_disk(const std::string& path, uint64_t bytes) {
  WEIR_ASSIGN(const uint64_t free, os::free_disk_bytes(path));
  if (free >= bytes + kSpareBytes) return {};
  return make_error(ErrorCode::kIo,
                    "{} will have {} bytes, and the disk has {} free; make room or write elsewhere",
                    path, bytes, free);
}

}  // namespace

Status write_quantized(const gguf::File& file, const QuantizePlan& plan,
                       const ImportanceMatrix* importance, const Provenance& provenance,
                       kernels::ThreadPool& pool, const std::string& path,
                       const std::function<void(const QuantizeProgress&)>& progress) {
  const gguf::Writer writer = header(file, plan, importance, provenance);
  WEIR_TRY(check_disk(path, writer.file_bytes()));
  WEIR_ASSIGN(gguf::TensorStream stream, writer.begin_file(path));
  Slices slices(pool);
  std::vector<float> means;
  QuantizeProgress state;
  state.all_bytes = plan.source_bytes;
  for (const PlannedTensor& p : plan.tensors) {
    const gguf::Tensor& t = *p.source;
    state.tensor = t.name;
    means.clear();
    if (p.important) {
      WEIR_TRY(mean_squares(*importance->find(t.name), t.shape[0],
                            t.shape.size() > 2 ? t.shape[2] : 1, means));
    }
    const size_t rows = t.rows();
    const size_t step = std::max<size_t>(1, kSliceValues / t.shape[0]);
    for (size_t first = 0; first < rows; first += step) {
      const size_t count = std::min(step, rows - first);
      const size_t row_bytes = t.data.size() / rows;
      if (p.copied) {
        WEIR_TRY(stream.write(t.data.subspan(first * row_bytes, count * row_bytes)));
      } else {
        WEIR_ASSIGN(const auto bytes, slices.convert(p, first, count, means));
        WEIR_TRY(stream.write(bytes));
      }
      state.done_bytes += count * row_bytes;
      if (progress) progress(state);
    }
    file.release(t.name, gguf::File::Release::kReadLater);
  }
  return stream.commit();
}

}  // namespace weir::ops
