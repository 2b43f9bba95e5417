// Safetensors reader: any bytes give tensors that tile the data, or an Error.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "checkpoint/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir::checkpoint;
  const auto tensors = parse_safetensors(std::as_bytes(std::span(data, size)), "fuzz");
  if (!tensors.ok()) return tensors.error().message.empty() ? std::abort(), 0 : 0;
  size_t sum = 0;
  for (const SafeTensor& t : *tensors) {
    sum += t.data.size();
    if (!t.data.empty() && t.data.front() == std::byte{1} && t.data.back() == std::byte{2}) ++sum;
  }
  if (sum > 2 * size) std::abort();
  return 0;
}
