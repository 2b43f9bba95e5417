// Recognizes the pre-tokenizer of a tokenizer.json. Internal to checkpoint/.
#pragma once

#include <string>

#include "base/result.h"
#include "text/json.h"

namespace weir::checkpoint {

// The value of tokenizer.ggml.pre for a byte-level pre-tokenizer. Error: kUnsupported with what
// stands in the file.
Result<std::string> recognize_pre_tokenizer(const text::Json& pre_tokenizer, bool ignore_merges);

// Whether any part of a pre-tokenizer, decoder or normalizer (or of a Sequence of them) has this
// type.
const text::Json* find_part(const text::Json* part, std::string_view type);

}  // namespace weir::checkpoint
