// Scales of an FP8 KV cache in a folder for GPU engines: "model.layers.N.self_attn.k_scale" and
// "v_scale", F32 [1], where compressed-tensors registers them and vLLM's loader looks for them.
// Internal to checkpoint/.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "checkpoint/families.h"
#include "checkpoint/quantize_calibration.h"

namespace weir::checkpoint {

struct CacheModule {
  int32_t layer = 0;
  std::string name;  // of the attention module: "model.layers.0.self_attn"
};

// Of the matrix behind a layer's attention, which tells where its module is; nothing for another
// tensor.
std::optional<CacheModule> cache_module(const Family& family, const std::string& tensor);

// What is multiplied with an FP8 code: the largest magnitude / 448; 1 where all are 0. largest:
// [cols], of each column. factors: [cols] what columns were multiplied by after the measurement; or
// empty. Errors: kUnsupported where nothing was measured, kCorrupt when the sizes differ.
Result<float> cache_scale(std::span<const float> largest, std::span<const float> factors);

}  // namespace weir::checkpoint
