// Byte-level byte-pair encoding (`tokenizer.ggml.model` "gpt2"), as published with GPT-2.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "gguf/file.h"
#include "text/merge.h"
#include "text/piece_map.h"
#include "text/pretokenizer.h"
#include "text/tokenizer.h"
#include "text/vocabulary.h"

namespace weir::text {

// Some vocabularies lack tokens for control characters (SmolLM2 for U+0004). Such a byte becomes
// the unknown token where the vocabulary has one of that type, and nothing otherwise, as in
// llama.cpp.
class BpeTokenizer final : public Tokenizer {
 public:
  // Reads `tokenizer.ggml.merges`; kCorrupt names the merge that is malformed.
  static Result<std::unique_ptr<Tokenizer>> create(const gguf::File& file,
                                                   std::unique_ptr<const Vocabulary> vocabulary);

 private:
  explicit BpeTokenizer(std::unique_ptr<const Vocabulary> vocabulary);
  void encode_text(std::string_view text, bool after_special,
                   std::vector<int32_t>& out) const override;
  void encode_word(std::string_view word, Merger& merger, std::vector<int32_t>& out) const;
  void append(int32_t symbol, std::string_view bytes, std::vector<int32_t>& out) const;
  Status read_merges(const gguf::File& file);
  int32_t intern(std::string_view bytes);
  std::string_view symbol_bytes(int32_t symbol) const;
  int32_t find_symbol(std::string_view bytes) const;
  void add_merge(int32_t left, int32_t right, Merge merge);
  Merge find_merge(int32_t left, int32_t right) const;

  struct Slot {
    uint64_t pair = kEmptyPair;
    Merge merge;
  };
  static constexpr uint64_t kEmptyPair = UINT64_MAX;

  const PreTokenizer* pre_;
  // Symbols: token ids, and from vocab_size() on the strings that only merges name. -1 is no
  // symbol.
  PieceMap symbols_;
  PieceList extra_;
  std::array<int32_t, 256> byte_symbol_;  // symbol of a lone byte, or -1
  std::vector<Slot> merges_;              // open addressing, a power of two, at most half full
};

}  // namespace weir::text
