// The vectors of llama.cpp (models/*.gguf.inp and .out) for every vocabulary of the shared data.
#include <gtest/gtest.h>

#include <cstdio>
#include <sstream>

#include "text/tokenizer_testing.h"

namespace weir::text::testing {
namespace {

const char* const kVocabularies[] = {"bert-bge", "deepseek-coder", "deepseek-llm", "falcon",
                                     "gpt-2",    "llama-bpe",      "llama-spm",    "mpt",
                                     "phi-3",    "qwen2",          "qwen35",       "starcoder"};

// As test-tokenizer-0.cpp of llama.cpp splits the file: between separators, nothing after the last.
std::vector<std::string> read_inputs(const std::string& path) {
  const std::string separator = "\n__ggml_vocab_test__\n";
  const std::string all = read_bytes(path);
  std::vector<std::string> inputs;
  for (size_t at = 0; at < all.size();) {
    const size_t next = all.find(separator, at);
    inputs.push_back(all.substr(at, next - at));
    if (next == std::string::npos) break;
    at = next + separator.size();
  }
  return inputs;
}

std::vector<std::vector<int32_t>> read_outputs(const std::string& path) {
  std::ifstream in(path);
  std::vector<std::vector<int32_t>> outputs;
  for (std::string line; std::getline(in, line);) {
    std::istringstream ids(line);
    outputs.emplace_back(std::istream_iterator<int32_t>(ids), std::istream_iterator<int32_t>());
  }
  return outputs;
}

class Vectors : public ::testing::TestWithParam<const char*> {};

TEST_P(Vectors, AllPass) {
  const std::string path =
      shared_path(std::string("tokenizers/ggml-vocab-") + GetParam() + ".gguf");
  if (!exists(path)) GTEST_SKIP() << "no shared data at " << path;
  const auto tokenizer = load_shared(GetParam());
  ASSERT_NE(tokenizer, nullptr);
  const auto inputs = read_inputs(path + ".inp");
  const auto outputs = read_outputs(path + ".out");
  ASSERT_EQ(inputs.size(), outputs.size());
  ASSERT_GT(inputs.size(), 40u);
  size_t passed = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const auto ids = tokenizer->encode(inputs[i]);
    EXPECT_EQ(ids, outputs[i]) << GetParam() << " vector " << i << ": '" << inputs[i] << "'";
    passed += ids == outputs[i] ? 1 : 0;
    // llama.cpp gives the same ids where the text holds no control token.
    if (inputs[i].find('<') == std::string::npos) {
      EXPECT_EQ(tokenizer->encode(inputs[i], {false, true}), outputs[i]);
    }
  }
  std::printf("%s: %zu of %zu vectors\n", GetParam(), passed, inputs.size());
}

INSTANTIATE_TEST_SUITE_P(All, Vectors, ::testing::ValuesIn(kVocabularies), [](const auto& test) {
  std::string name = test.param;
  for (char& c : name) c = c == '-' ? '_' : c;
  return name;
});

}  // namespace
}  // namespace weir::text::testing
