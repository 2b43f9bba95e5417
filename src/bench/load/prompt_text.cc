#include "bench/load/prompt_text.h"

#include <algorithm>
#include <array>

#include "base/rng.h"
#include "bench/load/streams.h"

namespace weir::bench {
namespace {

constexpr std::array<std::string_view, 128> kWords = {
    "the",     "of",     "and",   "to",    "in",    "is",     "that",    "it",      "was",
    "for",     "on",     "are",   "as",    "with",  "his",    "they",    "at",      "be",
    "this",    "have",   "from",  "or",    "by",    "one",    "had",     "not",     "but",
    "what",    "all",    "were",  "when",  "there", "can",    "an",      "your",    "which",
    "their",   "said",   "if",    "do",    "will",  "each",   "about",   "how",     "up",
    "out",     "them",   "then",  "she",   "many",  "some",   "so",      "these",   "would",
    "other",   "into",   "has",   "more",  "her",   "two",    "like",    "him",     "see",
    "time",    "could",  "no",    "make",  "than",  "first",  "been",    "its",     "who",
    "now",     "people", "my",    "made",  "over",  "did",    "down",    "only",    "way",
    "find",    "use",    "may",   "water", "long",  "little", "very",    "after",   "words",
    "called",  "just",   "where", "most",  "know",  "get",    "through", "back",    "much",
    "before",  "go",     "good",  "new",   "write", "our",    "used",    "me",      "man",
    "too",     "any",    "day",   "same",  "right", "look",   "think",   "also",    "around",
    "another", "came",   "come",  "work",  "three", "word",   "must",    "because", "does",
    "part",    "even"};

}  // namespace

std::span<const std::string_view> default_words() { return kWords; }

std::string prompt_text(const PromptWords& words, uint64_t seed, std::span<const Piece> pieces) {
  int64_t left = -words.overhead_tokens;
  for (const Piece& p : pieces) left += p.tokens;
  left = std::max<int64_t>(left, 1);
  std::string out;
  out.reserve(static_cast<size_t>(left) * 6);
  for (const Piece& p : pieces) {
    const int64_t n = std::min<int64_t>(left, p.tokens);
    uint64_t bits = 0;
    for (int64_t i = 0; i < n; ++i) {
      // Four words a draw, 16 bits each; the bias towards some words is below words/65,536.
      if (i % 4 == 0)
        bits = random_u64(seed, stream_of(Draw::kText, p.id), static_cast<uint64_t>(i / 4));
      const size_t word = (bits & 0xFFFF) * words.words.size() >> 16;
      bits >>= 16;
      if (!out.empty()) out += ' ';
      out += words.words[word];
    }
    left -= n;
  }
  return out;
}

}  // namespace weir::bench
