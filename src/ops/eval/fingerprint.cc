#include "ops/eval/fingerprint.h"

#include <fmt/format.h>

namespace weir::ops {

std::string hex(const Hash128& hash) { return fmt::format("{:016x}{:016x}", hash.high, hash.low); }

Hash128 bytes_hash(std::span<const std::byte> bytes) { return keyed_hash(HashKey{}, bytes); }

Hash128 vocabulary_hash(const text::Tokenizer& tokenizer) {
  std::string all;
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    const std::string_view piece = tokenizer.token_text(id);
    all += fmt::format("{}:", piece.size());
    all += piece;
  }
  return text_hash(all);
}

}  // namespace weir::ops
