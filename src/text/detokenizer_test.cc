#include "text/detokenizer.h"

#include <gtest/gtest.h>

#include "base/rng.h"
#include "text/tokenizer_testing.h"
#include "text/utf8.h"

namespace weir::text::testing {
namespace {

std::unique_ptr<Tokenizer> tiny() {
  auto t = load_written(tiny_bpe());
  EXPECT_TRUE(t.ok()) << t.error().message;
  return std::move(t).value();
}

// Pushes one by one, checking that each piece is whole characters, and flushes.
std::string stream(const Tokenizer& tokenizer, const std::vector<int32_t>& ids,
                   DetokenizerOptions options = {}) {
  IncrementalDetokenizer detokenizer(tokenizer, options);
  std::string all;
  for (const int32_t id : ids) {
    const std::string piece = detokenizer.push(id);
    EXPECT_TRUE(is_valid_utf8(piece)) << "token " << id;
    all += piece;
  }
  all += detokenizer.flush();
  EXPECT_TRUE(is_valid_utf8(all));
  EXPECT_FALSE(detokenizer.pending());
  return all;
}

TEST(Detokenizer, HoldsACharacterUntilItIsWhole) {
  const auto t = tiny();
  IncrementalDetokenizer d(*t);
  EXPECT_EQ(d.push('h'), "h");
  EXPECT_EQ(d.push(0xF0), "");
  EXPECT_EQ(d.push(0x9F), "");
  EXPECT_TRUE(d.pending());
  EXPECT_EQ(d.push(0x98), "");
  EXPECT_EQ(d.push(0x80), "\xF0\x9F\x98\x80");
  EXPECT_FALSE(d.pending());
  EXPECT_EQ(d.push(0xE2), "");
  EXPECT_EQ(d.push('x'), "\xEF\xBF\xBDx");  // it can no longer become a character
  EXPECT_EQ(d.push(0xE2), "");
  EXPECT_EQ(d.push(0x82), "");
  EXPECT_EQ(d.flush(), "\xEF\xBF\xBD");  // one maximal subpart
  EXPECT_EQ(d.flush(), "");
  EXPECT_EQ(d.push(0x80), "\xEF\xBF\xBD");  // never a start
}

TEST(Detokenizer, ControlTokensShowOnlyOnRequest) {
  const auto t = tiny();
  const std::vector<int32_t> ids = {259, 258, 261, 260};
  EXPECT_EQ(stream(*t, ids), "hell<tag>");
  EXPECT_EQ(t->decode(ids), "hell<tag>");
  EXPECT_EQ(stream(*t, ids, {false, false}), "<s>hell<tag></s>");
  EXPECT_EQ(t->decode(ids, false), "<s>hell<tag></s>");
}

// A control token between the bytes of a character shows nothing and breaks nothing.
TEST(Detokenizer, SkippedTokensDoNotBreakACharacter) {
  const auto t = tiny();
  EXPECT_EQ(stream(*t, {0xC3, 259, 0xA9}), "\xC3\xA9");
  EXPECT_EQ(t->decode(std::vector<int32_t>{0xC3, 259, 0xA9}), "\xC3\xA9");
}

TEST(Detokenizer, IdsOutOfRangeAreNothing) {
  const auto t = tiny();
  const std::vector<int32_t> ids = {-1, 'a', 1 << 30, INT32_MIN, INT32_MAX};
  EXPECT_EQ(stream(*t, ids), "a");
  EXPECT_EQ(t->decode(ids), "a");
}

TEST(Detokenizer, RandomBytesStreamAsTheyDecode) {
  const auto t = tiny();
  Rng rng(3);
  // Bytes that make and break characters of all lengths.
  const std::vector<int32_t> bytes = {'a',  0x80, 0x9F, 0xA0, 0xBF, 0xC0, 0xC3, 0xE0, 0xE2, 0xED,
                                      0xEF, 0xF0, 0xF4, 0xF5, 0xFF, 258,  259,  0x90, 0x8F};
  for (int round = 0; round < 20000; ++round) {
    std::vector<int32_t> ids;
    for (uint64_t n = rng.below(12); n > 0; --n) ids.push_back(bytes[rng.below(bytes.size())]);
    ASSERT_EQ(stream(*t, ids), t->decode(ids));
    ASSERT_EQ(stream(*t, ids, {false, false}), t->decode(ids, false));
  }
}

class Streams : public ::testing::TestWithParam<const char*> {};

TEST_P(Streams, RandomIdsStreamAsTheyDecode) {
  if (!exists(shared_path("tokenizers/ggml-vocab-gpt-2.gguf"))) GTEST_SKIP() << "no shared data";
  const auto t = load_shared(GetParam());
  ASSERT_NE(t, nullptr);
  Rng rng(4);
  for (int round = 0; round < 500; ++round) {
    std::vector<int32_t> ids;
    for (int n = 0; n < 30; ++n) {
      ids.push_back(static_cast<int32_t>(rng.below(static_cast<uint64_t>(t->vocab_size()))));
    }
    ASSERT_EQ(stream(*t, ids), t->decode(ids));
  }
}

INSTANTIATE_TEST_SUITE_P(All, Streams, ::testing::Values("gpt-2", "llama-spm", "bert-bge"),
                         [](const auto& test) {
                           std::string name = test.param;
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name;
                         });

TEST(Detokenizer, FirstSpaceOfSentencepiece) {
  if (!exists(shared_path("tokenizers/ggml-vocab-llama-spm.gguf")))
    GTEST_SKIP() << "no shared data";
  const auto t = load_shared("llama-spm");
  ASSERT_NE(t, nullptr);
  const auto ids = t->encode("Hello world", {true, false});
  EXPECT_EQ(stream(*t, ids), "Hello world");
  EXPECT_EQ(t->decode(ids), "Hello world");
  EXPECT_EQ(stream(*t, ids, {true, true}), " Hello world");
}

}  // namespace
}  // namespace weir::text::testing
