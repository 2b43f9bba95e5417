// Tokenizers of the three families over any bytes: no crash, ids in range, control tokens only
// where they are allowed, text that comes back, and a stream that equals the whole. The first two
// bytes choose family and cut.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gguf/file.h"
#include "gguf/writer.h"
#include "text/detokenizer.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace {
using namespace weir;

constexpr std::string_view kPre[] = {"gpt-2",       "smollm",       "llama-bpe",      "qwen2",
                                     "qwen35",      "gpt-4o",       "tekken",         "youtu",
                                     "deepseek-v3", "deepseek-llm", "deepseek-coder", "falcon",
                                     "default",     "viking",       "minicpm5",       "laguna"};

void check(bool ok) {
  if (!ok) std::abort();
}

std::unique_ptr<text::Tokenizer> load(gguf::Writer& w, const std::vector<std::string>& tokens,
                                      const std::vector<int32_t>& types) {
  w.set_strings("tokenizer.ggml.tokens", std::span<const std::string>(tokens));
  w.set_ints("tokenizer.ggml.token_type", types);
  const auto bytes = w.to_bytes();
  check(bytes.ok());
  const auto file = gguf::File::parse(*bytes);
  check(file.ok());
  auto t = text::Tokenizer::load(*file);
  check(t.ok());
  return std::move(t).value();
}

std::unique_ptr<text::Tokenizer> make_bpe(std::string_view pre) {
  gguf::Writer w;
  w.set_string("tokenizer.ggml.model", "gpt2");
  w.set_string("tokenizer.ggml.pre", pre);
  std::vector<std::string> tokens;
  uint32_t next = 0x100;
  for (uint32_t b = 0; b < 256; ++b) {
    const bool self = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
    tokens.emplace_back();
    text::append_utf8(tokens.back(), self ? b : next++);
  }
  const std::vector<std::string> merges = {"a a", "aa aa", "\xC4\xA0 a",
                                           "a b", "aa b",  "\xC3\x83 \xC2\xA9"};
  for (const char* t : {"aa", "aaaa",
                        "\xC4\xA0"
                        "a",
                        "ab", "aab", "<s>", "</s>", "<tag>"})
    tokens.emplace_back(t);
  std::vector<int32_t> types(tokens.size(), 1);
  types[261] = types[262] = 3;
  types[263] = 4;
  w.set_strings("tokenizer.ggml.merges", std::span<const std::string>(merges));
  return load(w, tokens, types);
}

std::unique_ptr<text::Tokenizer> make_spm() {
  gguf::Writer w;
  w.set_string("tokenizer.ggml.model", "llama");
  std::vector<std::string> tokens = {"<unk>", "<s>", "</s>"};
  std::vector<int32_t> types = {2, 3, 3};
  for (int b = 0; b < 256; ++b) {
    const char* hex = "0123456789ABCDEF";
    tokens.push_back(std::string("<0x") + hex[b >> 4] + hex[b & 15] + ">");
    types.push_back(6);
  }
  for (const char* t : {"a", "b", "\xE2\x96\x81",
                        "\xE2\x96\x81"
                        "a",
                        "ab", "aa", "\xC3\xA9"}) {
    tokens.emplace_back(t);
    types.push_back(1);
  }
  std::vector<float> scores;
  for (size_t i = 0; i < tokens.size(); ++i) scores.push_back(-static_cast<float>(i % 7));
  w.set_floats("tokenizer.ggml.scores", scores);
  return load(w, tokens, types);
}

std::unique_ptr<text::Tokenizer> make_wordpiece() {
  gguf::Writer w;
  w.set_string("tokenizer.ggml.model", "bert");
  w.set_uint("tokenizer.ggml.unknown_token_id", 0);
  w.set_uint("tokenizer.ggml.cls_token_id", 1);
  w.set_uint("tokenizer.ggml.seperator_token_id", 2);
  return load(w,
              {"[UNK]", "[CLS]", "[SEP]",
               "\xE2\x96\x81"
               "a",
               "a", "b", "\xE2\x96\x81!"},
              {3, 3, 3, 1, 1, 1, 1});
}

// Made once; the fuzzer's entry point has no other place to keep them.
const std::vector<std::unique_ptr<text::Tokenizer>>& tokenizers() {
  static const auto* all = [] {
    auto* v = new std::vector<std::unique_ptr<text::Tokenizer>>;
    v->push_back(make_spm());
    v->push_back(make_wordpiece());
    for (const std::string_view pre : kPre) v->push_back(make_bpe(pre));
    return v;
  }();
  return *all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const auto& all = tokenizers();
  const text::Tokenizer& t = *all[data[0] % all.size()];
  const std::string_view input(reinterpret_cast<const char*>(data + 2), size - 2);
  const size_t cut = input.empty() ? 0 : data[1] % (input.size() + 1);

  const auto plain = t.encode(input);
  for (const int32_t id : plain) {
    check(id >= 0 && id < t.vocab_size());
    check(!t.is_special(id) || id == t.unk());
  }
  // WordPiece normalizes its text, and sentencepiece's mark for a space decodes to one.
  const bool exact = t.model() == "gpt2" ||
                     (t.model() == "llama" && input.find("\xE2\x96\x81") == std::string_view::npos);
  if (exact) check(t.decode(plain) == text::replace_invalid_utf8(input));

  const text::TextPart parts[] = {{input.substr(0, cut), true}, {input.substr(cut), false}};
  const auto mixed = t.encode_parts(parts, true);
  for (const bool skip : {true, false}) {
    text::IncrementalDetokenizer stream(t, {skip, false});
    std::string streamed;
    for (const int32_t id : mixed) {
      const std::string piece = stream.push(id);
      check(text::is_valid_utf8(piece));
      streamed += piece;
    }
    streamed += stream.flush();
    check(streamed == t.decode(mixed, skip));
  }
  return 0;
}
