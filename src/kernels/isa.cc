#include "kernels/isa.h"

#include <string>

namespace weir::kernels {
namespace {

constexpr Isa kAll[] = {Isa::kScalar, Isa::kAvx2, Isa::kAvx512};

}  // namespace

bool has_isa(const os::CpuFeatures& f, Isa isa) {
  const bool avx2 = f.avx2 && f.fma && f.f16c;
  switch (isa) {
    case Isa::kScalar:
      return true;
    case Isa::kAvx2:
      return avx2;
    case Isa::kAvx512:
      return avx2 && f.avx512f && f.avx512bw && f.avx512dq && f.avx512vl && f.avx512vnni;
  }
  return false;
}

std::string_view isa_name(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return "scalar";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
  }
  return "unknown";
}

std::vector<Isa> present_isas(const os::CpuFeatures& features) {
  std::vector<Isa> present;
  for (const Isa isa : kAll) {
    if (has_isa(features, isa)) present.push_back(isa);
  }
  return present;
}

Result<Isa> choose_isa(const os::CpuFeatures& features, std::string_view override_name) {
  const std::vector<Isa> present = present_isas(features);
  if (override_name.empty()) return present.back();
  std::string names;
  for (const Isa isa : present) {
    if (isa_name(isa) == override_name) return isa;
    names += (names.empty() ? "" : ", ") + std::string(isa_name(isa));
  }
  for (const Isa isa : kAll) {
    if (isa_name(isa) == override_name) {
      return make_error(ErrorCode::kUsage, "this machine lacks the instruction set {}; it has: {}",
                        override_name, names);
    }
  }
  return make_error(ErrorCode::kUsage, "unknown instruction set \"{}\"; this machine has: {}",
                    override_name, names);
}

}  // namespace weir::kernels
