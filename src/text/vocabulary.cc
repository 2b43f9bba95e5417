#include "text/vocabulary.h"

#include <algorithm>
#include <array>
#include <utility>

#include "text/pretokenizer.h"
#include "text/token_trie.h"
#include "text/utf8.h"

namespace weir::text {
namespace {

constexpr std::string_view kModelKey = "tokenizer.ggml.model";
constexpr std::string_view kPreKey = "tokenizer.ggml.pre";
constexpr std::string_view kTokensKey = "tokenizer.ggml.tokens";
constexpr std::string_view kScoresKey = "tokenizer.ggml.scores";
constexpr std::string_view kTypesKey = "tokenizer.ggml.token_type";

constexpr std::array<std::pair<std::string_view, Family>, 3> kModels = {{
    {"gpt2", Family::kBpe},
    {"llama", Family::kSpm},
    {"bert", Family::kWordPiece},
}};

// The codepoint-to-byte table of GPT-2: printable Latin-1 stands for itself, the other 68 bytes, in
// ascending order, for U+0100 and on.
constexpr bool stands_for_itself(uint32_t c) {
  return (c >= 0x21 && c <= 0x7E) || (c >= 0xA1 && c <= 0xAC) || (c >= 0xAE && c <= 0xFF);
}

constexpr std::array<int16_t, 0x144> make_byte_table() {
  std::array<int16_t, 0x144> table{};
  uint32_t next = 0x100;
  for (uint32_t c = 0; c < 0x100; ++c) table[c] = -1;
  for (uint32_t byte = 0; byte < 0x100; ++byte) {
    table[stands_for_itself(byte) ? byte : next++] = static_cast<int16_t>(byte);
  }
  return table;
}

constexpr std::array<int16_t, 0x144> kByteOfCodepoint = make_byte_table();

void replace_space_marks(std::string_view piece, std::string& out) {
  while (!piece.empty()) {
    const size_t at = piece.find(kSpaceMark);
    out.append(piece.substr(0, at));
    if (at == std::string_view::npos) break;
    out.push_back(' ');
    piece.remove_prefix(at + kSpaceMark.size());
  }
}

// The byte of "<0x0A>", or -1.
int byte_of_piece(std::string_view piece) {
  if (piece.size() != 6 || piece.substr(0, 3) != "<0x" || piece[5] != '>') return -1;
  int value = 0;
  for (const char c : piece.substr(3, 2)) {
    int digit = 0;
    if (c >= '0' && c <= '9') {
      digit = c - '0';
    } else if (c >= 'A' && c <= 'F') {
      digit = c - 'A' + 10;
    } else if (c >= 'a' && c <= 'f') {
      digit = c - 'a' + 10;
    } else {
      return -1;
    }
    value = value * 16 + digit;
  }
  return value;
}

}  // namespace

bool decode_byte_level(std::string_view piece, std::string& out) {
  const size_t before = out.size();
  out.resize(before + piece.size());  // at most: a character spells one byte
  char* to = out.data() + before;
  bool good = true;
  for (size_t at = 0; at < piece.size() && good;) {
    // All of the alphabet has one or two bytes in UTF-8.
    uint32_t codepoint = static_cast<uint8_t>(piece[at++]);
    if (codepoint >= 0x80) {
      const uint32_t next = at < piece.size() ? static_cast<uint8_t>(piece[at++]) : 0;
      good = codepoint >= 0xC2 && codepoint <= 0xDF && (next & 0xC0) == 0x80;
      codepoint = (codepoint & 0x1F) << 6 | (next & 0x3F);
    }
    const int16_t byte =
        good && codepoint < kByteOfCodepoint.size() ? kByteOfCodepoint[codepoint] : int16_t{-1};
    good = byte >= 0;
    *to++ = static_cast<char>(byte);
  }
  out.resize(good ? static_cast<size_t>(to - out.data()) : before);
  return good;
}

std::optional<int32_t> Vocabulary::find(std::string_view piece) const {
  const int32_t id = map_.find(piece, [this](int32_t i) { return this->piece(i); });
  if (id == PieceMap::kNone) return std::nullopt;
  return id;
}

Result<std::unique_ptr<const Vocabulary>> Vocabulary::read(const gguf::File& file) {
  std::unique_ptr<Vocabulary> v(new Vocabulary());
  WEIR_TRY(v->read_model(file));
  WEIR_TRY(v->read_tokens(file));
  WEIR_TRY(v->read_scores_and_kinds(file));
  WEIR_TRY(v->read_special_ids(file));
  WEIR_TRY(v->read_flags(file));
  v->find_end_tokens();
  WEIR_TRY(v->check_special_tokens());
  WEIR_TRY(v->read_strip_rules(file));
  v->fill_bytes();
  return std::unique_ptr<const Vocabulary>(std::move(v));
}

Status Vocabulary::read_model(const gguf::File& file) {
  WEIR_ASSIGN(const std::string_view model, file.get_string(kModelKey));
  model_ = model;
  const auto* known =
      std::find_if(kModels.begin(), kModels.end(), [&](const auto& m) { return m.first == model; });
  if (known == kModels.end()) {
    std::string names;
    for (const auto& m : kModels) names += (names.empty() ? "" : ", ") + std::string(m.first);
    return make_error(ErrorCode::kUnsupported, "{}: unknown tokenizer model '{}'; known: {}",
                      kModelKey, replace_invalid_utf8(model), names);
  }
  family_ = known->second;
  WEIR_ASSIGN(const std::string_view pre, file.string_or(kPreKey, ""));
  pre_ = pre;
  if (family_ != Family::kBpe) return {};
  if (pre.empty()) {
    return make_error(
        ErrorCode::kUnsupported,
        "{} is missing: without it the text cannot be split as the model was trained. "
        "Convert the model again with a current converter, or set the key to one of: {}",
        kPreKey, known_pre_tokenizers());
  }
  if (find_pre_tokenizer(pre) == nullptr) {
    return make_error(ErrorCode::kUnsupported, "{}: unknown pre-tokenizer '{}'; known: {}", kPreKey,
                      replace_invalid_utf8(pre), known_pre_tokenizers());
  }
  return {};
}

Status Vocabulary::read_tokens(const gguf::File& file) {
  WEIR_ASSIGN(const std::vector<std::string_view> tokens, file.get_strings(kTokensKey));
  if (tokens.empty()) return make_error(ErrorCode::kCorrupt, "{} is empty", kTokensKey);
  size_t bytes = 0;
  for (const std::string_view token : tokens) bytes += token.size();
  pieces_.reserve(tokens.size(), bytes);
  map_ = PieceMap(tokens.size());
  const auto text_of = [this](int32_t id) { return piece(id); };
  for (size_t id = 0; id < tokens.size(); ++id) {
    if (tokens[id].empty()) {  // converters leave holes empty; a name keeps them apart
      pieces_.push_back(fmt::format("[EMPTY_{}]", id));
    } else {
      pieces_.push_back(tokens[id]);
    }
    const std::string_view name = pieces_[id];
    if (!map_.insert(name, static_cast<int32_t>(id), text_of)) {
      return make_error(ErrorCode::kCorrupt, "{}: tokens {} and {} are both '{}'", kTokensKey,
                        map_.find(name, text_of), id, replace_invalid_utf8(name));
    }
  }
  return {};
}

Status Vocabulary::read_scores_and_kinds(const gguf::File& file) {
  const size_t count = pieces_.size();
  const auto wrong_length = [&](std::string_view key, size_t length) {
    return make_error(ErrorCode::kCorrupt, "{} has {} elements, but {} has {}", key, length,
                      kTokensKey, count);
  };
  scores_.assign(count, 0.0f);
  if (file.find(kScoresKey) != nullptr) {
    WEIR_ASSIGN(scores_, file.get_floats(kScoresKey));
    if (scores_.size() != count) return wrong_length(kScoresKey, scores_.size());
  } else if (family_ == Family::kSpm) {
    return make_error(ErrorCode::kCorrupt, "{} is missing, and {} '{}' cannot do without",
                      kScoresKey, kModelKey, model_);
  }
  for (size_t id = 0; id < count; ++id) {
    if (scores_[id] != scores_[id]) {
      return make_error(ErrorCode::kCorrupt, "{}[{}] is not a number", kScoresKey, id);
    }
  }
  kinds_.assign(count, TokenKind::kNormal);
  if (file.find(kTypesKey) == nullptr) return {};
  WEIR_ASSIGN(const std::vector<int64_t> kinds, file.get_ints(kTypesKey));
  if (kinds.size() != count) return wrong_length(kTypesKey, kinds.size());
  for (size_t id = 0; id < count; ++id) {
    if (kinds[id] < 0 || kinds[id] > 6) {
      return make_error(ErrorCode::kCorrupt, "{}[{}] is {}; token types are 0 to 6", kTypesKey, id,
                        kinds[id]);
    }
    kinds_[id] = static_cast<TokenKind>(kinds[id]);
    if (kinds_[id] == TokenKind::kByte && byte_of_piece(pieces_[id]) < 0) {
      return make_error(ErrorCode::kCorrupt,
                        "{}[{}]: a byte token must be spelled <0x00> to <0xFF>, not '{}'",
                        kTokensKey, id, replace_invalid_utf8(pieces_[id]));
    }
  }
  return {};
}

void Vocabulary::fill_bytes() {
  const size_t count = pieces_.size();
  bytes_.reserve(count, 0);
  std::string& out = bytes_.open();
  for (size_t id = 0; id < count; ++id, bytes_.finish()) {
    const std::string_view piece = pieces_[id];
    switch (kinds_[id]) {
      case TokenKind::kControl:
      case TokenKind::kUnknown:
      case TokenKind::kUnused:
        break;
      case TokenKind::kUserDefined:
        out += piece;
        break;
      case TokenKind::kByte:
        out.push_back(static_cast<char>(byte_of_piece(piece)));
        break;
      case TokenKind::kUndefined:
      case TokenKind::kNormal:
        if (family_ != Family::kBpe) {
          replace_space_marks(piece, out);
        } else if (!decode_byte_level(piece, out)) {
          out += piece;
        }
        break;
    }
  }
}

}  // namespace weir::text
