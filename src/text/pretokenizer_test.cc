// Each rule list against its regular expressions, as tokenizer.json has them, under PCRE2.
#include "text/pretokenizer.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/rng.h"

namespace weir::text {
namespace {

const char kGpt2[] =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
const char kLlama3[] =
    R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const char kQwen2[] =
    R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const char kQwen35[] =
    R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const char kUfakzeka[] =
    R"([^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const char kSeedCoder[] =
    R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+)";
const char kBailing[] =
    R"('(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)";
const char kMinicpm5[] =
    R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
#define WEIR_CASED_UPPER R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])"
#define WEIR_CASED_LOWER R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])"
#define WEIR_CONTRACTIONS R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?)"
#define WEIR_CASED_END R"( ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"
const char kGpt4o[] = R"([^\r\n\p{L}\p{N}]?)" WEIR_CASED_UPPER "*" WEIR_CASED_LOWER
                      "+" WEIR_CONTRACTIONS R"(|[^\r\n\p{L}\p{N}]?)" WEIR_CASED_UPPER
                      "+" WEIR_CASED_LOWER "*" WEIR_CONTRACTIONS R"(|\p{N}{1,3}|)" WEIR_CASED_END;
const char kYoutu[] = R"([^\r\n\p{L}\p{N}]?)" WEIR_CASED_UPPER "*" WEIR_CASED_LOWER
                      "+" WEIR_CONTRACTIONS R"(|[^\r\n\p{L}\p{N}]?)" WEIR_CASED_UPPER
                      "+" WEIR_CASED_LOWER "*" WEIR_CONTRACTIONS R"(|\p{N}|)" WEIR_CASED_END;
const char kTekken[] =
    R"([^\r\n\p{L}\p{N}]?)" WEIR_CASED_UPPER "*" WEIR_CASED_LOWER
    R"(+|[^\r\n\p{L}\p{N}]?)" WEIR_CASED_UPPER "+" WEIR_CASED_LOWER R"(*|\p{N}|)" WEIR_CASED_END;
const char kDeepseekV3[] =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const char kHanKana[] = "[一-龥\\x{3040}-ゟ゠-ヿ]+";
const char kDeepseekCjk[] = "[一-龥\\x{800}-一가-\\x{D7FF}]+";
const char kDeepseekPunct[] = "\\s?[!-/:-~！-／：-～‘-‟\\x{3000}-。]+";
// The listed letters are the cased ones of Unicode 11; random_text has no later ones.
const char kCasedLetters[] = R"(\s?\p{L&}+)";
const char kBloom[] = R"( ?[^(\s|.,!?…。，、।۔،)]+)";

struct Case {
  const char* name;
  std::vector<const char*> expressions;
};

const Case kCases[] = {
    {"gpt-2", {kGpt2}},
    {"smollm", {R"(\p{N})", kGpt2}},
    {"llama-bpe", {kLlama3}},
    {"qwen2", {kQwen2}},
    {"qwen35", {kQwen35}},
    {"ufakzeka", {kUfakzeka}},
    {"seed-coder", {kSeedCoder}},
    {"bailingmoe", {kBailing}},
    {"minicpm5", {R"(\p{N}{1,3})", kMinicpm5}},
    {"laguna", {R"([^\n]+|[\n]+)", kQwen2}},
    {"gpt-4o", {kGpt4o}},
    {"tekken", {kTekken}},
    {"youtu",
     {"[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥\\x{"
      "3040}"
      "-"
      "ゟ゠-"
      "ヿ]"
      "+",
      kYoutu}},
    {"deepseek-v3", {R"(\p{N}{1,3})", kHanKana, kDeepseekV3}},
    {"deepseek-llm",
     {R"([\r\n])", kCasedLetters, kDeepseekPunct, R"(\s+$)", kDeepseekCjk, R"(\p{N}+)"}},
    {"deepseek-coder", {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", kDeepseekCjk, R"(\p{N})"}},
    {"falcon", {R"([\p{P}\$\+<=>\^~\|`]+)", kGpt2, R"([0-9][0-9][0-9])"}},
    {"default", {R"([\p{P}\$\+<=>\^~\|]+)", kGpt2, R"(\p{N}+)", R"([0-9][0-9][0-9])"}},
    {"bloom", {kBloom}},
    {"viking", {kBloom, R"(\p{N})"}},
};

class Regex {
 public:
  explicit Regex(const char* expression) {
    int error = 0;
    PCRE2_SIZE at = 0;
    code_ = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression), PCRE2_ZERO_TERMINATED,
                          PCRE2_UTF | PCRE2_UCP | PCRE2_DOLLAR_ENDONLY, &error, &at, nullptr);
    EXPECT_NE(code_, nullptr) << expression << " at " << at;
    data_ = pcre2_match_data_create_from_pattern(code_, nullptr);
  }
  Regex(const Regex&) = delete;
  Regex& operator=(const Regex&) = delete;
  ~Regex() {
    pcre2_match_data_free(data_);
    pcre2_code_free(code_);
  }

  // Matches and what is between them, in order.
  std::vector<std::string> split(const std::string& text) const {
    std::vector<std::string> out;
    size_t gap = 0;
    while (gap < text.size()) {
      const int rc = pcre2_match(code_, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), gap,
                                 0, data_, nullptr);
      if (rc < 0) break;
      const PCRE2_SIZE* span = pcre2_get_ovector_pointer(data_);
      if (span[0] > gap) out.push_back(text.substr(gap, span[0] - gap));
      out.push_back(text.substr(span[0], span[1] - span[0]));
      gap = span[1];
    }
    if (gap < text.size()) out.push_back(text.substr(gap));
    return out;
  }

