// Hashes that say whether two evaluations saw the same: vocabulary, tokens. They guard against
// mistakes, not against people who want two inputs to meet (the key is fixed). Any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "text/tokenizer.h"

namespace weir::ops {

// 32 hexadecimal digits, as files and reports show a hash.
std::string hex(const Hash128& hash);

// Of all token strings in order, with their lengths.
Hash128 vocabulary_hash(const text::Tokenizer& tokenizer);
Hash128 bytes_hash(std::span<const std::byte> bytes);
inline Hash128 text_hash(std::string_view text) {
  return bytes_hash(std::as_bytes(std::span(text.data(), text.size())));
}

}  // namespace weir::ops
