// Text to token ids and back, as the metadata of a GGUF file says (`tokenizer.ggml.*`): byte-level
// BPE ("gpt2"), sentencepiece-style score merges with byte fallback ("llama") and WordPiece
// ("bert").
//
// Guarantees:
// - Work is O(n log n) in the bytes of the input, whatever they are.
// - Ill-formed UTF-8 is replaced by U+FFFD (utf8.h) before anything else looks at it; encode never
//   fails.
// - Control tokens ("<|im_end|>", "<s>") never come out of text that was not marked parse_special;
//   tokens that the vocabulary declares user-defined are matched in all text, as their models were
//   trained.
// - A Tokenizer is immutable after load: every member may be called from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::gguf {
class File;
}

namespace weir::text {

class Vocabulary;
class TokenTrie;

struct EncodeOptions {
  bool add_bos_eos = false;  // put what the vocabulary says (BOS, EOS; [CLS] [SEP]) around the ids
  bool parse_special = false;  // recognise control tokens written out in the text
};

// A stretch of a prompt. Adjacent parts are tokenized as one text: merges cross their border as
// they would in one string, but a control token must lie wholly within parts marked parse_special.
struct TextPart {
  std::string_view text;
  bool parse_special = false;
};

class Tokenizer {
 public:
  using EncodeOptions = text::EncodeOptions;

  // Reads and checks `tokenizer.ggml.*`. The Tokenizer owns copies: `file` may go away afterwards.
  // Errors name the key: kUnsupported for an unknown tokenizer.ggml.model or tokenizer.ggml.pre
  // (the known ones are listed), kCorrupt for missing keys, wrong lengths, ids out of range,
  // malformed merges, duplicate tokens.
  static Result<std::unique_ptr<Tokenizer>> load(const gguf::File& file);

  virtual ~Tokenizer();
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  std::vector<int32_t> encode(std::string_view text, EncodeOptions options = {}) const;
  // The one to use for chat prompts: template text is parse_special, message content is not.
  std::vector<int32_t> encode_parts(std::span<const TextPart> parts, bool add_bos_eos) const;

  // What a token contributes to decoded text; may be a part of a UTF-8 character. "" for control,
  // unknown and unused tokens and for ids out of range.
  std::string token_bytes(int32_t id) const;
  // The piece as the vocabulary spells it ("Ġhello", "▁hello", "<0x0A>"); "" for ids out of range.
  std::string_view token_text(int32_t id) const;
  // Concatenation of token_bytes with ill-formed bytes replaced by U+FFFD; without skip_special,
  // control tokens appear as their text. The space that the vocabulary puts before text is taken
  // off again.
  std::string decode(std::span<const int32_t> ids, bool skip_special = true) const;

  int32_t vocab_size() const;
  // The token spelled exactly `piece`, of any type.
  std::optional<int32_t> find(std::string_view piece) const;

  std::optional<int32_t> bos() const;
  std::optional<int32_t> eos() const;
  std::optional<int32_t> eot() const;
  std::optional<int32_t> eom() const;
  std::optional<int32_t> unk() const;
  std::optional<int32_t> sep() const;
  std::optional<int32_t> pad() const;

  // Whether generation ends at `id`: EOS, EOT, EOM and the well-known end tokens. False out of
  // range.
  bool is_eog(int32_t id) const;
  const std::vector<int32_t>& eog_tokens() const;  // ascending
  // Whether `id` is a control or unknown token, which decode skips. False out of range.
  bool is_special(int32_t id) const;
  bool adds_bos() const;
  // What encode() puts behind a text with add_bos_eos, if anything.
  std::optional<int32_t> added_end() const;
  // Whether decode() takes one space off the start of the text (sentencepiece and WordPiece).
  bool strips_first_space() const;

  std::string_view model() const;  // tokenizer.ggml.model: "gpt2", "llama", "bert"
  std::string_view pre() const;    // tokenizer.ggml.pre; "" where the model has none

 protected:
  explicit Tokenizer(std::unique_ptr<const Vocabulary> vocabulary);
  const Vocabulary& vocabulary() const { return *vocabulary_; }
  // Ids of well-formed text without special tokens. `after_special`: it starts the prompt or
  // follows a special token. `text` is not empty and at most 1 GiB.
  virtual void encode_text(std::string_view text, bool after_special,
                           std::vector<int32_t>& out) const = 0;

 private:
  std::unique_ptr<const Vocabulary> vocabulary_;
  std::unique_ptr<const TokenTrie> special_;
};

}  // namespace weir::text
