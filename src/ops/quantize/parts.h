// The files of a quantized model: their names, their metadata, and which tensors each holds.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "gguf/split.h"
#include "gguf/writer.h"
#include "ops/quantize/quantize.h"

namespace weir::ops {

struct QuantizedPart {
  std::string path;
  gguf::Writer writer;  // metadata and declared tensors
  size_t first = 0;     // of the plan's tensors
  size_t count = 0;
};

// One file `path`; or with `split` the parts, named as llama.cpp's gguf-split names them after
// `path`, less ".gguf" at its end. Metadata stand in the first part. Errors: kUsage for a path with
// a split that ends like a part's already; those of gguf::divide.
Result<std::vector<QuantizedPart>> make_parts(const gguf::File& file, const QuantizePlan& plan,
                                              const Calibration& calibration,
                                              const Provenance& provenance, const std::string& path,
                                              const std::optional<gguf::SplitLimits>& split);

}  // namespace weir::ops
