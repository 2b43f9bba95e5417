#include "text/wordpiece.h"

#include <utf8proc.h>

#include <algorithm>
#include <utility>

#include "text/chars.h"
#include "text/utf8.h"

namespace weir::text {
namespace {

// Blocks of Han characters that the BERT tokenizer takes as words of their own.
bool is_han(uint32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
         (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B820 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

// What the normalizer takes out. Vertical tab, form feed and U+0085 are white space elsewhere.
bool is_control(uint32_t c) {
  if (c == '\t' || c == '\n' || c == '\r') return false;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
      return true;
    default:
      return false;
  }
}

// The canonical decomposition of c, or c itself; at most 4 codepoints, as the standard bounds it.
size_t decompose(uint32_t c, utf8proc_int32_t (&out)[8]) {
  int boundary = 0;
  const utf8proc_ssize_t n = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), out, 8,
                                                     UTF8PROC_DECOMPOSE, &boundary);
  if (n >= 1 && n <= 8) return static_cast<size_t>(n);
  out[0] = static_cast<utf8proc_int32_t>(c);
  return 1;
}

}  // namespace

WordPieceTokenizer::WordPieceTokenizer(std::unique_ptr<const Vocabulary> vocab)
    : Tokenizer(std::move(vocab)) {
  const Vocabulary& v = vocabulary();
  const auto start = [&v](int32_t id) { return v.piece(id).substr(kSpaceMark.size()); };
  const auto whole = [&v](int32_t id) { return v.piece(id); };
  for (int32_t id = 0; id < v.size(); ++id) {
    if (!v.is_text(id)) continue;
    const std::string_view piece = v.piece(id);
    if (piece.size() > kSpaceMark.size() && piece.substr(0, kSpaceMark.size()) == kSpaceMark) {
      starts_.insert(piece.substr(kSpaceMark.size()), id, start);
    } else {
      continues_.insert(piece, id, whole);
    }
  }
}

Result<std::unique_ptr<Tokenizer>> WordPieceTokenizer::create(
    std::unique_ptr<const Vocabulary> vocabulary) {
  return std::unique_ptr<Tokenizer>(new WordPieceTokenizer(std::move(vocabulary)));
}

void WordPieceTokenizer::encode_word(const std::string& word, size_t chars,
                                     std::vector<int32_t>& out) const {
  const size_t before = out.size();
  const std::string_view all = word;
  size_t at = chars > kMaxWordChars ? all.size() : 0;
  bool known = at == 0;
  while (at < all.size()) {
    const PieceMap& pieces = at == 0 ? starts_ : continues_;
    const auto text_of = [&](int32_t i) {
      return vocabulary().piece(i).substr(at == 0 ? kSpaceMark.size() : 0);
    };
    size_t length = std::min(all.size() - at, pieces.longest());
    int32_t id = PieceMap::kNone;
    for (; length > 0; --length) {
      id = pieces.find(all.substr(at, length), text_of);
      if (id != PieceMap::kNone) break;
    }
    if (id == PieceMap::kNone) {
      known = false;
      break;
    }
    out.push_back(id);
    at += length;
  }
  if (known) return;
  out.resize(before);
  if (const auto unknown = unk()) out.push_back(*unknown);
}

void WordPieceTokenizer::encode_text(std::string_view text, bool /*after_special*/,
                                     std::vector<int32_t>& out) const {
  const TokenizerFlags& flags = vocabulary().flags();
  std::string word;
  size_t chars = 0;
  const auto finish = [&] {
    if (!word.empty()) encode_word(word, chars, out);
    word.clear();
    chars = 0;
  };
  // A word beyond the bound is unknown whatever follows: its characters need not be kept.
  const auto add = [&](uint32_t c) {
    if (++chars <= kMaxWordChars) append_utf8(word, c);
  };
  utf8proc_int32_t parts[8];
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = decode_utf8(text, at);
    at += c.length;
    if (c.codepoint == kReplacementCharacter || is_control(c.codepoint)) continue;
    if ((char_class(c.codepoint) & kSpace) != 0) {
      finish();
      continue;
    }
    const bool han = is_han(c.codepoint);
    if (han) finish();
    size_t count = 1;
    parts[0] = static_cast<utf8proc_int32_t>(c.codepoint);
    if (flags.strip_accents) count = decompose(c.codepoint, parts);
    for (size_t i = 0; i < count; ++i) {
      if (flags.strip_accents && utf8proc_category(parts[i]) == UTF8PROC_CATEGORY_MN) continue;
      const auto part =
          static_cast<uint32_t>(flags.lowercase ? utf8proc_tolower(parts[i]) : parts[i]);
      const uint16_t kind = char_class(part);
      if ((kind & kPunct) != 0 || (part < 0x80 && (kind & kSymbol) != 0)) {
        finish();
        add(part);
        finish();
      } else {
        add(part);
      }
    }
    if (han) finish();
  }
  finish();
}

}  // namespace weir::text
