// The vocabulary of a GGUF file, checked: pieces, kinds, scores, special ids and flags. Metadata
// keys and kinds: ggml/docs/gguf.md, "Tokenizer"; defaults and end-of-generation names as llama.cpp
// has them. Immutable; any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/file.h"
#include "text/piece_map.h"

namespace weir::text {

enum class TokenKind : uint8_t {  // values of tokenizer.ggml.token_type
  kUndefined = 0,
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

enum class Family : uint8_t { kBpe, kSpm, kWordPiece };

struct SpecialIds {
  std::optional<int32_t> bos, eos, eot, eom, unk, sep, pad, mask;
};

// What comes from tokenizer.ggml.* besides the tokens.
struct TokenizerFlags {
  bool add_bos = false;
  bool add_eos = false;
  bool add_space_prefix = false;  // a space goes before text at the start and after special tokens
  bool ignore_merges = false;     // a word that is a token is taken whole (byte-level BPE)
  bool lowercase = true;          // WordPiece
  bool strip_accents = true;      // WordPiece
};

class Vocabulary {
 public:
  // Errors: see Tokenizer::load.
  static Result<std::unique_ptr<const Vocabulary>> read(const gguf::File& file);

  Family family() const { return family_; }
  const std::string& model() const { return model_; }
  const std::string& pre() const { return pre_; }
  const TokenizerFlags& flags() const { return flags_; }
  const SpecialIds& special() const { return special_; }
  const std::vector<int32_t>& eog() const { return eog_; }  // ascending

  int32_t size() const { return static_cast<int32_t>(pieces_.size()); }
  bool contains(int32_t id) const { return id >= 0 && id < size(); }
  // Preconditions below: contains(id).
  std::string_view piece(int32_t id) const { return pieces_[static_cast<size_t>(id)]; }
  std::string_view bytes(int32_t id) const { return bytes_[static_cast<size_t>(id)]; }
  TokenKind kind(int32_t id) const { return kinds_[static_cast<size_t>(id)]; }
  float score(int32_t id) const { return scores_[static_cast<size_t>(id)]; }
  // Space before or after the token, where it is recognised in text, belongs to it.
  bool strips_left(int32_t id) const { return (strip_[static_cast<size_t>(id)] & 1) != 0; }
  bool strips_right(int32_t id) const { return (strip_[static_cast<size_t>(id)] & 2) != 0; }
  bool is_control(int32_t id) const {
    return kind(id) == TokenKind::kControl || kind(id) == TokenKind::kUnknown;
  }
  // Whether merging may make this token of plain text. User-defined tokens are found before
  // merging.
  bool is_text(int32_t id) const {
    return kind(id) == TokenKind::kNormal || kind(id) == TokenKind::kUndefined ||
           kind(id) == TokenKind::kUnused;
  }
  // Whether the token is recognised in all text: user-defined, and not a marker of chat turns.
  bool matches_all_text(int32_t id) const;
  std::optional<int32_t> find(std::string_view piece) const;

 private:
  Vocabulary() = default;
  Status read_model(const gguf::File& file);
  Status read_tokens(const gguf::File& file);
  Status read_scores_and_kinds(const gguf::File& file);
  Status read_special_ids(const gguf::File& file);
  Status read_flags(const gguf::File& file);
  void find_end_tokens();
  Status check_special_tokens() const;
  Status read_strip_rules(const gguf::File& file);
  void fill_bytes();

  Family family_ = Family::kBpe;
  std::string model_, pre_;
  TokenizerFlags flags_;
  SpecialIds special_;
  std::vector<int32_t> eog_;
  PieceList pieces_;              // [vocab]
  PieceList bytes_;               // [vocab]
  std::vector<TokenKind> kinds_;  // [vocab]
  std::vector<float> scores_;     // [vocab]
  std::vector<uint8_t> strip_;    // [vocab] bit 0 left, bit 1 right
  PieceMap map_;
};

// "▁", the space of sentencepiece.
inline constexpr std::string_view kSpaceMark = "\xE2\x96\x81";

// Appends the bytes that a piece of byte-level BPE spells in the alphabet of GPT-2 ("Ġa" is " a").
// False, and nothing appended, when it uses other characters. Source: bytes_to_unicode in the code
// published with GPT-2 (encoder.py).
bool decode_byte_level(std::string_view piece, std::string& out);

}  // namespace weir::text
