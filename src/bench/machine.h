// The limits of this machine that rows are set against, measured by small loops.
#pragma once

#include "base/clock.h"
#include "gguf/file.h"
#include "kernels/isa.h"
#include "os/cpu.h"

namespace weir::bench {

struct MachineLimits {
  double read_bytes_per_s = 0;  // all threads summing a buffer far larger than the caches
  // Multiplies and adds of the instruction set's int8 dot product, all threads, registers only;
  // 0 where the set has none.
  double int8_ops_per_s = 0;
  double f32_ops_per_s = 0;   // the same of its fused multiply-add of f32
  double bf16_ops_per_s = 0;  // the same of its bf16 dot product; needs AVX512_BF16
};

// The best of twenty short runs each. Takes `threads` threads and 128 MB for one to two seconds.
MachineLimits measure_machine(int threads, kernels::Isa isa, const os::CpuFeatures& features,
                              const Clock& clock);

// What a forward pass must at least do.
struct ModelCost {
  double layer_weights = 0;  // elements of the matrices of all layers
  double head_weights = 0;   // of the output matrix
  double layer_bytes = 0;    // of the same, as the file stores them
  double head_bytes = 0;
  double kv_bytes_per_token = 0;  // of the cache, read once a token
};
ModelCost model_cost(const gguf::File& file, uint64_t kv_bytes_per_token);

// How much of the nearer limit a row reaches, 0..1: of int8 operations, or of bytes read with every
// weight read once a step and every cached token once per decoded token. The operations of
// attention and activations do not count. prefill: the head runs once a prompt and is left out. 0
// when unknown.
double peak_fraction(const MachineLimits& limits, const ModelCost& cost, bool prefill, int batch,
                     double context_tokens, double tokens_per_s);

}  // namespace weir::bench
