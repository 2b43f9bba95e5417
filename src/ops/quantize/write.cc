#include <algorithm>

#include "model/finite.h"
#include "ops/eval/fingerprint.h"
#include "ops/quantize/convert.h"
#include "ops/quantize/output.h"
#include "ops/quantize/parts.h"
#include "ops/quantize/quantize.h"

namespace weir::ops {
namespace {

// Values of a slice that goes through memory at once: many pieces for each core.
constexpr size_t kSliceValues = 4 << 20;

// Factors are found by a search, which another build or machine may end elsewhere.
Hash128 transforms_hash(const TensorTransforms& transforms) {
  std::string all;
  const auto add = [&](std::span<const float> values) {
    all += hex(bytes_hash(std::as_bytes(values)));
  };
  for (const auto& [name, t] : transforms) {
    all += fmt::format("{} {} {} ", name, t.column_rotation ? t.column_rotation->size() : 0,
                       row_block(t));
    for (const auto* values : {&t.values, &t.columns, &t.rows}) add(*values);
  }
  return text_hash(all);
}

// What the bytes depend on. The headers hold all of it but what the hashes of calibration stand
// for; what people choose comes first, so that they read what differs.
Result<RunFingerprint> fingerprint(const QuantizePlan& plan, const Calibration& calibration,
                                   const Provenance& from,
                                   const std::vector<QuantizedPart>& parts) {
  std::string types, headers;
  for (const PlannedTensor& p : plan.tensors)
    types += fmt::format("{} {} {}\n", p.source->name, gguf::type_name(p.type), p.compensated);
  for (const QuantizedPart& part : parts) {
    WEIR_ASSIGN(const auto header, part.writer.to_header());
    headers += hex(bytes_hash(header));
  }
  const std::string none = "none";
  return RunFingerprint{
      {"the version of weir", from.version},
      {"the source", hex(from.source_identity)},
      {"the times and sizes of the files that are read", hex(text_hash(from.source_stamp))},
      {"the type", std::string(plan.mix.name)},
      {"the method", from.method},
      {"the types of tensors", hex(text_hash(types))},
      {"the importance matrix",
       calibration.importance == nullptr ? none : hex(calibration.importance->hash)},
      {"the second moments",
       calibration.moments == nullptr ? none : hex(calibration.moments->hash())},
      {"factors or rotations",
       plan.transforms.empty() ? none : hex(transforms_hash(plan.transforms))},
      {"the number of parts", fmt::format("{}", parts.size())},
      {"the metadata", hex(text_hash(headers))}};
}

// Converts tensors one by one.
class TensorWriter {
 public:
  TensorWriter(const QuantizePlan& plan, const Calibration& calibration, kernels::ThreadPool& pool,
               QuantizedOutput& output)
      : transforms_(plan.transforms),
        calibration_(calibration),
        pool_(pool),
        rows_(pool),
        converter_(pool),
        feedbacks_(calibration.moments, pool),
        output_(output) {}

  // done(bytes of the source), slice by slice.
  Status write(const PlannedTensor& p, const std::function<void(uint64_t)>& done) {
    const gguf::Tensor& t = *p.source;
    // What is converted is looked at by what converts it.
    if (p.copied) WEIR_TRY(model::check_finite(t, pool_));
    const TensorTransform* transform = find_transform(transforms_, t.name);
    means_.clear();
    if (p.important) WEIR_TRY(column_weights(calibration_, t, transform, pool_, means_));
    const ErrorFeedback* feedback = nullptr;
    if (p.compensated) {
      WEIR_ASSIGN(feedback, feedbacks_.of(t.name, t.shape[0], transform));
    }
    const size_t rows = t.rows();
    const size_t block = transform == nullptr ? 1 : row_block(*transform);
    const size_t step = std::max<size_t>(1, kSliceValues / t.shape[0]);
    const size_t blocks = std::max(step, block) / block * block;  // transformed together
    for (size_t first = 0; first < rows; first += blocks) {
      const size_t count = std::min(blocks, rows - first);
      std::span<const float> transformed;
      if (transform != nullptr) {
        WEIR_ASSIGN(transformed, rows_.read(t, *transform, first, count));
      }
      for (size_t row = 0; row < count; row += step) {
        SourceRows some = rows_of(t, first + row, std::min(step, count - row));
        std::span<const std::byte> bytes = some.data;
        const size_t source_bytes = bytes.size();
        if (transform != nullptr) {
          some.type = gguf::TensorType::kF32;
          some.data = std::as_bytes(transformed.subspan(row * t.shape[0], some.count * t.shape[0]));
        }
        if (!p.copied) {
          WEIR_ASSIGN(bytes, converter_.convert(some, p.type, means_, feedback));
        }
        WEIR_TRY(output_.write(bytes));
        done(source_bytes);
      }
    }
    return output_.end_tensor();
  }

