// Splitting text into words before byte-pair merging, as `tokenizer.ggml.pre` names it.
//
// A pre-tokenizer is a list of rules. Each rule goes over every fragment that the rules before it
// left and cuts out its matches, leftmost first; matches and what lies between them are the new
// fragments. Rules are hand-written scanners for the regular expressions in the tokenizer.json of
// the models (as they stand in llama.cpp, src/llama-vocab.cpp, by name): a backtracking engine is
// quadratic on hostile text, these are linear. pretokenizer_test.cc compares each with its
// expression under PCRE2.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/chars.h"

namespace weir::text {

struct CodepointRange {
  uint32_t first, last;
};

enum class RuleKind : uint8_t {
  kGpt2,         // 's|'t|'re|'ve|'m|'ll|'d| ?L+| ?N+| ?[^\sLN]+|\s+(?!\S)|\s+
  kWords,        // contractions|[^\r\nLN]?L+|N{1,max}| ?[^\sLN]+ tail|\s*[\r\n]+|\s+(?!\S)|\s+
  kCasedWords,   // as kWords, but words end before a capital; contractions belong to the word
  kDeepseekV3,   // [ascii punct][A-Za-z]+|[^\r\nLPS]?[LM]+| ?[PS]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
  kRun,          // \s?[set]+ or [set]+
  kNumbers,      // N{1,max}
  kAsciiTriple,  // [0-9][0-9][0-9]
  kNewline,      // [\r\n]
  kTrailingSpace,  // \s+$
  kBloom,          // ` ?[^(\s|.,!?…。，、।۔،)]+`
};

enum class Tail : uint8_t { kNone, kNewlines, kNewlinesAndSlashes };

struct Rule {
  RuleKind kind = RuleKind::kGpt2;
  uint16_t letters = kLetter;                   // what counts as a letter (kWords)
  uint16_t classes = 0;                         // kRun: classes in the set
  uint32_t max_digits = 1;                      // kWords, kCasedWords, kNumbers; 0: no bound
  bool contractions = true;                     // kWords, kCasedWords
  bool leading_space = false;                   // kRun
  Tail tail = Tail::kNewlines;                  // kWords, kCasedWords: what may follow punctuation
  std::span<const CodepointRange> ranges = {};  // kRun: codepoints in the set, ascending
};

struct PreTokenizer {
  std::string_view name;
  std::span<const Rule> rules;
  bool ignores_merges = false;  // ignore_merges of tokenizer.json
  bool adds_bos = false;        // where the metadata does not say
};

// nullptr for an unknown name. The result lives forever.
const PreTokenizer* find_pre_tokenizer(std::string_view name);
// All names, in order, with ", " between them.
std::string known_pre_tokenizers();

// Ends of the words of `chars`, as indices into it, ascending; the last is chars.size(). `scratch`
// and `ends` are overwritten. Linear in chars.size().
void split_words(const PreTokenizer& pre, const Chars& chars, std::vector<uint32_t>& scratch,
                 std::vector<uint32_t>& ends);

}  // namespace weir::text
