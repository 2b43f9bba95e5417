// Prompt text of a wanted number of tokens, made of words that are one token each.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace weir::bench {

// A stretch of a prompt. Its words are a function of seed and id alone, and a shorter piece of the
// same id is a prefix of a longer one: equal ids make prompts that really share tokens.
struct Piece {
  uint64_t id = 0;  // below 2^56
  int32_t tokens = 0;

  friend bool operator==(const Piece&, const Piece&) = default;
};

// Short English words that every common vocabulary holds as one token.
std::span<const std::string_view> default_words();

struct PromptWords {
  std::vector<std::string> words;  // each one token after a space, 1 to 65,536 of them
  int32_t overhead_tokens = 0;     // of every prompt beside its words: BOS, a chat template
};

// The words of all pieces, joined by spaces, with overhead_tokens fewer words than tokens: what is
// missing is missing at the end, so that shared beginnings stay equal. At least one word.
std::string prompt_text(const PromptWords& words, uint64_t seed, std::span<const Piece> pieces);

}  // namespace weir::bench