 private:
  const TensorTransforms& transforms_;
  const Calibration& calibration_;
  kernels::ThreadPool& pool_;
  TransformedRows rows_;
  Converter converter_;
  Feedbacks feedbacks_;
  QuantizedOutput& output_;
  std::vector<float> means_;
};

// What the file that holds a tensor's data calls them: a matrix that was made of another has its.
const std::string& lent_name(const gguf::File& holder, const gguf::Tensor& t) {
  for (const gguf::Tensor& lent : holder.tensors()) {
    if (lent.data.data() == t.data.data() && lent.data.size() == t.data.size()) return lent.name;
  }
  return t.name;
}

Status write_tensors(const gguf::File& file, const QuantizePlan& plan,
                     const Calibration& calibration, kernels::ThreadPool& pool,
                     QuantizedOutput& output,
                     const std::function<void(const QuantizeProgress&)>& progress) {
  TensorWriter writer(plan, calibration, pool, output);
  QuantizeProgress state;
  state.all_bytes = plan.source_bytes;
  const gguf::File& holder = plan.lender == nullptr ? file : *plan.lender;
  const size_t taken_over = output.done_tensors();
  for (size_t i = 0; i < plan.tensors.size(); ++i) {
    const PlannedTensor& p = plan.tensors[i];
    state.tensor = p.source->name;
    const auto done = [&](uint64_t bytes) {
      state.done_bytes += bytes;
      if (progress) progress(state);
    };
    if (i < taken_over) {
      done(p.source->data.size());
      continue;
    }
    WEIR_TRY(writer.write(p, done));
    holder.release(lent_name(holder, *p.source), gguf::File::Release::kReadLater);
  }
  return output.commit();
}

}  // namespace

Result<Written> write_quantized(const gguf::File& file, const QuantizePlan& plan,
                                const Calibration& calibration, const Provenance& provenance,
                                kernels::ThreadPool& pool, const OutputOptions& options,
                                const std::function<void(const QuantizeProgress&)>& progress) {
  WEIR_ASSIGN(const std::vector<QuantizedPart> parts,
              make_parts(file, plan, calibration, provenance, options.path, options.split));
  WEIR_ASSIGN(const RunFingerprint run, fingerprint(plan, calibration, provenance, parts));
  WEIR_ASSIGN(QuantizedOutput output, QuantizedOutput::open(options, parts, run, pool));
  Written written;
  for (const QuantizedPart& part : parts) written.files.push_back(part.path);
  written.taken_over = output.done_tensors();
  written.discarded = output.discarded();
  const Status status = write_tensors(file, plan, calibration, pool, output, progress);
  if (status.ok()) return written;
  const bool stays = options.resume && status.error().code == ErrorCode::kIo;
  if (!stays) {
    output.discard();
    return status.error();
  }
  Error error = status.error();
  error.message += fmt::format("; what is written stays in {}: make room and go on with --resume",
                               output.folder());
  return error;
}

}  // namespace weir::ops
