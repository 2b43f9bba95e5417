// The instruction set variants of the kernels and the choice among them, made once at start.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "os/cpu.h"

namespace weir::kernels {

enum class Isa { kScalar, kAvx2, kAvx512 };

// kAvx2 wants AVX2, FMA and F16C; kAvx512 wants F, BW, DQ, VL and VNNI (and what kAvx2 wants).
bool has_isa(const os::CpuFeatures& features, Isa isa);

// "scalar", "avx2", "avx512".
std::string_view isa_name(Isa isa);

// The best variant of this machine, or the one named by `override_name` (empty: none). Errors:
// kUsage when the name is unknown or the machine lacks it, with the names that would work.
Result<Isa> choose_isa(const os::CpuFeatures& features, std::string_view override_name);

// All variants this machine runs, worst first; tests run each.
std::vector<Isa> present_isas(const os::CpuFeatures& features);

}  // namespace weir::kernels
