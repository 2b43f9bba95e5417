// The table of kernel functions of one ISA, chosen once and passed by reference. Callers hand it
// on; the functions themselves are called by matmul.h, attention.h and ops.h.
#pragma once

#include "kernels/isa.h"

namespace weir::kernels {

struct Kernels;

// Constant tables; the machine must have the ISA (choose_isa checks). Any thread.
const Kernels& kernels_for(Isa isa);

}  // namespace weir::kernels
