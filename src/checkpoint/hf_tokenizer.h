// tokenizer.json and its companions → the tokenizer.* metadata that a GGUF file carries. Format:
// serialization of the Rust crate `tokenizers`. Internal to checkpoint/.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "gguf/writer.h"
#include "text/json.h"

namespace weir::checkpoint {

// The files of a model's folder that describe its text; null where the folder has none.
struct TokenizerFiles {
  text::Json tokenizer;         // tokenizer.json
  text::Json tokenizer_config;  // tokenizer_config.json
  text::Json generation;        // generation_config.json
  text::Json config;            // config.json
  std::string chat_template;    // chat_template.jinja, or empty
};

// rows: those of the embedding; the vocabulary is filled up with unused tokens to that size.
// Errors: kCorrupt naming file and field; kUnsupported for a kind of tokenizer that weir does not
// have (Unigram, an unknown pre-tokenizer), by name.
Status convert_tokenizer(const TokenizerFiles& files, uint64_t rows, gguf::Writer& writer);

}  // namespace weir::checkpoint
