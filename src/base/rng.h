// Counter-based random numbers: a draw is a pure function of (seed, stream, counter), so the sample
// at a position does not depend on what ran before it (invariant "same bits"). Philox4x32-10, from
// Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011; known-answer vectors in
// rng_test.cc.
#pragma once

#include <array>
#include <cstdint>

namespace weir {

__extension__ typedef unsigned __int128 uint128;
using Philox4x32 = std::array<uint32_t, 4>;

inline Philox4x32 philox4x32(Philox4x32 counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * counter[0];
    const uint64_t b = uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(b),
               static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(a)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

// 64 random bits for draw `counter` of `stream` under `seed`.
inline uint64_t random_u64(uint64_t seed, uint64_t stream, uint64_t counter) {
  const auto r = philox4x32({static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32),
                             static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)},
                            {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  return (uint64_t{r[1]} << 32) | r[0];
}

// Uniform in [0, 1) with 53 bits.
inline double random_unit(uint64_t seed, uint64_t stream, uint64_t counter) {
  return static_cast<double>(random_u64(seed, stream, counter) >> 11) * 0x1.0p-53;
}

// A sequence of draws, for tests and simulations.
class Rng {
 public:
  explicit Rng(uint64_t seed, uint64_t stream = 0) : seed_(seed), stream_(stream) {}
  uint64_t next() { return random_u64(seed_, stream_, counter_++); }
  double unit() { return random_unit(seed_, stream_, counter_++); }
  // Uniform in [0, n); n > 0. The bias is below 2^-32 for n < 2^32.
  uint64_t below(uint64_t n) {
    return static_cast<uint64_t>((static_cast<uint128>(next()) * n) >> 64);
  }

 private:
  uint64_t seed_;
  uint64_t stream_;
  uint64_t counter_ = 0;
};

}  // namespace weir
