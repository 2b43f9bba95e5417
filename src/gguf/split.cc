#include "gguf/split.h"

#include <fmt/format.h>

#include <charconv>

#include "gguf/file.h"

namespace weir::gguf {

namespace {

std::optional<uint64_t> five_digits(std::string_view text) {
  uint64_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.size() != 5 || error != std::errc() || stop != text.data() + text.size())
    return std::nullopt;
  return value;
}

}  // namespace

std::string SplitName::part(uint64_t n) const {
  return fmt::format("{}-{:05}-of-{:05}.gguf", prefix, n, count);
}

std::optional<SplitName> parse_split_name(std::string_view path) {
  constexpr std::string_view kPattern = "-00000-of-00000.gguf";
  if (path.size() <= kPattern.size()) return std::nullopt;
  const std::string_view tail = path.substr(path.size() - kPattern.size());
  if (tail[0] != '-' || tail.substr(6, 4) != "-of-" || tail.substr(15) != ".gguf")
    return std::nullopt;
  const auto number = five_digits(tail.substr(1, 5));
  const auto count = five_digits(tail.substr(10, 5));
  if (!number || !count) return std::nullopt;
  return SplitName{std::string(path.substr(0, path.size() - kPattern.size())), *number, *count};
}

Result<std::vector<size_t>> divide(const SplitSizes& sizes, const SplitLimits& limits) {
  std::vector<size_t> counts{0};
  uint64_t bytes = sizes.first_bytes;
  for (const SplitSizes::Tensor& t : sizes.tensors) {
    const uint64_t more = t.info_bytes + t.data_bytes;
    const bool full = counts.back() >= limits.max_tensors || bytes + more > limits.max_bytes;
    if (counts.back() > 0 && full) {
      counts.push_back(0);
      bytes = sizes.other_bytes;
    }
    ++counts.back();
    bytes += more;
  }
  if (counts.size() <= kMaxParts) return counts;
  return make_error(ErrorCode::kLimit,
                    "the model would fall into {} parts; at most {} are read: make them larger",
                    counts.size(), kMaxParts);
}

}  // namespace weir::gguf
