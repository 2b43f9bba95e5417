// Traces of requests and files of prompts: what is read keeps its promises.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "ops/trace/dataset.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  weir::ops::DatasetLimits limits;
  limits.rows = 100;
  limits.blocks = 200;
  const auto d =
      weir::ops::parse_dataset(std::string_view(reinterpret_cast<const char*>(data), size), limits);
  if (!d.ok()) return 0;
  if (d->rows.empty() || d->rows.size() > limits.rows || d->blocks.size() > limits.blocks)
    std::abort();
  double before = 0;
  for (const auto& row : d->rows) {
    if (row.at_s < before || row.prompt_tokens < 0 || row.output_tokens < 0) std::abort();
    if (size_t{row.first_block} + row.block_count > d->blocks.size()) std::abort();
    before = row.at_s;
  }
  return 0;
}
