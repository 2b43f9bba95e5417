// Loops that do one kind of arithmetic in registers and nothing else: what a core can do at most.
#pragma once

#include <cstdint>

#include "kernels/isa.h"
#include "os/cpu.h"

namespace weir::bench {

// One loop. An operation is one multiply or one add of one pair of values.
struct PeakLoop {
  double ops_a_round = 0;
  // Returns a sum of what was computed, so that nothing is left out; nullptr: no such instruction.
  float (*run)(int64_t rounds) = nullptr;
};

// The int8 dot product of the instruction set; none for kScalar.
PeakLoop int8_loop(kernels::Isa isa);
// Its fused multiply-add of f32; none for kScalar.
PeakLoop f32_loop(kernels::Isa isa);
// Its bf16 dot product (AVX512_BF16), where the processor has it.
PeakLoop bf16_loop(kernels::Isa isa, const os::CpuFeatures& features);

}  // namespace weir::bench
