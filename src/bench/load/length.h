// Distributions of prompt and output lengths.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::bench {

// The longest prompt or output that a distribution may name; a window of ten million tokens.
inline constexpr int32_t kMaxLengthTokens = 10'000'000;

struct Length {
  enum class Kind { kFixed, kUniform, kLognormal, kTrace };
  Kind kind = Kind::kFixed;
  int32_t low = 1;    // kFixed: the length; kUniform: the least
  int32_t high = 1;   // kUniform: the most; kLognormal: cut there
  double median = 1;  // kLognormal
  double sigma = 0;   // kLognormal: of the logarithm

  // The length that two uniform draws from [0, 1) stand for; at least 1. Precondition: not kTrace.
  int32_t sample(double u1, double u2) const;
  std::string text() const;  // as parse_length reads it
};

// "512", "uniform:100-900", "lognormal:MEDIAN:SIGMA[:MAX]" or "trace" (the length of the trace's
// row). Error: kUsage that names `flag`.
Result<Length> parse_length(std::string_view flag, std::string_view text);

}  // namespace weir::bench
