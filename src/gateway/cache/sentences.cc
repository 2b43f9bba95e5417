#include "gateway/cache/sentences.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <unordered_map>

#include "text/utf8.h"

namespace weir::gateway {
namespace {

constexpr double kSaturation = 1.2;  // k1
constexpr double kLength = 0.75;     // b
constexpr uint32_t kFirstCjk = 0x2E80;

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// Bytes of the mark at text[at] that ends a sentence; 0: none.
size_t end_mark(std::string_view text, size_t at) {
  const char c = text[at];
  if (c == '\n') return 1;
  if (c == '.' || c == '!' || c == '?')
    return at + 1 == text.size() || is_space(text[at + 1]) ? 1 : 0;
  for (const std::string_view mark : {"\u3002", "\uFF01", "\uFF1F"}) {
    if (text.substr(at).starts_with(mark)) return mark.size();
  }
  return 0;
}

}  // namespace

std::vector<Sentence> split_sentences(std::string_view text) {
  std::vector<Sentence> out;
  size_t line_ends = 2;  // since the last sentence: two make a paragraph
  for (size_t at = 0; at < text.size();) {
    if (is_space(text[at])) {
      if (text[at] == '\n') ++line_ends;
      ++at;
      continue;
    }
    Sentence s{at, at, line_ends >= 2};
    size_t mark = 0;
    while (at < text.size() && (mark = end_mark(text, at)) == 0) ++at;
    line_ends = at < text.size() && text[at] == '\n' ? 1 : 0;
    at += mark;
    s.end = at;
    while (s.end > s.begin && is_space(text[s.end - 1])) --s.end;
    out.push_back(s);
  }
  return out;
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> out;
  std::string word;
  const auto flush = [&] {
    if (!word.empty()) out.push_back(std::move(word));
    word.clear();
  };
  for (size_t at = 0; at < text.size();) {
    const text::Utf8Char c = text::decode_utf8(text, at);
    const std::string_view bytes = text.substr(at, c.length);
    at += c.length;
    if (c.codepoint < 0x80) {
      const char ascii = static_cast<char>(c.codepoint);
      const bool upper = ascii >= 'A' && ascii <= 'Z';
      if (upper || (ascii >= 'a' && ascii <= 'z') || (ascii >= '0' && ascii <= '9')) {
        word += upper ? static_cast<char>(ascii - 'A' + 'a') : ascii;
      } else {
        flush();
      }
    } else if (c.codepoint >= kFirstCjk) {
      flush();
      out.emplace_back(bytes);
    } else {
      word += bytes;
    }
  }
  flush();
  return out;
}

std::vector<double> bm25_scores(const std::vector<std::string_view>& sentences,
                                std::string_view query) {
  const std::vector<std::string> asked = words_of(query);
  const std::set<std::string> terms(asked.begin(), asked.end());
  std::vector<std::map<std::string_view, double>> counts(sentences.size());  // of terms alone
  std::vector<double> lengths(sentences.size());
  std::unordered_map<std::string_view, double> holders;
  double total = 0;
  for (size_t i = 0; i < sentences.size(); ++i) {
    const std::vector<std::string> words = words_of(sentences[i]);
    lengths[i] = static_cast<double>(words.size());
    total += lengths[i];
    for (const std::string& word : words) {
      if (const auto term = terms.find(word); term != terms.end()) ++counts[i][*term];
    }
    for (const auto& [term, count] : counts[i]) ++holders[term];
  }
  const auto n = static_cast<double>(sentences.size());
  const double mean = std::max(total / std::max(n, 1.0), 1.0);
  std::vector<double> scores(sentences.size());
  for (size_t i = 0; i < sentences.size(); ++i) {
    for (const auto& [term, count] : counts[i]) {
      const double rarity = std::log(1 + (n - holders[term] + 0.5) / (holders[term] + 0.5));
      const double norm = kSaturation * (1 - kLength + kLength * lengths[i] / mean);
      scores[i] += rarity * count * (kSaturation + 1) / (count + norm);
    }
  }
  const double best = scores.empty() ? 0 : *std::max_element(scores.begin(), scores.end());
  if (best > 0) {
    for (double& score : scores) score /= best;
  }
  return scores;
}

}  // namespace weir::gateway
