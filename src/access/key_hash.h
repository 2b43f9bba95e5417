// Keys as they are kept: as SHA-256 of a key with enough randomness of its own, or as argon2id for
// keys that people chose. Over OpenSSL and libargon2.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::access {

using Digest = std::array<uint8_t, 32>;

// FIPS 180-4.
Digest sha256(std::string_view text);
// RFC 2104 over SHA-256.
Digest hmac_sha256(std::string_view key, std::string_view text);
// In time that does not depend on the contents.
bool equal(const Digest& a, const Digest& b);

std::string to_hex(std::string_view bytes);
std::string to_hex(const Digest& digest);
// Error kUsage: not 64 hexadecimal digits.
Result<Digest> parse_digest(std::string_view hex);

// Bytes from the operating system's generator. Error kIo.
Result<std::string> random_bytes(size_t count);

// The bounds of what one verification may take; RFC 9106 recommends 64 MiB and 3 passes where
// memory is scarce, OWASP 19 MiB and 2.
struct Argon2Limits {
  uint32_t max_memory_kib = 64 * 1024;
  uint32_t max_passes = 10;
  uint32_t max_lanes = 4;
};
// Whether "$argon2id$v=19$m=…,t=…,p=…$salt$hash" stays within them. Error kUsage.
Status check_argon2id(std::string_view encoded, const Argon2Limits& limits = {});
// Takes the time and memory that `encoded` says. False also for what check_argon2id refuses.
bool verify_argon2id(const std::string& encoded, std::string_view key);
// With 19 MiB, 2 passes, 1 lane (some 20 ms). Errors: kIo, kOutOfMemory.
Result<std::string> make_argon2id(std::string_view key);

}  // namespace weir::access
