// Which model a file holds, for what was computed with it.
#pragma once

#include "base/hash.h"
#include "gguf/file.h"

namespace weir::engine {

// Of the metadata, the table of tensors and 16 KiB of each tensor, sampled over all of it (a
// smaller one whole), so that two fine-tunes of one model differ; reads some 12 MB of a model with
// 70B parameters. A change that falls between the samples is not seen. Not of the path.
Hash128 model_identity(const gguf::File& file);

}  // namespace weir::engine
