#include "text/spm.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "text/merge.h"
#include "text/utf8.h"

namespace weir::text {
namespace {

// The first place after `at` where a "▁" follows something else, or the end.
size_t next_word(std::string_view text, size_t at) {
  while (text.substr(at, kSpaceMark.size()) == kSpaceMark) at += kSpaceMark.size();
  return std::min(text.find(kSpaceMark, at), text.size());
}

}  // namespace

SpmTokenizer::SpmTokenizer(std::unique_ptr<const Vocabulary> vocab) : Tokenizer(std::move(vocab)) {
  const Vocabulary& v = vocabulary();
  const auto count = static_cast<size_t>(v.size());
  tokens_ = PieceMap(count);
  byte_token_.fill(-1);
  std::vector<int32_t> by_score(count);
  std::iota(by_score.begin(), by_score.end(), 0);
  std::sort(by_score.begin(), by_score.end(),
            [&](int32_t a, int32_t b) { return v.score(a) > v.score(b); });
  priority_.resize(count);
  uint32_t rank = 0;
  for (size_t i = 0; i < count; ++i) {
    if (i > 0 && v.score(by_score[i]) < v.score(by_score[i - 1])) ++rank;
    priority_[static_cast<size_t>(by_score[i])] = rank;
  }
  for (int32_t id = 0; id < v.size(); ++id) {
    if (v.is_text(id)) {
      tokens_.insert(v.piece(id), id, [&v](int32_t i) { return v.piece(i); });
      if (next_word(v.piece(id), 0) != v.piece(id).size()) words_apart_ = false;
    }
    if (v.kind(id) == TokenKind::kByte) byte_token_[static_cast<uint8_t>(v.bytes(id)[0])] = id;
  }
}

Result<std::unique_ptr<Tokenizer>> SpmTokenizer::create(
    std::unique_ptr<const Vocabulary> vocabulary) {
  return std::unique_ptr<Tokenizer>(new SpmTokenizer(std::move(vocabulary)));
}

int32_t SpmTokenizer::find_token(std::string_view piece) const {
  return tokens_.find(piece, [this](int32_t id) { return vocabulary().piece(id); });
}

void SpmTokenizer::encode_text(std::string_view text, bool after_special,
                               std::vector<int32_t>& out) const {
  std::string marked;
  marked.reserve(text.size() + text.size() / 4 + kSpaceMark.size());
  if (after_special && vocabulary().flags().add_space_prefix) marked += kSpaceMark;
  for (const char c : text) {
    if (c == ' ') {
      marked += kSpaceMark;
    } else {
      marked.push_back(c);
    }
  }
  Merger merger;
  const std::string_view all = marked;
  for (size_t at = 0; at < all.size();) {
    const size_t end = words_apart_ ? next_word(all, at) : all.size();
    encode_stretch(all.substr(at, end - at), merger, out);
    at = end;
  }
}

void SpmTokenizer::encode_stretch(std::string_view all, Merger& merger,
                                  std::vector<int32_t>& out) const {
  auto& symbols = merger.symbols();
  symbols.clear();
  for (size_t at = 0; at < all.size();) {
    const size_t length = decode_utf8(all, at).length;
    symbols.push_back({find_token(all.substr(at, length)), static_cast<uint32_t>(at),
                       static_cast<uint32_t>(at + length)});
    at += length;
  }
  merger.merge([&](const Merger::Symbol& left, const Merger::Symbol& right) -> Merge {
    const int32_t id = find_token(all.substr(left.begin, right.end - left.begin));
    if (id < 0) return {};
    return {priority_[static_cast<size_t>(id)], id};
  });
  for (const Merger::Symbol& s : symbols) {
    if (s.symbol >= 0) {
      out.push_back(s.symbol);
      continue;
    }
    for (uint32_t i = s.begin; i < s.end; ++i) {
      const int32_t id = byte_token_[static_cast<uint8_t>(all[i])];
      if (id >= 0) {
        out.push_back(id);
      } else if (const auto unknown = unk()) {
        out.push_back(*unknown);
        break;
      }
    }
  }
}

}  // namespace weir::text
