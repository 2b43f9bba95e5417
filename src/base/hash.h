// Keyed 128-bit hashes for names that outside input decides: without the key nobody can make two
// inputs meet. SipHash-2-4 with 128 bits of output (Aumasson and Bernstein, "SipHash: a fast
// short-input PRF", 2012); known-answer vectors in hash_test.cc.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>

namespace weir {

struct HashKey {
  uint64_t k0 = 0;
  uint64_t k1 = 0;
  bool operator==(const HashKey&) const = default;
};

struct Hash128 {
  uint64_t low = 0;
  uint64_t high = 0;
  auto operator<=>(const Hash128&) const =
      default;  // NOLINT(modernize-use-nullptr): misread by clang-tidy 14
  // The 16 bytes in the order the reference implementation writes them.
  std::array<std::byte, 16> bytes() const;
  static Hash128 from_bytes(std::span<const std::byte, 16> bytes);
};

Hash128 keyed_hash(const HashKey& key, std::span<const std::byte> bytes);

}  // namespace weir
