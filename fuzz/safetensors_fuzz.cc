// Safetensors reader: any bytes give tensors that tile the data, or an Error; and of tensors that
// are parts of quantized matrices matrices whose every row can be read, or an Error.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include <vector>

#include "checkpoint/quantized.h"
#include "checkpoint/safetensors.h"
#include "gguf/tensor_type.h"

namespace {

using namespace weir;
using namespace weir::checkpoint;

void read_all(const QuantizedMatrix& m) {
  const gguf::TypeInfo& info = *gguf::type_info(m.natural);
  std::vector<float> values(m.cols);
  std::vector<std::byte> bytes(m.cols / info.block_elements * info.block_bytes);
  for (size_t row = 0; row < m.rows; ++row) {
    m.read_row(row, values);
    if (m.cols % info.block_elements != 0) std::abort();
    const Status status = m.write_row(row, m.natural, bytes);
    if (!status.ok() && status.error().message.empty()) std::abort();
  }
}

void join(const std::vector<SafeTensor>& tensors) {
  using Method = QuantizationConfig::Method;
  for (const QuantizationConfig& config :
       {QuantizationConfig{Method::kGptq, 4, true}, QuantizationConfig{Method::kGptq, 8, false},
        QuantizationConfig{Method::kAwq, 4, false},
        QuantizationConfig{Method::kCompressedTensors, 4, false}}) {
    const auto joined = join_quantized(config, tensors);
    if (!joined.ok()) {
      if (joined.error().message.empty()) std::abort();
      continue;
    }
    for (const SafeTensor& t : *joined) {
      if (t.quantized) read_all(*t.quantized);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto tensors = parse_safetensors(std::as_bytes(std::span(data, size)), "fuzz");
  if (!tensors.ok()) return tensors.error().message.empty() ? std::abort(), 0 : 0;
  size_t sum = 0;
  for (const SafeTensor& t : *tensors) {
    sum += t.data.size();
    if (!t.data.empty() && t.data.front() == std::byte{1} && t.data.back() == std::byte{2}) ++sum;
  }
  if (sum > 2 * size) std::abort();
  join(*tensors);
  return 0;
}
