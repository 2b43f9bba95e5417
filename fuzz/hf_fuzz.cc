// config.json and tokenizer.json of a Hugging Face folder: any JSON gives metadata that the reader
// of GGUF files takes, or an Error. The input is both, with a zero byte between.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "checkpoint/hf_config.h"
#include "checkpoint/hf_tokenizer.h"
#include "gguf/file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir;
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  const size_t cut = all.find('\0');
  const auto config = text::Json::parse(all.substr(0, cut));
  if (!config.ok()) return 0;
  gguf::Writer writer;
  const auto read = checkpoint::read_hf_config(*config, writer);
  if (!read.ok() && read.error().message.empty()) std::abort();
  checkpoint::TokenizerFiles files;
  files.config = *config;
  if (cut != std::string_view::npos) {
    auto tokenizer = text::Json::parse(all.substr(cut + 1));
    if (tokenizer.ok()) files.tokenizer = std::move(*tokenizer);
  }
  const Status status = checkpoint::convert_tokenizer(files, 64, writer);
  if (!status.ok()) return status.error().message.empty() ? std::abort(), 0 : 0;
  const auto bytes = writer.to_bytes();
  if (bytes.ok() && !gguf::File::parse(*bytes).ok()) std::abort();
  return 0;
}
