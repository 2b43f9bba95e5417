#include "text/pretokenizer.h"

#include <algorithm>

namespace weir::text {
namespace {

// One fragment under one rule. Every match function returns the end of the match that starts at i,
// or i when there is none; i < end, and nothing beyond end is looked at (a fragment is a text of
// its own). Cost: a failing match is O(1), or is paid for by the match that follows (argued where
// it is not plain).
class Scanner {
 public:
  Scanner(const Rule& rule, const Chars& chars, size_t begin, size_t end)
      : rule_(rule), c_(chars), end_(end) {
    if (rule.kind == RuleKind::kTrailingSpace) {
      trailing_ = end;
      while (trailing_ > begin && c_.is(trailing_ - 1, kSpace)) --trailing_;
    }
  }

  size_t match(size_t i) const {
    switch (rule_.kind) {
      case RuleKind::kGpt2:
        return gpt2(i);
      case RuleKind::kWords:
        return words(i);
      case RuleKind::kCasedWords:
        return cased_words(i);
      case RuleKind::kDeepseekV3:
        return deepseek_v3(i);
      case RuleKind::kRun:
        return run(i);
      case RuleKind::kNumbers:
        return numbers(i);
      case RuleKind::kAsciiTriple:
        return i + 3 <= end_ && ascii_digit(i) && ascii_digit(i + 1) && ascii_digit(i + 2) ? i + 3
                                                                                           : i;
      case RuleKind::kNewline:
        return c_.is(i, kNewline) ? i + 1 : i;
      case RuleKind::kTrailingSpace:
        return i >= trailing_ ? end_ : i;
      case RuleKind::kBloom:
        return bloom(i);
    }
    return i;
  }

 private:
  uint32_t at(size_t i) const { return i < end_ ? c_.codepoint[i] : 0; }
  bool is(size_t i, uint16_t set) const { return i < end_ && c_.is(i, set); }
  bool ascii_digit(size_t i) const { return at(i) >= '0' && at(i) <= '9'; }

  // 's 't 're 've 'm 'll 'd at i, in either case when any_case.
  size_t contraction(size_t i, bool any_case) const {
    if (at(i) != '\'') return i;
    const auto letter = [&](size_t k) {
      const uint32_t c = at(k);
      return any_case && c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
    };
    const uint32_t a = letter(i + 1);
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return i + 2;
    const uint32_t b = letter(i + 2);
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return i + 3;
    return i;
  }

  size_t numbers(size_t i) const {
    const size_t bound =
        rule_.max_digits == 0 ? end_ : std::min<size_t>(end_, i + rule_.max_digits);
    return c_.skip(i, bound, kNumber);
  }

  // A run of everything but the classes in `set`.
  size_t skip_not(size_t i, uint16_t set) const {
    while (i < end_ && !c_.is(i, set)) ++i;
    return i;
  }

  // \s*[\r\n]+ when `newlines`, then \s+(?!\S)|\s+ . A run of n spaces is cut after its last
  // newline, or before its last space; what is left over is shorter than 2 or holds no newline, so
  // a run is walked at most three times.
  size_t spaces(size_t i, bool newlines) const {
    size_t j = i;
    size_t last_newline = end_;
    for (; is(j, kSpace); ++j) {
      if (c_.is(j, kNewline)) last_newline = j;
    }
    if (newlines && last_newline != end_) return last_newline + 1;
    if (j == i || j == end_ || j == i + 1) return j;
    return j - 1;
  }

  size_t tail(size_t i) const {
    if (rule_.tail == Tail::kNone) return i;
    const bool slashes = rule_.tail == Tail::kNewlinesAndSlashes;
    while (is(i, kNewline) || (slashes && at(i) == '/')) ++i;
    return i;
  }

  size_t gpt2(size_t i) const {
    if (const size_t j = contraction(i, false); j > i) return j;
    const size_t k = at(i) == ' ' && i + 1 < end_ ? i + 1 : i;
    if (c_.is(k, kLetter)) return c_.skip(k, end_, kLetter);
    if (c_.is(k, kNumber)) return c_.skip(k, end_, kNumber);
    if (!c_.is(k, kSpace)) return skip_not(k, kSpace | kLetter | kNumber);
    return spaces(i, false);
  }

  // N{1,max}| ?[^\sLN]+ tail|\s*[\r\n]+|\s+(?!\S)|\s+
  size_t after_letters(size_t i, uint16_t letters) const {
    if (c_.is(i, kNumber)) return numbers(i);
    const size_t k = at(i) == ' ' && i + 1 < end_ ? i + 1 : i;
    if (!c_.is(k, kSpace | letters | kNumber)) {
      return tail(skip_not(k, kSpace | letters | kNumber));
    }
    return spaces(i, true);
  }

  size_t words(size_t i) const {
    if (rule_.contractions) {
      if (const size_t j = contraction(i, true); j > i) return j;
    }
    if (!c_.is(i, kNewline | kLetter | kNumber) && is(i + 1, rule_.letters)) {
      return c_.skip(i + 1, end_, rule_.letters);
    }
    if (c_.is(i, rule_.letters)) return c_.skip(i, end_, rule_.letters);
    return after_letters(i, rule_.letters);
  }

