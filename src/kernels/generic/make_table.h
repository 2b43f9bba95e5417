// Fills a table from the templates of this folder; each ISA's kernels.cc calls it once with its own
// types.
#pragma once

#include "kernels/generic/attention.h"
#include "kernels/generic/float_matmul.h"
#include "kernels/generic/hadamard.h"
#include "kernels/generic/kv_encode.h"
#include "kernels/generic/ops.h"
#include "kernels/generic/quantize.h"

namespace weir::kernels::generic {

// V: the vector type. Integer<F>: struct with static run<M>(...), the micro-kernel of integer
// format F, for m up to P tokens.
template <typename V, template <PanelFormat> class Integer, size_t P>
constexpr Kernels make_table(Isa isa, bool biased_q8) {
  Kernels k;
  k.isa = isa;
  k.panel_rows = V::kWidth;
  k.biased_q8 = biased_q8;
  k.matmul[static_cast<size_t>(PanelFormat::kF32)] = run_tile<FloatTile<V, LoadF32>, P>;
  k.matmul[static_cast<size_t>(PanelFormat::kF16)] = run_tile<FloatTile<V, LoadF16>, P>;
  k.matmul[static_cast<size_t>(PanelFormat::kBF16)] = run_tile<FloatTile<V, LoadBF16>, P>;
  k.matmul[static_cast<size_t>(PanelFormat::kQ4)] = run_tile<Integer<PanelFormat::kQ4>, P>;
  k.matmul[static_cast<size_t>(PanelFormat::kQ4Min)] = run_tile<Integer<PanelFormat::kQ4Min>, P>;
  k.matmul[static_cast<size_t>(PanelFormat::kIq4)] = run_tile<Integer<PanelFormat::kIq4>, P>;
  k.matmul[static_cast<size_t>(PanelFormat::kE2m1)] = run_tile<Integer<PanelFormat::kE2m1>, P>;
  k.matmul[static_cast<size_t>(PanelFormat::kQ8)] = run_tile<Integer<PanelFormat::kQ8>, P>;
  k.matmul[static_cast<size_t>(PanelFormat::kQ5)] = run_tile<Integer<PanelFormat::kQ5>, P>;
  k.matmul[static_cast<size_t>(PanelFormat::kQ5Min)] = run_tile<Integer<PanelFormat::kQ5Min>, P>;
  k.matmul[static_cast<size_t>(PanelFormat::kQ2K)] = run_tile<Integer<PanelFormat::kQ2K>, P>;
  k.matmul[static_cast<size_t>(PanelFormat::kQ4K)] = run_tile<Integer<PanelFormat::kQ4K>, P>;
  k.matmul[static_cast<size_t>(PanelFormat::kQ5K)] = run_tile<Integer<PanelFormat::kQ5K>, P>;
  k.matmul[static_cast<size_t>(PanelFormat::kQ3K)] = run_tile<Integer<PanelFormat::kQ3K>, P>;
  k.matmul[static_cast<size_t>(PanelFormat::kQ6K)] = run_tile<Integer<PanelFormat::kQ6K>, P>;
  k.quantize_row = quantize_row<V>;
  k.rms_norm_row = rms_norm_row<V>;
  k.rope_row = rope_row<V>;
  k.layer_norm_row = layer_norm_row<V>;
  k.gate = gate<V>;
  k.activate = activate<V>;
  k.scale = scale<V>;
  k.softcap = softcap<V>;
  k.add = add<V>;
  k.softmax = softmax<V>;
  k.exp_sum = exp_sum<V>;
  k.mass_and_gap = mass_and_gap<V>;
  k.argmax = argmax<V>;
  k.dot = dot<V>;
  k.to_f16 = to_f16<V>;
  k.encode_kv = encode_kv<V>;
  k.hadamard = hadamard<V>;
  k.attend = attend<V>;
  return k;
}

}  // namespace weir::kernels::generic
