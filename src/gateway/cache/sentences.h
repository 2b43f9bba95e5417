// Sentences of a text and how well each answers a question. Pure; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace weir::gateway {

struct Sentence {
  size_t begin = 0;  // bytes; the spaces behind it are in no sentence
  size_t end = 0;
  bool starts_paragraph = false;
};

// Ends: a line's end; '.', '!' or '?' before a space; their CJK forms. Every byte that is no space
// is in one sentence, in order.
std::vector<Sentence> split_sentences(std::string_view text);

// Words in lower case: runs of ASCII letters and digits, runs of other letters, single CJK
// characters.
std::vector<std::string> words_of(std::string_view text);

// BM25 of each sentence for the words of `query` (k1 = 1.2, b = 0.75; Robertson and Zaragoza,
// 2009), the sentences being the collection. In [0, 1]: divided by the best, all 0 when none
// matches.
std::vector<double> bm25_scores(const std::vector<std::string_view>& sentences,
                                std::string_view query);

}  // namespace weir::gateway
