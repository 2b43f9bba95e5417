#include "kernels/kernels.h"

#include "kernels/table.h"

namespace weir::kernels {

const Kernels& kernels_for(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx512) return avx512_kernels();
  if (isa == Isa::kAvx2) return avx2_kernels();
#endif
  (void)isa;
  return scalar_kernels();
}

}  // namespace weir::kernels
