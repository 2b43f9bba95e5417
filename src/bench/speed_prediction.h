// How fast a model that is not written yet would run on this machine, from what it must read and
// compute: hypotheses, to be held against bench_engine once the file is there.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "gguf/tensor_type.h"
#include "kernels/isa.h"
#include "kernels/thread_pool.h"

namespace weir::bench {

// A tensor of the model, in the type that it will have.
struct ModelTensor {
  std::string name;
  gguf::TensorType type = gguf::TensorType::kF32;
  std::vector<uint64_t> shape;  // as gguf::Tensor has it
};

// What a token needs of one type.
struct TypeWork {
  gguf::TensorType type = gguf::TensorType::kF32;
  double layer_weights = 0;  // of the layers' matrices that a token meets
  double bytes = 0;          // read for a decoded token, packed as the kernels read them
  uint64_t rows = 0;         // of the largest matrix of the layers
  uint64_t cols = 0;
};

// Of matrices with experts the share `experts_used` of `experts` counts (0 experts: dense). The
// output matrix (or the embedding that serves as it) counts for decode alone: prefill runs it once
// a prompt. Error: kUnsupported for a type without a kernel, naming the tensor.
Result<std::vector<TypeWork>> work_of(std::span<const ModelTensor> tensors, int32_t experts,
                                      int32_t experts_used, kernels::Isa isa);

// Weights × tokens a second of the matmul on a matrix of zeros of that shape (timing does not
// depend on values), kPredictionTokens rows of activations, the best of some runs; rows are cut so
// that the matrix stays below some 64 MiB. Errors: those of kernels::PackedMatrix::pack.
inline constexpr size_t kPredictionTokens = 512;  // of a prefill step
Result<double> measure_matmul(const TypeWork& work, kernels::Isa isa, kernels::ThreadPool& pool,
                              const Clock& clock);

struct SpeedPrediction {
  std::vector<TypeWork> work;
  std::vector<double> weights_per_s;  // measured, of each type of `work`; 0 without layers' weights
  double read_bytes_per_s = 0;        // measured
  double bytes_per_token = 0;
  double decode_tokens_per_s = 0;   // one sequence, empty KV cache: all bytes at the measured rate
  double prefill_tokens_per_s = 0;  // all matrices of the layers at their kernels' rates
};

// Pure: weights_per_s has one rate for each entry of work.
SpeedPrediction predict_speed(std::vector<TypeWork> work, std::vector<double> weights_per_s,
                              double read_bytes_per_s);

}  // namespace weir::bench
