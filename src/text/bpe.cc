#include "text/bpe.h"

#include <utility>

#include "text/utf8.h"

namespace weir::text {
namespace {

constexpr std::string_view kMergesKey = "tokenizer.ggml.merges";

uint64_t pair_key(int32_t left, int32_t right) {
  return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
}

// The finalizer of splitmix64 (Steele, Lea, Flood 2014): every bit of the pair reaches every bit.
size_t hash_pair(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return static_cast<size_t>(x ^ (x >> 31));
}

}  // namespace

BpeTokenizer::BpeTokenizer(std::unique_ptr<const Vocabulary> vocab)
    : Tokenizer(std::move(vocab)), pre_(find_pre_tokenizer(vocabulary().pre())), byte_symbol_{} {}

Result<std::unique_ptr<Tokenizer>> BpeTokenizer::create(
    const gguf::File& file, std::unique_ptr<const Vocabulary> vocabulary) {
  std::unique_ptr<BpeTokenizer> t(new BpeTokenizer(std::move(vocabulary)));
  const Vocabulary& v = t->vocabulary();
  t->symbols_ = PieceMap(static_cast<size_t>(v.size()));
  const auto text_of = [&t](int32_t symbol) { return t->symbol_bytes(symbol); };
  std::string scratch;
  for (int32_t id = 0; id < v.size(); ++id) {
    scratch.clear();
    if (!v.is_text(id) || v.bytes(id).empty() || !decode_byte_level(v.piece(id), scratch)) continue;
    // Of two spellings of the same bytes the first counts.
    t->symbols_.insert(v.bytes(id), id, text_of);
  }
  WEIR_TRY(t->read_merges(file));
  for (size_t byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    t->byte_symbol_[byte] = t->find_symbol(std::string_view(&c, 1));
  }
  return std::unique_ptr<Tokenizer>(std::move(t));
}

std::string_view BpeTokenizer::symbol_bytes(int32_t symbol) const {
  const int32_t tokens = vocab_size();
  return symbol < tokens ? vocabulary().bytes(symbol)
                         : extra_[static_cast<size_t>(symbol - tokens)];
}

int32_t BpeTokenizer::find_symbol(std::string_view bytes) const {
  return symbols_.find(bytes, [this](int32_t symbol) { return symbol_bytes(symbol); });
}

int32_t BpeTokenizer::intern(std::string_view bytes) {
  const int32_t known = find_symbol(bytes);
  if (known != PieceMap::kNone) return known;
  const auto symbol = vocab_size() + static_cast<int32_t>(extra_.size());
  extra_.push_back(bytes);
  symbols_.insert(bytes, symbol, [this](int32_t s) { return symbol_bytes(s); });
  return symbol;
}

void BpeTokenizer::add_merge(int32_t left, int32_t right, Merge merge) {
  const uint64_t key = pair_key(left, right);
  size_t slot = hash_pair(key) & (merges_.size() - 1);
  for (; merges_[slot].pair != kEmptyPair; slot = (slot + 1) & (merges_.size() - 1)) {
    if (merges_[slot].pair == key) return;  // listed twice: the first rank counts
  }
  merges_[slot] = {key, merge};
}

Merge BpeTokenizer::find_merge(int32_t left, int32_t right) const {
  if (left < 0 || right < 0) return {};
  const uint64_t key = pair_key(left, right);
  for (size_t slot = hash_pair(key) & (merges_.size() - 1);;
       slot = (slot + 1) & (merges_.size() - 1)) {
    if (merges_[slot].pair == key) return merges_[slot].merge;
    if (merges_[slot].pair == kEmptyPair) return {};
  }
}

Status BpeTokenizer::read_merges(const gguf::File& file) {
  WEIR_ASSIGN(const std::vector<std::string_view> merges, file.get_strings(kMergesKey));
  size_t slots = 16;
  while (slots < 2 * merges.size()) slots *= 2;
  merges_.assign(slots, Slot{});
  std::string both;  // the bytes of a merge
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const std::string_view text = merges[rank];
    const size_t space = text.find(' ', 1);
    both.clear();
    size_t left_bytes = 0;
    bool good = !text.empty() && space != std::string_view::npos && space + 1 < text.size() &&
                decode_byte_level(text.substr(0, space), both);
    if (good) {
      left_bytes = both.size();
      good = decode_byte_level(text.substr(space + 1), both);
    }
    if (!good) {
      return make_error(
          ErrorCode::kCorrupt,
          "{}[{}] is '{}'; a merge is two pieces of byte-level text with one space between",
          kMergesKey, rank, replace_invalid_utf8(text.substr(0, 80)));
    }
    const std::string_view merged = both;
    const int32_t symbol = intern(merged);
    const int32_t left = intern(merged.substr(0, left_bytes));
    const int32_t right = intern(merged.substr(left_bytes));
    add_merge(left, right, {static_cast<uint32_t>(rank), symbol});
  }
  return {};
}

void BpeTokenizer::append(int32_t symbol, std::string_view bytes, std::vector<int32_t>& out) const {
  if (symbol >= 0 && symbol < vocab_size()) {
    out.push_back(symbol);
    return;
  }
  for (const char c : bytes) {  // a merge into something that is no token
    const int32_t id = byte_symbol_[static_cast<uint8_t>(c)];
    if (id >= 0 && id < vocab_size()) {
      out.push_back(id);
    } else if (const auto unknown = unk();
               unknown && vocabulary().kind(*unknown) == TokenKind::kUnknown) {
      out.push_back(*unknown);  // never one of type control: in SmolLM2 that is <|endoftext|>
    }
  }
}

void BpeTokenizer::encode_word(std::string_view word, Merger& merger,
                               std::vector<int32_t>& out) const {
  if (pre_->ignores_merges) {
    const int32_t id = find_symbol(word);
    if (id >= 0 && id < vocab_size()) {
      out.push_back(id);
      return;
    }
  }
  auto& symbols = merger.symbols();
  symbols.clear();
  for (uint32_t i = 0; i < word.size(); ++i) {
    symbols.push_back({byte_symbol_[static_cast<uint8_t>(word[i])], i, i + 1});
  }
  merger.merge([this](const Merger::Symbol& left, const Merger::Symbol& right) {
    return find_merge(left.symbol, right.symbol);
  });
  for (const Merger::Symbol& s : symbols)
    append(s.symbol, word.substr(s.begin, s.end - s.begin), out);
}

void BpeTokenizer::encode_text(std::string_view text, bool /*after_special*/,
                               std::vector<int32_t>& out) const {
  Chars chars;
  chars.assign(text);
  std::vector<uint32_t> scratch, ends;
  split_words(*pre_, chars, scratch, ends);
  Merger merger;
  uint32_t begin = 0;
  for (const uint32_t end : ends) {
    const uint32_t from = chars.offset[begin];
    encode_word(text.substr(from, chars.offset[end] - from), merger, out);
    begin = end;
  }
}

}  // namespace weir::text
