// What a damaged or strange vocabulary gets: an error that names the key.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "text/tokenizer_testing.h"

namespace weir::text::testing {
namespace {

using Strings = std::vector<std::string>;

// The message of the error that loading gives; "" when it loads.
std::string failure(const gguf::Writer& writer, ErrorCode code = ErrorCode::kCorrupt) {
  const auto t = load_written(writer);
  if (t.ok()) return "";
  EXPECT_EQ(error_code_name(t.error().code), error_code_name(code)) << t.error().message;
  return t.error().message;
}

// The tiny vocabulary with one key set to something else.
template <typename Set>
std::string failure_with(const std::string& key, const Set& set,
                         ErrorCode code = ErrorCode::kCorrupt) {
  gguf::Writer w = tiny_bpe(key);
  set(w, key);
  return failure(w, code);
}

void expect_mentions(const std::string& message, const Strings& words) {
  ASSERT_NE(message, "") << "it loaded";
  for (const std::string& word : words) {
    EXPECT_NE(message.find(word), std::string::npos) << "no '" << word << "' in: " << message;
  }
}

TEST(TokenizerLoad, UnknownModelIsNamedWithTheKnownOnes) {
  const auto message = failure_with(
      "tokenizer.ggml.model", [](auto& w, auto& key) { w.set_string(key, "rwkv"); },
      ErrorCode::kUnsupported);
  expect_mentions(message, {"tokenizer.ggml.model", "'rwkv'", "gpt2", "llama", "bert"});
}

TEST(TokenizerLoad, UnknownPreIsNamedWithTheKnownOnes) {
  const auto message = failure_with(
      "tokenizer.ggml.pre", [](auto& w, auto& key) { w.set_string(key, "brand-new"); },
      ErrorCode::kUnsupported);
  expect_mentions(message, {"tokenizer.ggml.pre", "'brand-new'", "llama-bpe", "qwen2", "smollm"});
}

TEST(TokenizerLoad, MissingPreIsNoSilentDefault) {
  expect_mentions(failure(tiny_bpe("tokenizer.ggml.pre"), ErrorCode::kUnsupported),
                  {"tokenizer.ggml.pre", "missing", "llama-bpe"});
}

TEST(TokenizerLoad, MissingKeysAreNamed) {
  for (const char* key :
       {"tokenizer.ggml.model", "tokenizer.ggml.tokens", "tokenizer.ggml.merges"}) {
    expect_mentions(failure(tiny_bpe(key), ErrorCode::kNotFound), {key});
  }
  EXPECT_EQ(failure(tiny_bpe("tokenizer.ggml.token_type")), "");
  EXPECT_EQ(failure(tiny_bpe("tokenizer.ggml.bos_token_id")), "");
}

TEST(TokenizerLoad, LengthsMustAgree) {
  expect_mentions(
      failure_with("tokenizer.ggml.token_type",
                   [](auto& w, auto& key) { w.set_ints(key, std::vector<int32_t>(261, 1)); }),
      {"tokenizer.ggml.token_type", "261", "262"});
  expect_mentions(
      failure_with("tokenizer.ggml.scores",
                   [](auto& w, auto& key) { w.set_floats(key, std::vector<float>(263)); }),
      {"tokenizer.ggml.scores", "263", "262"});
  expect_mentions(
      failure_with("tokenizer.ggml.tokens",
                   [](auto& w, auto& key) { w.set_strings(key, std::span<const std::string>()); }),
      {"tokenizer.ggml.tokens", "empty"});
}

TEST(TokenizerLoad, ValuesMustMakeSense) {
  for (const int32_t type : {-1, 7, INT32_MAX}) {
    std::vector<int32_t> types(262, 1);
    types[17] = type;
    expect_mentions(failure_with("tokenizer.ggml.token_type",
                                 [&](auto& w, auto& key) { w.set_ints(key, types); }),
                    {"tokenizer.ggml.token_type[17]", std::to_string(type)});
  }
  std::vector<int32_t> types(262, 1);
  types[65] = 6;  // "A" is no byte token
  expect_mentions(failure_with("tokenizer.ggml.token_type",
                               [&](auto& w, auto& key) { w.set_ints(key, types); }),
                  {"tokenizer.ggml.tokens[65]", "<0x00>"});
  std::vector<float> scores(262, 0.0f);
  scores[3] = std::numeric_limits<float>::quiet_NaN();
  expect_mentions(
      failure_with("tokenizer.ggml.scores", [&](auto& w, auto& key) { w.set_floats(key, scores); }),
      {"tokenizer.ggml.scores[3]"});
}

TEST(TokenizerLoad, IdsMustBeInRange) {
  for (const char* name :
       {"bos", "eos", "eot", "eom", "unknown", "seperator", "padding", "mask", "fim_pad"}) {
    const std::string key = std::string("tokenizer.ggml.") + name + "_token_id";
    for (const int64_t id : {int64_t{262}, int64_t{-2}, INT64_MAX, INT64_MIN}) {
      expect_mentions(failure_with(key, [&](auto& w, auto& k) { w.set_int64(k, id); }),
                      {key, std::to_string(id), "262"});
    }
    for (const int64_t none : {int64_t{-1}, int64_t{UINT32_MAX}}) {
      EXPECT_EQ(failure_with(key, [&](auto& w, auto& k) { w.set_int64(k, none); }), "") << key;
    }
  }
}

TEST(TokenizerLoad, WrongTypesAreNamed) {
  for (const char* key : {"tokenizer.ggml.model", "tokenizer.ggml.pre", "tokenizer.ggml.tokens",
                          "tokenizer.ggml.merges", "tokenizer.ggml.token_type",
                          "tokenizer.ggml.scores", "tokenizer.ggml.add_bos_token"}) {
    expect_mentions(failure_with(key, [](auto& w, auto& k) { w.set_float(k, 1.5f); }), {key});
  }
  expect_mentions(
      failure_with("tokenizer.ggml.bos_token_id", [](auto& w, auto& k) { w.set_string(k, "1"); }),
      {"tokenizer.ggml.bos_token_id"});
}

TEST(TokenizerLoad, MergesMustBePairs) {
  for (const char* merge :
       {"", " ", "ab", "a ", " b", "a  b", "a b c", "a \xE4\xB8\xAD", "\xFF b"}) {
    const Strings merges = {"h e", merge};
    expect_mentions(failure_with("tokenizer.ggml.merges",
                                 [&](auto& w, auto& k) {
                                   w.set_strings(k, std::span<const std::string>(merges));
                                 }),
                    {"tokenizer.ggml.merges[1]"});
  }
}

// A merge into something that is no token falls back to its bytes.
TEST(TokenizerLoad, MergesMayNameWhatIsNoToken) {
  gguf::Writer w = tiny_bpe("tokenizer.ggml.merges");
  const Strings merges = {"x y", "h e", "h e", "xy z"};
  w.set_strings("tokenizer.ggml.merges", std::span<const std::string>(merges));
  const auto t = load_written(w);
  ASSERT_TRUE(t.ok()) << t.error().message;
  EXPECT_EQ((*t)->encode("xyzhe"), (std::vector<int32_t>{'x', 'y', 'z', 256}));
}

TEST(TokenizerLoad, DuplicateTokensAreNamed) {
  const Strings tokens = {"a", "b", "a"};
  expect_mentions(failure_with("tokenizer.ggml.tokens",
                               [&](auto& w, auto& k) {
                                 w.set_strings(k, std::span<const std::string>(tokens));
                               }),
                  {"tokenizer.ggml.tokens", "0", "2", "'a'"});
}

TEST(TokenizerLoad, EmptyTokensAreHoles) {
  const Strings tokens = {"a", "", ""};
  gguf::Writer w;
  w.set_string("tokenizer.ggml.model", "gpt2");
  w.set_string("tokenizer.ggml.pre", "gpt-2");
  w.set_strings("tokenizer.ggml.tokens", std::span<const std::string>(tokens));
  w.set_strings("tokenizer.ggml.merges", std::span<const std::string>());
  EXPECT_EQ(failure(w), "");
}

TEST(TokenizerLoad, SpecialTokensAreBounded) {
  gguf::Writer w;
  const Strings tokens = {"a", std::string(1025, 'x')};
  w.set_string("tokenizer.ggml.model", "gpt2");
  w.set_string("tokenizer.ggml.pre", "gpt-2");
  w.set_strings("tokenizer.ggml.tokens", std::span<const std::string>(tokens));
  w.set_ints("tokenizer.ggml.token_type", std::vector<int32_t>{1, 4});
  w.set_strings("tokenizer.ggml.merges", std::span<const std::string>());
  expect_mentions(failure(w, ErrorCode::kLimit), {"tokenizer.ggml.tokens[1]", "1025", "1024"});
}

TEST(TokenizerLoad, AddingWhatIsNotThereIsAnError) {
  for (const char* end : {"bos", "eos"}) {
    const std::string id = std::string("tokenizer.ggml.") + end + "_token_id";
    gguf::Writer w = tiny_bpe(id);
    w.set_bool(std::string("tokenizer.ggml.add_") + end + "_token", true);
    expect_mentions(failure(w), {std::string("add_") + end + "_token", id});
  }
}

TEST(TokenizerLoad, SentencepieceNeedsScores) {
  gguf::Writer w;
  w.set_string("tokenizer.ggml.model", "llama");
  const Strings tokens = {"<unk>", "<s>", "</s>", "a"};
  w.set_strings("tokenizer.ggml.tokens", std::span<const std::string>(tokens));
  expect_mentions(failure(w), {"tokenizer.ggml.scores"});
}

// "ab" (score -1) before "bc" (-2); no byte tokens, so unknown characters are <unk>.
TEST(TokenizerLoad, SmallSentencepiece) {
  gguf::Writer w;
  w.set_string("tokenizer.ggml.model", "llama");
  const Strings tokens = {"<unk>", "<s>", "</s>", "a", "b", "c", "\xE2\x96\x81", "bc", "ab", "abc"};
  const std::vector<float> scores = {0, 0, 0, -10, -11, -12, -9, -2, -1, -30};
  w.set_strings("tokenizer.ggml.tokens", std::span<const std::string>(tokens));
  w.set_floats("tokenizer.ggml.scores", scores);
  w.set_ints("tokenizer.ggml.token_type", std::vector<int32_t>{2, 3, 3, 1, 1, 1, 1, 1, 1, 1});
  const auto t = load_written(w);
  ASSERT_TRUE(t.ok()) << t.error().message;
  EXPECT_EQ((*t)->encode("abc"), (std::vector<int32_t>{6, 9}));
  EXPECT_EQ((*t)->encode("bc b", {true, false}), (std::vector<int32_t>{1, 6, 7, 6, 4}));
  EXPECT_EQ((*t)->encode("xb"), (std::vector<int32_t>{6, 0, 4}));
  // Text after a special token starts with a space of its own.
  EXPECT_EQ((*t)->encode("a</s>b", {false, true}), (std::vector<int32_t>{6, 3, 2, 6, 4}));
  EXPECT_EQ((*t)->decode(std::vector<int32_t>{1, 6, 7, 6, 4, 2}), "bc b");
  EXPECT_EQ((*t)->eos(), 2);
}

// A token that reaches into the next word ("a▁b") is found as well as the others.
TEST(TokenizerLoad, SentencepieceAcrossWords) {
  gguf::Writer w;
  w.set_string("tokenizer.ggml.model", "llama");
  const std::string mark = "\xE2\x96\x81";
  const Strings tokens = {"<unk>", "<s>", "</s>", "a", "b", mark, "a" + mark, "a" + mark + "b"};
  const std::vector<float> scores = {0, 0, 0, -10, -11, -9, -2, -1};
  w.set_strings("tokenizer.ggml.tokens", std::span<const std::string>(tokens));
  w.set_floats("tokenizer.ggml.scores", scores);
  w.set_bool("tokenizer.ggml.add_space_prefix", false);
  const auto t = load_written(w);
  ASSERT_TRUE(t.ok()) << t.error().message;
  EXPECT_EQ((*t)->encode("ba b"), (std::vector<int32_t>{4, 7}));
  EXPECT_FALSE((*t)->strips_first_space());
}

TEST(TokenizerLoad, SmallWordPiece) {
  gguf::Writer w;
  const Strings tokens = {"[PAD]", "[UNK]",         "[CLS]",         "[SEP]", "\xE2\x96\x81play",
                          "ing",   "\xE2\x96\x81!", "\xE2\x96\x81p", "y"};
  w.set_string("tokenizer.ggml.model", "bert");
  w.set_strings("tokenizer.ggml.tokens", std::span<const std::string>(tokens));
  w.set_ints("tokenizer.ggml.token_type", std::vector<int32_t>{3, 3, 3, 3, 1, 1, 1, 1, 1});
  w.set_uint("tokenizer.ggml.unknown_token_id", 1);
  w.set_uint("tokenizer.ggml.cls_token_id", 2);
  w.set_uint("tokenizer.ggml.seperator_token_id", 3);
  w.set_bool("tokenizer.ggml.add_sep_token", false);  // of pairs: a single text ends with one still
  const auto t = load_written(w);
  ASSERT_TRUE(t.ok()) << t.error().message;
  using Ids = std::vector<int32_t>;
  EXPECT_EQ((*t)->encode("Playing! p\xCC\x81lay", {true, false}), (Ids{2, 4, 5, 6, 4, 3}));
  EXPECT_EQ((*t)->encode("played"), Ids{1});  // all of the word or nothing
  std::string word = "play";
  while (word.size() < 100) word += "ing";
  ASSERT_EQ(word.size(), 100u);
  EXPECT_EQ((*t)->encode(word).size(), 33u);
  EXPECT_EQ((*t)->encode(word + "y"), Ids{1});  // beyond 100 characters
  EXPECT_EQ((*t)->decode((*t)->encode("playing!")), "playing !");
}

}  // namespace
}  // namespace weir::text::testing
