// Names and keys of split models. Source: gguf-split of llama.cpp ("%s-%05d-of-%05d.gguf").
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

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

}  // namespace weir::gguf
