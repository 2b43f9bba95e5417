// config.json of a Hugging Face model → the metadata that a GGUF file of it carries. Internal to
// checkpoint/.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "checkpoint/families.h"
#include "checkpoint/quantized.h"
#include "gguf/writer.h"
#include "text/json.h"

namespace weir::checkpoint {

struct HfConfig {
  const Family* family = nullptr;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t layers = 0;
  int64_t experts = 0;
  std::optional<bool> tied;  // the output matrix is the embedding; nothing: config.json is silent
  // Divisors of the RoPE frequencies as tensors, by GGUF name; from llama3 and longrope scalings.
  std::vector<std::pair<std::string, std::vector<float>>> rope_factors;
  QuantizationConfig quantization;
};

// Sets ENCODER.pooling_type from 1_Pooling/config.json of sentence-transformers; null: the folder
// has none, nothing is set. Errors: kUnsupported for a pooling that is not mean, cls or last.
Status read_pooling_config(const text::Json& pooling, const Family& family, gguf::Writer& writer);

// Sets general.architecture and the keys below it. Errors: kUnsupported for a model type, a
// quantization or a variant that is not known, by name; kCorrupt for a missing or wrong field.
Result<HfConfig> read_hf_config(const text::Json& config, gguf::Writer& writer);

}  // namespace weir::checkpoint
