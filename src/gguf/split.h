// Names and keys of split models. Source: gguf-split of llama.cpp ("%s-%05d-of-%05d.gguf").
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::gguf {

inline constexpr std::string_view kSplitNumberKey = "split.no";  // from 0
inline constexpr std::string_view kSplitCountKey = "split.count";
inline constexpr std::string_view kSplitTensorsKey = "split.tensors.count";  // over all parts

struct SplitName {
  std::string prefix;   // what stands before "-00001-of-00003.gguf"
  uint64_t number = 0;  // from 1
  uint64_t count = 0;
  // The path of another part, counted from 1.
  std::string part(uint64_t n) const;
};

// Nothing when the path does not end in -NNNNN-of-NNNNN.gguf.
std::optional<SplitName> parse_split_name(std::string_view path);

// How a model is divided. A part holds at least one tensor; one that is larger than the bound
// stands alone in its part.
struct SplitLimits {
  uint64_t max_bytes = UINT64_MAX;    // of a part's file
  uint64_t max_tensors = UINT64_MAX;  // of a part
};

// What goes into the bytes of a part's file.
struct SplitSizes {
  struct Tensor {
    uint64_t info_bytes = 0;  // its entry in the header
    uint64_t data_bytes = 0;  // padded
  };
  uint64_t first_bytes = 0;  // of the first part without tensors
  uint64_t other_bytes = 0;  // of any other
  std::vector<Tensor> tensors;
};

// The number of tensors of each part, in the model's order; one part for a model without any.
// Error: kLimit when there would be more than kMaxParts parts.
Result<std::vector<size_t>> divide(const SplitSizes& sizes, const SplitLimits& limits);

}  // namespace weir::gguf
