// Which model a file holds, for what was computed with it.
#pragma once

#include "base/hash.h"
#include "gguf/file.h"

namespace weir::engine {

// Of the metadata, the table of tensors and the first bytes of each tensor, so that two fine-tunes
// of one model differ; reads about a megabyte. Not of the path.
Hash128 model_identity(const gguf::File& file);

}  // namespace weir::engine
