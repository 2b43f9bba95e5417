#include <algorithm>

#include "gguf/writer.h"
#include "ops/eval/fingerprint.h"
#include "ops/quantize/convert.h"
#include "ops/quantize/quantize.h"
#include "os/file.h"

namespace weir::ops {
namespace {

// Values of a slice that goes through memory at once: many pieces for each core.
constexpr size_t kSliceValues = 4 << 20;
// Left free on the disk, for the directory and for others.
constexpr uint64_t kSpareBytes = 1 << 20;

// Keys of the source that its quantized file does not take over.
bool replaced(std::string_view key) {
  return key == "general.file_type" || key == "general.quantization_version" ||
         key.starts_with("split.") || key.starts_with("quantize.") ||
         key.starts_with("weir.quantize.");
}

gguf::Writer header(const gguf::File& file, const QuantizePlan& plan,
                    const Calibration& calibration, const Provenance& from) {
  const ImportanceMatrix* importance = calibration.importance;
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
  if (calibration.moments != nullptr) {
    writer.set_string("weir.quantize.method", "gptq");
    writer.set_string("weir.quantize.moments_file", from.moments_file);
    writer.set_string("weir.quantize.moments_hash", hex(calibration.moments->hash()));
  }
  for (const PlannedTensor& p : plan.tensors)
    writer.declare_tensor(p.source->name, p.type, p.source->shape);
  return writer;
}

Status check_disk(const std::string& path, uint64_t bytes) {
  WEIR_ASSIGN(const uint64_t free, os::free_disk_bytes(path));
  if (free >= bytes + kSpareBytes) return {};
  return make_error(ErrorCode::kIo,
                    "{} will have {} bytes, and the disk has {} free; make room or write elsewhere",
                    path, bytes, free);
}

}  // namespace

Status write_quantized(const gguf::File& file, const QuantizePlan& plan,
                       const Calibration& calibration, const Provenance& provenance,
                       kernels::ThreadPool& pool, const std::string& path,
                       const std::function<void(const QuantizeProgress&)>& progress) {
  const gguf::Writer writer = header(file, plan, calibration, provenance);
  WEIR_TRY(check_disk(path, writer.file_bytes()));
  WEIR_ASSIGN(gguf::TensorStream stream, writer.begin_file(path));
  Converter converter(pool);
  Feedbacks feedbacks(calibration.moments, pool);
  std::vector<float> means;
  QuantizeProgress state;
  state.all_bytes = plan.source_bytes;
  for (const PlannedTensor& p : plan.tensors) {
    const gguf::Tensor& t = *p.source;
    state.tensor = t.name;
    WEIR_TRY(importance_of(t, p.important ? calibration.importance : nullptr, means));
    const ErrorFeedback* feedback = nullptr;
    if (p.compensated) {
      WEIR_ASSIGN(feedback, feedbacks.of(t.name, t.shape[0]));
    }
    const size_t rows = t.rows();
    const size_t step = std::max<size_t>(1, kSliceValues / t.shape[0]);
    for (size_t first = 0; first < rows; first += step) {
      const size_t count = std::min(step, rows - first);
      const size_t row_bytes = t.data.size() / rows;
      if (p.copied) {
        WEIR_TRY(stream.write(t.data.subspan(first * row_bytes, count * row_bytes)));
      } else {
        WEIR_ASSIGN(const auto bytes, converter.convert(t, p.type, first, count, means, feedback));
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
