// WordPiece with the BERT normalizer (`tokenizer.ggml.model` "bert"). In GGUF files a piece that
// starts a word begins with "▁" and one that continues it has no "##". Source: tokenization.py of
// the BERT release.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "text/piece_map.h"
#include "text/tokenizer.h"
#include "text/vocabulary.h"

namespace weir::text {

// A word with a part that is no token, or of more than 100 characters, becomes the unknown token.
class WordPieceTokenizer final : public Tokenizer {
 public:
  static constexpr size_t kMaxWordChars = 100;  // max_input_chars_per_word of the BERT release

  static Result<std::unique_ptr<Tokenizer>> create(std::unique_ptr<const Vocabulary> vocabulary);

 private:
  explicit WordPieceTokenizer(std::unique_ptr<const Vocabulary> vocabulary);
  void encode_text(std::string_view text, bool after_special,
                   std::vector<int32_t>& out) const override;
  void encode_word(const std::string& word, size_t chars, std::vector<int32_t>& out) const;

  PieceMap starts_;     // pieces that start a word, without the mark
  PieceMap continues_;  // the others
};

}  // namespace weir::text
