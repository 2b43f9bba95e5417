// Rotary position embedding tables: frequencies with linear, llama3 (per-dimension factors) and
// YaRN scaling. Sources: Su et al. 2021 (RoPE); Peng et al. 2023 (YaRN), as GGUF files parametrise
// them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/config.h"

namespace weir::model {

// Immutable after construction; any thread.
class RopeTable {
 public:
  // factors: empty, or dims/2 divisors of the frequencies (tensor rope_freqs.weight, how llama3
  // scaling is stored).
  RopeTable(const RopeConfig& config, std::span<const float> factors);

  int32_t pairs() const { return static_cast<int32_t>(inv_freq_.size()); }

  // cos, sin: [pairs] f32 for one absolute position, the attention magnitude included.
  void fill(int32_t position, std::span<float> cos, std::span<float> sin) const;

 private:
  std::vector<double> inv_freq_;  // radians per position
  double magnitude_ = 1.0;
};

}  // namespace weir::model
