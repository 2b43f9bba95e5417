// Tokenizer::load over any GGUF file: an error with a message, or a tokenizer that works on some
// text.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "gguf/file.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir;
  const auto file = gguf::File::parse(std::as_bytes(std::span(data, size)));
  if (!file.ok()) return 0;
  const auto loaded = text::Tokenizer::load(*file);
  if (!loaded.ok()) {
    if (loaded.error().message.empty() || !text::is_valid_utf8(loaded.error().message))
      std::abort();
    return 0;
  }
  const text::Tokenizer& t = **loaded;
  for (const bool special : {false, true}) {
    for (const int32_t id : t.encode("aab hello <s>x</s>\n 12 \xC3\xA9", {true, special})) {
      if (id < 0 || id >= t.vocab_size()) std::abort();
    }
  }
  for (int32_t id = 0; id < t.vocab_size() && id < 512; ++id) {
    if (t.decode(std::span(&id, 1)).size() > 3 * t.token_text(id).size()) std::abort();
  }
  for (const int32_t id : t.eog_tokens()) {
    if (!t.is_eog(id) || id >= t.vocab_size()) std::abort();
  }
  return 0;
}
