// What the tokenizer tests share: where the data is, and vocabularies made in memory.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "base/paths_testing.h"
#include "gguf/file.h"
#include "gguf/writer.h"
#include "text/tokenizer.h"

namespace weir::text::testing {

inline std::string shared_path(const std::string& name) {
  return weir::paths::shared("data/" + name);
}

inline bool exists(const std::string& path) { return std::ifstream(path).good(); }

inline std::string read_bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

inline Result<std::unique_ptr<Tokenizer>> load_path(const std::string& path) {
  WEIR_ASSIGN(const gguf::File file, gguf::File::open(path));
  return Tokenizer::load(file);
}

// The vocabulary of shared data named "gpt-2", or nullptr after a test failure.
inline std::unique_ptr<Tokenizer> load_shared(const std::string& name) {
  auto t = load_path(shared_path("tokenizers/ggml-vocab-" + name + ".gguf"));
  if (!t.ok()) {
    ADD_FAILURE() << name << ": " << t.error().message;
    return nullptr;
  }
  return std::move(t).value();
}

inline std::string from_hex(const std::string& hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    out.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return out;
}

// Every case of tests/golden/tokenizer/`name` (make_tokenizer.py), and how many there were.
inline size_t expect_golden(const Tokenizer& tokenizer, const std::string& name) {
  std::ifstream in(weir::paths::repository("tests/golden/tokenizer/" + name));
  size_t cases = 0;
  for (std::string flags, hex, line; std::getline(in, flags) && std::getline(in, hex); ++cases) {
    if (!std::getline(in, line)) {
      ADD_FAILURE() << name << ": case " << cases << " has no ids";
      break;
    }
    std::istringstream numbers(line);
    const std::vector<int32_t> expected{std::istream_iterator<int32_t>(numbers),
                                        std::istream_iterator<int32_t>()};
    const std::string text = from_hex(hex);
    const EncodeOptions options{flags[0] == '1', flags[2] == '1'};
    EXPECT_EQ(tokenizer.encode(text, options), expected) << flags << ": " << text;
  }
  return cases;
}

// What `writer` holds, read as a tokenizer.
inline Result<std::unique_ptr<Tokenizer>> load_written(const gguf::Writer& writer) {
  WEIR_ASSIGN(const std::vector<std::byte> bytes, writer.to_bytes());
  WEIR_ASSIGN(const gguf::File file, gguf::File::parse(bytes));
  return Tokenizer::load(file);
}

// A small byte-level vocabulary: 256 bytes, three merges ("he", "ll", "hell"), "<s>" 259 and "</s>"
// 260 control, "<tag>" (or `tag`) 261 user-defined. Keys may be added, or left out by name.
inline gguf::Writer tiny_bpe(const std::string& leave_out = "", const char* tag = "<tag>") {
  std::vector<std::string> tokens;
  const auto utf8 = [](uint32_t c) {
    return c < 0x80 ? std::string(1, static_cast<char>(c))
                    : std::string{static_cast<char>(0xC0 | c >> 6),
                                  static_cast<char>(0x80 | (c & 0x3F))};
  };
  uint32_t next = 0x100;
  for (uint32_t b = 0; b < 256; ++b) {
    const bool self = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
    tokens.push_back(utf8(self ? b : next++));
  }
  for (const char* t : {"he", "ll", "hell", "<s>", "</s>", tag}) tokens.emplace_back(t);
  std::vector<int32_t> types(tokens.size(), 1);
  types[259] = types[260] = 3;
  types[261] = 4;
  const std::vector<std::string> merges = {"h e", "l l", "he ll"};
  gguf::Writer w;
  const auto wanted = [&](const char* key) { return leave_out != key; };
  if (wanted("tokenizer.ggml.model")) w.set_string("tokenizer.ggml.model", "gpt2");
  if (wanted("tokenizer.ggml.pre")) w.set_string("tokenizer.ggml.pre", "gpt-2");
  if (wanted("tokenizer.ggml.tokens"))
    w.set_strings("tokenizer.ggml.tokens", std::span<const std::string>(tokens));
  if (wanted("tokenizer.ggml.token_type")) w.set_ints("tokenizer.ggml.token_type", types);
  if (wanted("tokenizer.ggml.merges"))
    w.set_strings("tokenizer.ggml.merges", std::span<const std::string>(merges));
  if (wanted("tokenizer.ggml.bos_token_id")) w.set_uint("tokenizer.ggml.bos_token_id", 259);
  if (wanted("tokenizer.ggml.eos_token_id")) w.set_uint("tokenizer.ggml.eos_token_id", 260);
  return w;
}

}  // namespace weir::text::testing
