#include "text/tokenizer.h"

#include <algorithm>
#include <utility>

#include "text/bpe.h"
#include "text/detokenizer.h"
#include "text/spm.h"
#include "text/token_trie.h"
#include "text/utf8.h"
#include "text/vocabulary.h"
#include "text/wordpiece.h"

namespace weir::text {
namespace {

// Offsets within a stretch of text are 32 bits wide; a longer text is cut at character borders.
constexpr size_t kMaxStretchBytes = size_t{1} << 30;

bool is_ascii_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// The parts as one well-formed text, and up to where control tokens are allowed from each place on.
class JoinedText {
 public:
  explicit JoinedText(std::span<const TextPart> parts) {
    for (const TextPart& part : parts) {
      const size_t begin = text_.size();
      text_ += is_valid_utf8(part.text) ? std::string(part.text) : replace_invalid_utf8(part.text);
      if (!part.parse_special) continue;
      if (!allowed_.empty() && allowed_.back().end == begin) {
        allowed_.back().end = text_.size();
      } else {
        allowed_.push_back({begin, text_.size()});
      }
    }
  }
  std::string_view text() const { return text_; }
  // The end of the stretch around `at` where control tokens are allowed; 0 outside of them. Calls
  // go forward: `at` never less than before.
  size_t control_end(size_t at) {
    while (next_ < allowed_.size() && allowed_[next_].end <= at) ++next_;
    return next_ < allowed_.size() && allowed_[next_].begin <= at ? allowed_[next_].end : 0;
  }

 private:
  struct Stretch {
    size_t begin, end;
  };
  std::string text_;
  std::vector<Stretch> allowed_;
  size_t next_ = 0;
};

}  // namespace

Tokenizer::Tokenizer(std::unique_ptr<const Vocabulary> vocabulary)
    : vocabulary_(std::move(vocabulary)) {
  const Vocabulary& v = *vocabulary_;
  auto special = std::make_unique<TokenTrie>();
  for (int32_t id = 0; id < v.size(); ++id) {
    if (v.is_control(id) || v.kind(id) == TokenKind::kUserDefined) {
      special->insert(v.piece(id), id, v.matches_all_text(id));
    }
  }
  special_ = std::move(special);
}

Tokenizer::~Tokenizer() = default;

Result<std::unique_ptr<Tokenizer>> Tokenizer::load(const gguf::File& file) {
  WEIR_ASSIGN(std::unique_ptr<const Vocabulary> vocabulary, Vocabulary::read(file));
  switch (vocabulary->family()) {
    case Family::kBpe:
      return BpeTokenizer::create(file, std::move(vocabulary));
    case Family::kSpm:
      return SpmTokenizer::create(std::move(vocabulary));
    case Family::kWordPiece:
      return WordPieceTokenizer::create(std::move(vocabulary));
  }
  return make_error(ErrorCode::kInternal, "tokenizer family without an implementation");
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, text::EncodeOptions options) const {
  const TextPart part{text, options.parse_special};
  return encode_parts({&part, 1}, options.add_bos_eos);
}

std::vector<int32_t> Tokenizer::encode_parts(std::span<const TextPart> parts,
                                             bool add_bos_eos) const {
  const Vocabulary& v = *vocabulary_;
  std::vector<int32_t> out;
  if (add_bos_eos && v.flags().add_bos) out.push_back(*v.special().bos);
  JoinedText joined(parts);
  const std::string_view text = joined.text();
  bool after_special = true;
  size_t plain = 0;  // start of the text not encoded yet
  const auto encode_plain = [&](size_t end) {
    while (plain < end) {
      size_t stop = std::min(end, plain + kMaxStretchBytes);
      while (stop < end && (static_cast<uint8_t>(text[stop]) & 0xC0) == 0x80) --stop;
      encode_text(text.substr(plain, stop - plain), after_special, out);
      after_special = false;
      plain = stop;
    }
  };
  for (size_t at = 0; at < text.size();) {
    const TokenTrie::Match m = special_->match(text, at, joined.control_end(at));
    if (m.id < 0) {
      ++at;
      continue;
    }
    size_t end = at;
    if (v.strips_left(m.id)) {
      while (end > plain && is_ascii_space(text[end - 1])) --end;
    }
    encode_plain(end);
    out.push_back(m.id);
    after_special = true;
    at += m.length;
    if (v.strips_right(m.id)) {
      while (at < text.size() && is_ascii_space(text[at])) ++at;
    }
    plain = at;
  }
  encode_plain(text.size());
  if (const auto end = added_end(); add_bos_eos && end) out.push_back(*end);
  return out;
}

std::string Tokenizer::token_bytes(int32_t id) const {
  return vocabulary_->contains(id) ? std::string(vocabulary_->bytes(id)) : std::string();
}

std::string_view Tokenizer::token_text(int32_t id) const {
  return vocabulary_->contains(id) ? vocabulary_->piece(id) : std::string_view();
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  std::string bytes;
  bool at_start = strips_first_space();
  for (const int32_t id : ids) {
    if (!vocabulary_->contains(id)) continue;
    const bool as_text = !skip_special && vocabulary_->is_control(id);
    std::string_view piece = as_text ? vocabulary_->piece(id) : vocabulary_->bytes(id);
    if (at_start && !piece.empty()) {
      at_start = false;
      if (!as_text && piece.front() == ' ') piece.remove_prefix(1);
    }
    bytes += piece;
  }
  return is_valid_utf8(bytes) ? bytes : replace_invalid_utf8(bytes);
}

int32_t Tokenizer::vocab_size() const { return vocabulary_->size(); }
std::optional<int32_t> Tokenizer::find(std::string_view piece) const {
  return vocabulary_->find(piece);
}
std::optional<int32_t> Tokenizer::bos() const { return vocabulary_->special().bos; }
std::optional<int32_t> Tokenizer::eos() const { return vocabulary_->special().eos; }
std::optional<int32_t> Tokenizer::eot() const { return vocabulary_->special().eot; }
std::optional<int32_t> Tokenizer::eom() const { return vocabulary_->special().eom; }
std::optional<int32_t> Tokenizer::unk() const { return vocabulary_->special().unk; }
std::optional<int32_t> Tokenizer::sep() const { return vocabulary_->special().sep; }
std::optional<int32_t> Tokenizer::pad() const { return vocabulary_->special().pad; }

bool Tokenizer::is_eog(int32_t id) const {
  return std::binary_search(vocabulary_->eog().begin(), vocabulary_->eog().end(), id);
}
const std::vector<int32_t>& Tokenizer::eog_tokens() const { return vocabulary_->eog(); }
bool Tokenizer::is_special(int32_t id) const {
  return vocabulary_->contains(id) && vocabulary_->is_control(id);
}
bool Tokenizer::adds_bos() const { return vocabulary_->flags().add_bos; }
std::optional<int32_t> Tokenizer::added_end() const {
  if (!vocabulary_->flags().add_eos) return std::nullopt;
  const auto& special = vocabulary_->special();
  return vocabulary_->family() == Family::kWordPiece ? special.sep : special.eos;
}
bool Tokenizer::strips_first_space() const {
  return vocabulary_->flags().add_space_prefix || vocabulary_->family() == Family::kWordPiece;
}
std::string_view Tokenizer::model() const { return vocabulary_->model(); }
std::string_view Tokenizer::pre() const { return vocabulary_->pre(); }

}  // namespace weir::text
