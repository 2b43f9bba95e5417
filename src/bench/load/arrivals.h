// When an open loop sends: arrival processes as pure functions of their parameters and a seed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::bench {

struct Arrivals {
  enum class Kind { kPoisson, kConstant, kGamma };
  Kind kind = Kind::kPoisson;
  double rate_per_s = 1;
  // Coefficient of variation of the gaps, kGamma only: 1 is Poisson, above it bursts. A gamma
  // distribution of shape 1/cv² and mean 1/rate; vLLM's "burstiness" is that shape.
  double cv = 1;

  // Seconds between arrival i-1 and arrival i, i >= 0 (the first counts from the start).
  double gap_s(uint64_t seed, uint64_t i) const;
  std::string text() const;  // as parse_arrivals reads it
};

// "poisson", "constant" or "gamma:CV" with CV from 0.1 to 10. Error: kUsage.
Result<Arrivals> parse_arrivals(std::string_view text, double rate_per_s);

}  // namespace weir::bench