 private:
  pcre2_code* code_ = nullptr;
  pcre2_match_data* data_ = nullptr;
};

std::vector<std::string> split_ours(const std::string& name, const std::string& text) {
  Chars chars;
  chars.assign(text);
  std::vector<uint32_t> scratch, ends;
  split_words(*find_pre_tokenizer(name), chars, scratch, ends);
  std::vector<std::string> out;
  uint32_t begin = 0;
  for (const uint32_t end : ends) {
    out.push_back(text.substr(chars.offset[begin], chars.offset[end] - chars.offset[begin]));
    begin = end;
  }
  return out;
}

// Text of a few kinds of characters at a time, so that runs and borders of all kinds come up.
std::string random_text(Rng& rng) {
  static const std::vector<std::vector<const char*>> kPools = {
      {"a", "b", "s", "t", "r", "e", "v", "l", "m", "d", "z"},
      {"A", "B", "S", "T", "R", "E", "V", "L", "M", "D", "Z"},
      {"'", "'s", "'T", "'re", "'LL", "'Ve", "'d"},
      {"0", "1", "9", "²", "½", "Ⅷ", "٣", "１"},
      {" ", " ", "\t", "\xC2\xA0", "\xE3\x80\x80", "\xE2\x80\xA8", "\x0B", "\xC2\x85"},
      {"\n", "\r", "\r\n", " "},
      {"!", "\"", "#", "$", "(", ")", "+", ",", "-", ".", "/", "<", "=", "?", "^", "_", "`", "|",
       "~"},
      {"é", "ß", "ж", "Д", "λ", "Ω", "ñ", "ǅ", "ʰ", "ƻ", "ª"},
      {"日", "本", "語", "한", "국", "ひ", "カ", "ㄅ", "ㄱ", "中", "ठ", "अ"},
      {"\xCC\x81", "\xCC\x80", "\xE0\xA4\xBF", "\xE0\xA5\x80", "\xE2\x83\x9D"},
      {"🙂", "👍", "\xE2\x80\x8D", "\xF0\x9F\x8F\xBD", "€", "±", "√"},
      {"。", "，", "、", "！", "—", "…", "‘", "”", "।", "«"},
      {"\x01", "\x7F", "\xE2\x80\x8B", "\xEF\xBB\xBF"},
  };
  const std::vector<const char*>* chosen[3];
  for (auto& pool : chosen) pool = &kPools[rng.below(kPools.size())];
  std::string text;
  for (uint64_t n = rng.below(14) + 1; n > 0; --n) {
    const auto& pool = *chosen[rng.below(3)];
    text += pool[rng.below(pool.size())];
  }
  return text;
}

TEST(PreTokenizer, SplitsAsItsExpressions) {
  size_t texts = 0;
  for (const Case& test : kCases) {
    std::vector<std::unique_ptr<Regex>> regexes;
    for (const char* e : test.expressions) regexes.push_back(std::make_unique<Regex>(e));
    Rng rng(7);
    for (int round = 0; round < 4000; ++round, ++texts) {
      const std::string text = random_text(rng);
      std::vector<std::string> expected = {text};
      for (const auto& regex : regexes) {
        std::vector<std::string> next;
        for (const std::string& fragment : expected) {
          for (std::string& piece : regex->split(fragment)) next.push_back(std::move(piece));
        }
        expected = std::move(next);
      }
      ASSERT_EQ(split_ours(test.name, text), expected) << test.name << ": '" << text << "'";
    }
  }
  std::printf("%zu texts split as PCRE2 does, %zu rule lists\n", texts, std::size(kCases));
}

TEST(PreTokenizer, NamesAreKnownOnce) {
  const std::string names = known_pre_tokenizers();
  for (const char* name : {"gpt-2", "smollm", "llama-bpe", "qwen2", "tekken", "deepseek-r1-qwen"}) {
    EXPECT_NE(find_pre_tokenizer(name), nullptr) << name;
    EXPECT_NE((", " + names + ",").find(std::string(", ") + name + ","), std::string::npos) << name;
  }
  EXPECT_EQ(find_pre_tokenizer("no-such"), nullptr);
  EXPECT_EQ(find_pre_tokenizer(""), nullptr);
}

TEST(PreTokenizer, EmptyTextHasNoWords) { EXPECT_TRUE(split_ours("gpt-2", "").empty()); }

}  // namespace
}  // namespace weir::text
