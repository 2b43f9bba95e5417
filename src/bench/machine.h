// The limits of this machine that rows are set against, measured by small loops.
#pragma once

#include "base/clock.h"
#include "gguf/file.h"
#include "kernels/isa.h"

namespace weir::bench {

struct MachineLimits {
  double read_bytes_per_s = 0;  // all threads summing a buffer far larger than the caches
  // Multiplies and adds of the instruction set's int8 dot product, all threads, registers only;
  // 0 where the set has none.
  double int8_ops_per_s = 0;
};

// The best of five runs of 0.1 s or more each. Takes `threads` threads and 128 MB for about a
// second.
MachineLimits measure_machine(int threads, kernels::Isa isa, const Clock& clock);

// What a forward pass must at least do.
struct ModelCost {
  double layer_weights = 0;  // elements of the matrices of all layers
  double head_weights = 0;   // of the output matrix
  double layer_bytes = 0;    // of the same, as the file stores them
  double head_bytes = 0;
};
ModelCost model_cost(const gguf::File& file);

// How much of the nearer limit a row reaches, 0..1: of int8 operations, or of bytes read with every
// weight read once a step. Attention and activations do not count. prefill: the head runs once a
// prompt and is left out. 0 when unknown.
double peak_fraction(const MachineLimits& limits, const ModelCost& cost, bool prefill, int batch,
                     double tokens_per_s);

}  // namespace weir::bench
