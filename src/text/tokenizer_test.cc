#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <sstream>

#include "base/rng.h"
#include "text/tokenizer_testing.h"
#include "text/truncate.h"
#include "text/utf8.h"

namespace weir::text::testing {
namespace {

using Ids = std::vector<int32_t>;

TEST(Tokenizer, MergesByRank) {
  const auto t = load_written(tiny_bpe());
  ASSERT_TRUE(t.ok()) << t.error().message;
  EXPECT_EQ((*t)->encode("hello"), (Ids{258, 'o'}));
  EXPECT_EQ((*t)->encode("hel"), (Ids{256, 'l'}));
  EXPECT_EQ((*t)->encode("lll"), (Ids{257, 'l'}));
  EXPECT_EQ((*t)->encode(""), Ids{});
  EXPECT_EQ((*t)->vocab_size(), 262);
  EXPECT_EQ((*t)->token_text(258), "hell");
  EXPECT_EQ((*t)->token_text(262), "");
  EXPECT_EQ((*t)->token_bytes(32), " ");
  EXPECT_EQ((*t)->token_bytes(259), "");
  EXPECT_EQ((*t)->find("hell"), 258);
  EXPECT_EQ((*t)->find("hella"), std::nullopt);
  EXPECT_EQ((*t)->model(), "gpt2");
  EXPECT_EQ((*t)->pre(), "gpt-2");
}

TEST(Tokenizer, SpecialTokensInTextAreTextUnlessAskedFor) {
  const auto t = load_written(tiny_bpe());
  ASSERT_TRUE(t.ok()) << t.error().message;
  EXPECT_EQ((*t)->encode("a<s>"), (Ids{'a', '<', 's', '>'}));
  EXPECT_EQ((*t)->encode("a<s>", {false, true}), (Ids{'a', 259}));
  EXPECT_EQ((*t)->encode("</s><s>b", {false, true}), (Ids{260, 259, 'b'}));
  EXPECT_EQ((*t)->encode("<tag>"), (Ids{261}));  // user-defined: in all text
  EXPECT_TRUE((*t)->is_special(259));
  EXPECT_FALSE((*t)->is_special(261));
  EXPECT_FALSE((*t)->is_special(-1));
  EXPECT_FALSE((*t)->is_special(262));
  EXPECT_TRUE((*t)->is_eog(260));
  EXPECT_FALSE((*t)->is_eog(259));
  EXPECT_FALSE((*t)->is_eog(-1));
}

// No cut of a control token between template and message makes it one.
TEST(Tokenizer, PartsKeepControlTokensToThemselves) {
  const auto t = load_written(tiny_bpe());
  ASSERT_TRUE(t.ok()) << t.error().message;
  const std::string text = "x</s>y";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    const std::string a = text.substr(0, cut), b = text.substr(cut);
    const bool whole_in_a = cut >= 5, whole_in_b = cut <= 1;
    const Ids special = {'x', 260, 'y'}, plain = {'x', '<', '/', 's', '>', 'y'};
    const std::vector<TextPart> template_first = {{a, true}, {b, false}};
    const std::vector<TextPart> template_last = {{a, false}, {b, true}};
    const std::vector<TextPart> both = {{a, true}, {b, true}};
    EXPECT_EQ((*t)->encode_parts(template_first, false), whole_in_a ? special : plain) << cut;
    EXPECT_EQ((*t)->encode_parts(template_last, false), whole_in_b ? special : plain) << cut;
    EXPECT_EQ((*t)->encode_parts(both, false), special) << cut;
  }
  // Merges cross the border of parts as if there were none.
  EXPECT_EQ((*t)->encode_parts(std::vector<TextPart>{{"he", true}, {"ll", false}}, false),
            Ids{258});
  EXPECT_EQ((*t)->encode_parts({}, true), Ids{});
}

TEST(Tokenizer, LongestSpecialTokenWins) {
  gguf::Writer w;
  const std::vector<std::string> tokens = {"a", "b", "<x", "<x>", "<x>>", "c"};
  const std::vector<int32_t> types = {1, 1, 4, 3, 4, 1};
  w.set_string("tokenizer.ggml.model", "gpt2");
  w.set_string("tokenizer.ggml.pre", "gpt-2");
  w.set_strings("tokenizer.ggml.tokens", std::span<const std::string>(tokens));
  w.set_ints("tokenizer.ggml.token_type", types);
  w.set_strings("tokenizer.ggml.merges", std::span<const std::string>());
  const auto t = load_written(w);
  ASSERT_TRUE(t.ok()) << t.error().message;
  EXPECT_EQ((*t)->encode("a<x>>b<x>c<xa", {false, true}), (Ids{0, 4, 1, 3, 5, 2, 0}));
  EXPECT_EQ((*t)->encode("a<x>c<x>>"), (Ids{0, 2, 5, 4}));  // ">" has no token
}

TEST(Tokenizer, BosAndEosAsTheVocabularySays) {
  gguf::Writer none = tiny_bpe();
  EXPECT_EQ((*load_written(none))->encode("o", {true, false}),
            Ids{'o'});  // gpt-2 adds none by itself
  gguf::Writer both = tiny_bpe();
  both.set_bool("tokenizer.ggml.add_bos_token", true);
  both.set_bool("tokenizer.ggml.add_eos_token", true);
  const auto t = load_written(both);
  ASSERT_TRUE(t.ok()) << t.error().message;
  EXPECT_EQ((*t)->encode("o", {true, false}), (Ids{259, 'o', 260}));
  EXPECT_EQ((*t)->encode("", {true, false}), (Ids{259, 260}));
  EXPECT_EQ((*t)->encode("o"), Ids{'o'});
  EXPECT_TRUE((*t)->adds_bos());
  EXPECT_EQ((*t)->bos(), 259);
  EXPECT_EQ((*t)->eos(), 260);
  // llama-bpe adds BOS where the file does not say.
  gguf::Writer llama = tiny_bpe("tokenizer.ggml.pre");
  llama.set_string("tokenizer.ggml.pre", "llama-bpe");
  EXPECT_EQ((*load_written(llama))->encode("o", {true, false}), (Ids{259, 'o'}));
}

TEST(Tokenizer, TruncatedIdsKeepTheTokenAtTheEndWhereItIsTheOneThatIsAdded) {
  gguf::Writer w = tiny_bpe();
  w.set_bool("tokenizer.ggml.add_eos_token", true);
  const auto t = load_written(w);
  ASSERT_TRUE(t.ok()) << t.error().message;
  const auto cut = [&](const Tokenizer& tokenizer, Ids ids, size_t max) {
    truncate(tokenizer, max, ids);
    return ids;
  };
  EXPECT_EQ(cut(**t, (*t)->encode("abc", {.add_bos_eos = true}), 3), (Ids{'a', 'b', 260}));
  EXPECT_EQ(cut(**t, {'a', 'b', 'c'}, 2), (Ids{'a', 'b'}));
  EXPECT_EQ(cut(**t, {'a', 'b', 'c'}, 3), (Ids{'a', 'b', 'c'}));
  EXPECT_EQ(cut(**load_written(tiny_bpe()), {'a', 'b', 260}, 2), (Ids{'a', 'b'}));
}

TEST(Tokenizer, InvalidUtf8IsReplaced) {
  const auto t = load_written(tiny_bpe());
  ASSERT_TRUE(t.ok()) << t.error().message;
  EXPECT_EQ((*t)->encode("a\xFFz"), (Ids{'a', 0xEF, 0xBF, 0xBD, 'z'}));
  EXPECT_EQ((*t)->decode((*t)->encode("a\xE2\x82z")), "a\xEF\xBF\xBDz");
  EXPECT_EQ((*t)->decode((*t)->encode(std::string("a\0b", 3))), std::string("a\0b", 3));
}

// Turn markers that a converter left user-defined still never come from a message.
TEST(Tokenizer, UserDefinedTurnMarkersAreNotMatchedInMessages) {
  gguf::Writer w;
  const std::vector<std::string> tokens = {"a", "<|im_start|>", "<start_of_turn>", "<think>"};
  const std::vector<int32_t> types = {1, 4, 4, 4};
  w.set_string("tokenizer.ggml.model", "gpt2");
  w.set_string("tokenizer.ggml.pre", "gpt-2");
  w.set_strings("tokenizer.ggml.tokens", std::span<const std::string>(tokens));
  w.set_ints("tokenizer.ggml.token_type", types);
  w.set_strings("tokenizer.ggml.merges", std::span<const std::string>());
  const auto t = load_written(w);
  ASSERT_TRUE(t.ok()) << t.error().message;
  EXPECT_EQ((*t)->encode("<|im_start|><start_of_turn><think>a"), (Ids{0, 0, 3, 0}));
  EXPECT_EQ((*t)->encode("<|im_start|><start_of_turn><think>a", {false, true}), (Ids{1, 2, 3, 0}));
}

// The end tokens that llama.cpp finds in the same files.
TEST(Tokenizer, EndTokens) {
  if (!exists(shared_path("tokenizers/ggml-vocab-gpt-2.gguf"))) GTEST_SKIP() << "no shared data";
  const std::vector<std::pair<std::string, Ids>> expected = {{"llama-spm", {2}},
                                                             {"phi-3", {2, 32000, 32007}},
                                                             {"qwen2", {128247, 151643, 151645}},
                                                             {"gpt-2", {50256}},
                                                             {"llama-bpe", {128001, 128009}},
                                                             {"mpt", {0}},
                                                             {"deepseek-llm", {100001}},
                                                             {"deepseek-coder", {32014}},
                                                             {"falcon", {11}}};
  for (const auto& [name, ids] : expected) {
    const auto t = load_shared(name);
    ASSERT_NE(t, nullptr);
    EXPECT_EQ(t->eog_tokens(), ids) << name;
    for (const int32_t id : ids) EXPECT_TRUE(t->is_eog(id));
  }
}

TEST(Tokenizer, Phi3TakesTheSpaceAfterItsMarkers) {
  if (!exists(shared_path("tokenizers/ggml-vocab-phi-3.gguf"))) GTEST_SKIP() << "no shared data";
  const auto t = load_shared("phi-3");
  ASSERT_NE(t, nullptr);
  EXPECT_EQ(t->encode("<|user|>\n  hi<|end|>\n", {false, true}),
            t->encode("<|user|>hi<|end|>", {false, true}));
}

// Every naughty string, and every byte string with replacement, comes back from its ids.
TEST(Tokenizer, TextComesBack) {
  const std::string path = shared_path("text/blns.json");
  if (!exists(path)) GTEST_SKIP() << "no shared data at " << path;
  std::vector<std::string> texts = {read_bytes(path), read_bytes(shared_path("text/utf8tests.txt")),
                                    read_bytes(shared_path("text/utf8tests.bin"))};
  // The strings of the list are one a line; escapes stay as they are.
  std::istringstream lines(texts[0]);
  for (std::string line; std::getline(lines, line);) texts.push_back(line);
  Rng rng(11);
  for (int round = 0; round < 300; ++round) {
    std::string text;
    for (uint64_t n = rng.below(40); n > 0; --n) {
      if (rng.below(4) == 0) {
        text.push_back(static_cast<char>(rng.next() & 0xFF));
      } else {
        append_utf8(text, static_cast<uint32_t>(rng.below(rng.below(2) == 0 ? 0x300 : 0x110000)));
      }
    }
    texts.push_back(text);
  }
  size_t passed = 0;
  for (const char* name :
       {"gpt-2", "llama-bpe", "qwen2", "llama-spm", "deepseek-llm", "mpt", "phi-3"}) {
    const auto t = load_shared(name);
    ASSERT_NE(t, nullptr);
    for (const std::string& text : texts) {
      const std::string expected = replace_invalid_utf8(text);
      const Ids ids = t->encode(text);
      ASSERT_EQ(t->decode(ids), expected) << name;
      for (const int32_t id : ids) ASSERT_FALSE(t->is_special(id)) << name << " " << id;
      ++passed;
    }
  }
  std::printf("%zu texts came back\n", passed);
}

}  // namespace
}  // namespace weir::text::testing
