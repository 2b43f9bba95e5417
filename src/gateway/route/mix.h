// A good mix of 64 bits: every bit of the input changes every bit of the result with probability
// one half. The finalizer of SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom
// Number Generators", OOPSLA 2014). Not keyed: hash what outside input decides with base/hash.h
// first.
#pragma once

#include <cstdint>

namespace weir::gateway {

constexpr uint64_t mix64(uint64_t x) {
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

// Uniform in (0, 1), never 0: its logarithm is finite.
constexpr double unit_of(uint64_t bits) {
  return (static_cast<double>(bits >> 11) + 0.5) * 0x1.0p-53;
}

}  // namespace weir::gateway
