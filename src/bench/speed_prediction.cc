#include "bench/speed_prediction.h"

#include <algorithm>
#include <map>

#include "kernels/matmul.h"

namespace weir::bench {
namespace {

constexpr int kRuns = 3;  // after one that warms up
constexpr uint64_t kMostBytes = 64 << 20;

bool is_output(const ModelTensor& t, bool tied) {
  return t.name == (tied ? "token_embd.weight" : "output.weight");
}

// Bytes of zeros that are `rows` rows of the type.
uint64_t file_bytes(gguf::TensorType type, uint64_t rows, uint64_t cols) {
  const gguf::TypeInfo& info = *gguf::type_info(type);
  return cols / info.block_elements * info.block_bytes * rows;
}

}  // namespace

Result<std::vector<TypeWork>> work_of(std::span<const ModelTensor> tensors, int32_t experts,
                                      int32_t experts_used, kernels::Isa isa) {
  const bool tied = std::none_of(tensors.begin(), tensors.end(),
                                 [](const ModelTensor& t) { return t.name == "output.weight"; });
  std::map<gguf::TensorType, TypeWork> by_type;
  for (const ModelTensor& t : tensors) {
    const bool output = is_output(t, tied);
    const bool layer = t.name.starts_with("blk.");
    if ((!output && !layer) || t.shape.size() < 2) continue;
    const auto format = kernels::panel_format(t.type);
    if (!format.ok()) return format.error().with_context(t.name);
    const uint64_t cols = t.shape[0], rows = t.shape[1];
    double matrices = t.shape.size() > 2 ? static_cast<double>(t.shape[2]) : 1;
    if (experts > 0 && t.name.find("_exps.") != std::string::npos)
      matrices *= static_cast<double>(experts_used) / experts;
    TypeWork& work = by_type[t.type];
    work.type = t.type;
    work.bytes += matrices * static_cast<double>(kernels::packed_bytes(*format, rows, cols, isa));
    if (!layer) continue;
    work.layer_weights += matrices * static_cast<double>(rows * cols);
    if (rows * cols <= work.rows * work.cols) continue;
    work.rows = rows;
    work.cols = cols;
  }
  std::vector<TypeWork> all;
  all.reserve(by_type.size());
  for (auto& [type, work] : by_type) all.push_back(work);
  return all;
}

Result<double> measure_matmul(const TypeWork& work, kernels::Isa isa, kernels::ThreadPool& pool,
                              const Clock& clock) {
  const uint64_t row_bytes = std::max<uint64_t>(1, file_bytes(work.type, 1, work.cols));
  constexpr uint64_t kMostValues = kMostBytes / (sizeof(float) * kPredictionTokens);
  if (work.cols > kMostValues) {
    return make_error(ErrorCode::kLimit, "a matrix has {} columns; speed is measured up to {}",
                      work.cols, kMostValues);
  }
  const uint64_t rows =
      std::clamp<uint64_t>(std::min(kMostBytes / row_bytes, kMostValues), 1, work.rows);
  const std::vector<std::byte> zeros(file_bytes(work.type, rows, work.cols));
  WEIR_ASSIGN(const kernels::PackedMatrix matrix,
              kernels::PackedMatrix::pack(work.type, zeros, rows, work.cols, isa, pool));
  const kernels::Kernels& kernels = kernels::kernels_for(isa);
  const std::vector<float> x(kPredictionTokens * work.cols, 0.5F);
  std::vector<float> y(kPredictionTokens * rows);
  const kernels::MatmulJob job{&matrix, y.data(), rows};
  kernels::Activations activations;
  double best_s = 0;
  for (int run = 0; run <= kRuns; ++run) {
    const int64_t start = clock.now_ns();
    activations.quantize(kernels, pool, x.data(), work.cols, kPredictionTokens, work.cols);
    kernels::matmul(kernels, pool, activations, std::span(&job, 1));
    const double seconds = std::max(static_cast<double>(clock.now_ns() - start) * 1e-9, 1e-9);
    if (run > 0) best_s = best_s == 0 ? seconds : std::min(best_s, seconds);
  }
  return static_cast<double>(rows * work.cols * kPredictionTokens) / best_s;
}

SpeedPrediction predict_speed(std::vector<TypeWork> work, std::vector<double> weights_per_s,
                              double read_bytes_per_s) {
  SpeedPrediction p;
  double prefill_s = 0;
  for (size_t i = 0; i < work.size(); ++i) {
    p.bytes_per_token += work[i].bytes;
    if (weights_per_s[i] > 0) prefill_s += work[i].layer_weights / weights_per_s[i];
  }
  p.read_bytes_per_s = read_bytes_per_s;
  if (p.bytes_per_token > 0) p.decode_tokens_per_s = read_bytes_per_s / p.bytes_per_token;
  if (prefill_s > 0) p.prefill_tokens_per_s = 1 / prefill_s;
  p.work = std::move(work);
  p.weights_per_s = std::move(weights_per_s);
  return p;
}

}  // namespace weir::bench
