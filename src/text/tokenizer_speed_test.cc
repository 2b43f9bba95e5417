// Hostile text must not cost more than its length: 1 MB of each kind, under a second for every
// family.
#include <gtest/gtest.h>

#include <cstdio>
#include <ctime>
#include <utility>

#include "base/rng.h"
#include "text/tokenizer_testing.h"
#include "text/utf8.h"

namespace weir::text::testing {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSlowBuild = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool kSlowBuild = true;
#else
constexpr bool kSlowBuild = false;
#endif
#elif defined(NDEBUG)
constexpr bool kSlowBuild = false;
#else
constexpr bool kSlowBuild = true;
#endif

// A slow build gets a tenth of the text and 2 s for it: quadratic work on 100 kB takes longer
// still.
constexpr size_t kBytes = kSlowBuild ? 100'000 : 1'000'000;
constexpr double kBoundMs = kSlowBuild ? 2'000 : 1'000;

std::string repeat(const std::string& unit) {
  std::string out;
  while (out.size() < kBytes) out += unit;
  return out;
}

std::string random_bytes(uint64_t seed, const std::string& alphabet = "") {
  Rng rng(seed);
  std::string out;
  while (out.size() < kBytes) {
    out.push_back(alphabet.empty() ? static_cast<char>(rng.next() & 0xFF)
                                   : alphabet[rng.below(alphabet.size())]);
  }
  return out;
}

std::string random_characters() {
  Rng rng(9);
  std::string out;
  while (out.size() < kBytes) append_utf8(out, static_cast<uint32_t>(rng.below(0x110000)));
  return out;
}

std::vector<std::pair<std::string, std::string>> hostile_texts() {
  return {
      {"one letter", repeat("a")},
      {"one capital", repeat("A")},
      {"one rare letter", repeat("\xC5\xBF")},
      {"a word without spaces", repeat("thequickbrownfoxjumpsoverthelazydog")},
      {"random letters", random_bytes(1, "abcdefghijklmnopqrstuvwxyz")},
      {"two letters at random", random_bytes(2, "ab")},
      {"spaces", repeat(" ")},
      {"spaces and a letter", repeat(" ") + "x"},
      {"blanks at random", random_bytes(3, " \t\n\r")},
      {"newlines", repeat("\n")},
      {"tabs", repeat("\t")},
      {"ideographic spaces", repeat("\xE3\x80\x80")},
      {"line feed then spaces", "\n" + repeat(" ") + "x"},
      {"digits", repeat("1234567890")},
      {"apostrophes", repeat("'")},
      {"punctuation", repeat("!?.,;:")},
      {"combining marks", repeat("\xCC\x81")},
      {"capitals and marks", repeat("A\xCC\x81")},
      {"han", repeat("\xE4\xB8\xAD\xE6\x96\x87")},
      {"emoji", repeat("\xF0\x9F\x98\x80")},
      {"random bytes", random_bytes(4)},
      {"random characters", random_characters()},
      {"continuation bytes", repeat("\x80")},
      {"nul", std::string(kBytes, '\0')},
      {"starts of special tokens", repeat("<|im_start")},
      {"special tokens", repeat("<|im_start|><|im_end|></s>")},
      {"space marks", repeat("\xE2\x96\x81")},
      {"mixed", random_bytes(5, "abcXYZ 019\n\t'.,!<|>_-/\\")},
  };
}

double thread_ms() {
  timespec used{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) * 1e3 + static_cast<double>(used.tv_nsec) * 1e-6;
}

class Speed : public ::testing::TestWithParam<const char*> {};

TEST_P(Speed, HostileMegabyte) {
  if (!exists(shared_path("tokenizers/ggml-vocab-gpt-2.gguf"))) GTEST_SKIP() << "no shared data";
  const auto tokenizer = load_shared(GetParam());
  ASSERT_NE(tokenizer, nullptr);
  double worst_ms = 0;
  std::string worst;
  for (const auto& [name, text] : hostile_texts()) {
    // Of this thread's own time, which others on the machine do not take; the best of three counts.
    double ms = kBoundMs;
    std::vector<int32_t> ids;
    for (int attempt = 0; attempt < 3 && ms >= kBoundMs; ++attempt) {
      const double start_ms = thread_ms();
      ids = tokenizer->encode(text, {true, true});
      ms = thread_ms() - start_ms;
    }
    EXPECT_LT(ms, kBoundMs) << name << ", " << ids.size() << " tokens";
    if (ms > worst_ms) {
      worst_ms = ms;
      worst = name;
    }
    if (std::getenv("WEIR_VERBOSE") != nullptr) {
      std::printf("%-12s %-24s %8.0f ms %8zu tokens\n", GetParam(), name.c_str(), ms, ids.size());
    }
  }
  std::printf("%s: worst of %zu bytes: %s, %.0f ms\n", GetParam(), kBytes, worst.c_str(), worst_ms);
}

INSTANTIATE_TEST_SUITE_P(All, Speed,
                         ::testing::Values("gpt-2", "llama-bpe", "qwen2", "qwen35", "deepseek-llm",
                                           "deepseek-coder", "falcon", "mpt", "starcoder",
                                           "llama-spm", "phi-3", "bert-bge"),
                         [](const auto& test) {
                           std::string name = test.param;
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name;
                         });

}  // namespace
}  // namespace weir::text::testing
