// The vocabulary of the uncased BERT models against ids that their published tokenizer gave
// (tests/golden/make_tokenizer.py --bert).
#include <cstdio>

#include "text/tokenizer_testing.h"

namespace weir::text::testing {
namespace {

TEST(Bert, GoldenIds) {
  const std::string path = shared_path("tokenizers/ggml-vocab-bert-bge.gguf");
  if (!exists(path)) GTEST_SKIP() << "no shared data at " << path;
  const auto tokenizer = load_shared("bert-bge");
  ASSERT_NE(tokenizer, nullptr);
  const size_t cases = expect_golden(*tokenizer, "bert-uncased.txt");
  EXPECT_GT(cases, 60U);
  std::printf("%zu golden encodings of BERT\n", cases);
}

}  // namespace
}  // namespace weir::text::testing