  // Letters of either side of a case border; Lm, Lo and M count as both.
  bool upper_side(size_t i) const { return is(i, kLetter | kMark) && !c_.is(i, kLower); }
  bool lower_side(size_t i) const { return is(i, kLetter | kMark) && !c_.is(i, kUpper); }

  // U*W+ at i, or i. When the U-run is followed by no W, the engine gives back to the last
  // character that is both; the rest of the run then holds none, and is taken whole by U+W* next:
  // two walks.
  size_t upper_then_lower(size_t i) const {
    size_t j = i;
    size_t both = end_;
    for (; upper_side(j); ++j) {
      if (lower_side(j)) both = j;
    }
    if (lower_side(j)) {
      while (lower_side(j)) ++j;
      return j;
    }
    return both == end_ ? i : both + 1;
  }

  // U+W* at i, or i.
  size_t upper_maybe_lower(size_t i) const {
    size_t j = i;
    while (upper_side(j)) ++j;
    if (j == i) return i;
    while (lower_side(j)) ++j;
    return j;
  }

  size_t cased_words(size_t i) const {
    const bool prefix = !c_.is(i, kNewline | kLetter | kNumber);
    for (const bool lower : {true, false}) {
      for (const size_t start : {i + 1, i}) {
        if (start > i && !prefix) continue;
        const size_t j = lower ? upper_then_lower(start) : upper_maybe_lower(start);
        if (j > start) return rule_.contractions ? contraction(j, true) : j;
      }
    }
    return after_letters(i, kLetter);
  }

  bool ascii_letter(size_t i) const {
    const uint32_t c = at(i) | 0x20;
    return c >= 'a' && c <= 'z';
  }

  size_t deepseek_v3(size_t i) const {
    if (at(i) < 0x80 && c_.is(i, kPunct | kSymbol) && ascii_letter(i + 1)) {
      size_t j = i + 1;
      while (ascii_letter(j)) ++j;
      return j;
    }
    if (!c_.is(i, kNewline | kLetter | kPunct | kSymbol) && is(i + 1, kLetter | kMark)) {
      return c_.skip(i + 1, end_, kLetter | kMark);
    }
    if (c_.is(i, kLetter | kMark)) return c_.skip(i, end_, kLetter | kMark);
    const size_t k = at(i) == ' ' && is(i + 1, kPunct | kSymbol) ? i + 1 : i;
    if (c_.is(k, kPunct | kSymbol)) return tail(c_.skip(k, end_, kPunct | kSymbol));
    return spaces(i, true);
  }

  bool in_set(size_t i) const {
    if (i >= end_) return false;
    if (c_.is(i, rule_.classes)) return true;
    const uint32_t c = c_.codepoint[i];
    const auto* r =
        std::upper_bound(rule_.ranges.data(), rule_.ranges.data() + rule_.ranges.size(), c,
                         [](uint32_t x, const CodepointRange& y) { return x <= y.last; });
    return r != rule_.ranges.data() + rule_.ranges.size() && c >= r->first;
  }

  size_t run(size_t i) const {
    size_t j = i;
    if (rule_.leading_space && c_.is(i, kSpace) && in_set(i + 1)) ++j;
    if (!in_set(j)) return i;
    while (in_set(j)) ++j;
    return j;
  }

  bool bloom_char(size_t i) const {
    if (i >= end_ || c_.is(i, kSpace)) return false;
    static constexpr char32_t kStops[] = U"(|.,!?…。，、।۔،)";
    const char32_t* stop = std::find(std::begin(kStops), std::end(kStops) - 1, c_.codepoint[i]);
    return stop == std::end(kStops) - 1;
  }

  size_t bloom(size_t i) const {
    size_t j = at(i) == ' ' && bloom_char(i + 1) ? i + 1 : i;
    if (!bloom_char(j)) return i;
    while (bloom_char(j)) ++j;
    return j;
  }

  const Rule& rule_;
  const Chars& c_;
  size_t end_;
  size_t trailing_ = 0;  // kTrailingSpace: start of the spaces at the end
};

void apply(const Rule& rule, const Chars& chars, size_t begin, size_t end,
           std::vector<uint32_t>& out) {
  const Scanner scanner(rule, chars, begin, end);
  size_t gap = begin;
  for (size_t i = begin; i < end;) {
    const size_t j = scanner.match(i);
    if (j == i) {
      ++i;
      continue;
    }
    if (gap < i) out.push_back(static_cast<uint32_t>(i));
    out.push_back(static_cast<uint32_t>(j));
    gap = i = j;
  }
  if (gap < end) out.push_back(static_cast<uint32_t>(end));
}

}  // namespace

void split_words(const PreTokenizer& pre, const Chars& chars, std::vector<uint32_t>& scratch,
                 std::vector<uint32_t>& ends) {
  ends.clear();
  if (chars.size() == 0) return;
  ends.push_back(static_cast<uint32_t>(chars.size()));
  for (const Rule& rule : pre.rules) {
    scratch.clear();
    size_t begin = 0;
    for (const uint32_t end : ends) {
      apply(rule, chars, begin, end, scratch);
      begin = end;
    }
    ends.swap(scratch);
  }
}

}  // namespace weir::text
