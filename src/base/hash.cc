#include "base/hash.h"

#include <bit>
#include <cstring>

namespace weir {
namespace {

struct SipState {
  uint64_t v0, v1, v2, v3;

  void rounds(int count) {
    for (int i = 0; i < count; ++i) {
      v0 += v1;
      v1 = std::rotl(v1, 13) ^ v0;
      v0 = std::rotl(v0, 32);
      v2 += v3;
      v3 = std::rotl(v3, 16) ^ v2;
      v0 += v3;
      v3 = std::rotl(v3, 21) ^ v0;
      v2 += v1;
      v1 = std::rotl(v1, 17) ^ v2;
      v2 = std::rotl(v2, 32);
    }
  }
  void absorb(uint64_t word) {
    v3 ^= word;
    rounds(2);
    v0 ^= word;
  }
  uint64_t all() const { return v0 ^ v1 ^ v2 ^ v3; }
};

// Little endian, as all machines weir runs on are; the static_assert says so.
static_assert(std::endian::native == std::endian::little);
uint64_t load(const std::byte* from, size_t count) {
  uint64_t word = 0;
  std::memcpy(&word, from, count);
  return word;
}

}  // namespace

std::array<std::byte, 16> Hash128::bytes() const {
  std::array<std::byte, 16> out;
  std::memcpy(out.data(), &low, 8);
  std::memcpy(out.data() + 8, &high, 8);
  return out;
}

Hash128 Hash128::from_bytes(std::span<const std::byte, 16> bytes) {
  return {load(bytes.data(), 8), load(bytes.data() + 8, 8)};
}

Hash128 keyed_hash(const HashKey& key, std::span<const std::byte> bytes) {
  SipState s{0x736f6d6570736575ULL ^ key.k0, 0x646f72616e646f6dULL ^ key.k1 ^ 0xee,
             0x6c7967656e657261ULL ^ key.k0, 0x7465646279746573ULL ^ key.k1};
  size_t at = 0;
  for (; bytes.size() - at >= 8; at += 8) s.absorb(load(bytes.data() + at, 8));
  uint64_t last = uint64_t{bytes.size()} << 56;
  if (at < bytes.size()) last |= load(bytes.data() + at, bytes.size() - at);
  s.absorb(last);
  s.v2 ^= 0xee;
  s.rounds(4);
  Hash128 out;
  out.low = s.all();
  s.v1 ^= 0xdd;
  s.rounds(4);
  out.high = s.all();
  return out;
}

}  // namespace weir
