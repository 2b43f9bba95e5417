// GGUF reader: any bytes give a File or an Error. What the File hands out is read and decoded.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "gguf/file.h"
#include "gguf/test_bytes.h"
#include "quant/codec.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir;
  const auto file = gguf::File::parse(std::as_bytes(std::span(data, size)));
  if (!file.ok()) return file.error().message.empty() ? std::abort(), 0 : 0;
  (void)gguf::touch(*file);
  for (const gguf::Metadata& entry : file->metadata()) {
    (void)file->get_uint(entry.key);
    (void)file->get_float(entry.key);
    (void)file->get_strings(entry.key);
    (void)file->get_ints(entry.key);
    (void)file->get_floats(entry.key);
  }
  for (const gguf::Tensor& tensor : file->tensors()) {
    // Never more values than 8 per byte (one bit each), so the size of the input bounds this.
    std::vector<float> values(tensor.elements());
    const bool decoded = quant::decode(tensor.type, tensor.data, values).ok();
    if (decoded != quant::can_decode(tensor.type)) std::abort();
  }
  return 0;
}
