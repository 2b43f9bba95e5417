#include "access/key_hash.h"

#include <argon2.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <charconv>

namespace weir::access {
namespace {

constexpr size_t kMaxEncodedBytes = 256;
constexpr size_t kSaltBytes = 16;
constexpr uint32_t kMemoryKib = 19 * 1024;
constexpr uint32_t kPasses = 2;

const uint8_t* bytes(std::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}

// Takes "m=123" and what follows it, a comma or '$', off the front.
bool take_number(std::string_view& text, char name, char end, uint32_t& value) {
  if (text.size() < 3 || text[0] != name || text[1] != '=') return false;
  const char* last = text.data() + text.size();
  const auto [next, ec] = std::from_chars(text.data() + 2, last, value);
  if (ec != std::errc() || next == last || *next != end) return false;
  text.remove_prefix(static_cast<size_t>(next - text.data()) + 1);
  return true;
}

}  // namespace

Digest sha256(std::string_view text) {
  Digest d{};
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), d.data(), &size, EVP_sha256(), nullptr);
  return d;
}

Digest hmac_sha256(std::string_view key, std::string_view text) {
  Digest d{};
  unsigned size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), bytes(text), text.size(), d.data(),
       &size);
  return d;
}

bool equal(const Digest& a, const Digest& b) {
  return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string to_hex(std::string_view text) {
  std::string out;
  for (const char c : text) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return out;
}

std::string to_hex(const Digest& digest) {
  return to_hex(std::string_view(reinterpret_cast<const char*>(digest.data()), digest.size()));
}

Result<Digest> parse_digest(std::string_view hex) {
  Digest d{};
  bool good = hex.size() == 2 * d.size();
  for (size_t i = 0; good && i < d.size(); ++i) {
    const char* at = hex.data() + 2 * i;
    good = std::from_chars(at, at + 2, d[i], 16).ptr == at + 2;
  }
  if (!good) return make_error(ErrorCode::kUsage, "must be 64 hexadecimal digits");
  return d;
}

Result<std::string> random_bytes(size_t count) {
  std::string out(count, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(count)) != 1)
    return make_error(ErrorCode::kIo, "the system's random generator gave nothing");
  return out;
}

Status check_argon2id(std::string_view encoded, const Argon2Limits& limits) {
  constexpr std::string_view kPrefix = "$argon2id$v=19$";
  uint32_t memory_kib = 0;
  uint32_t passes = 0;
  uint32_t lanes = 0;
  std::string_view rest = encoded;
  if (encoded.size() > kMaxEncodedBytes || !encoded.starts_with(kPrefix))
    return make_error(ErrorCode::kUsage, "must begin with {} and have at most {} bytes", kPrefix,
                      kMaxEncodedBytes);
  rest.remove_prefix(kPrefix.size());
  if (!take_number(rest, 'm', ',', memory_kib) || !take_number(rest, 't', ',', passes) ||
      !take_number(rest, 'p', '$', lanes) || rest.find('$') == std::string_view::npos)
    return make_error(ErrorCode::kUsage, "must be $argon2id$v=19$m=N,t=N,p=N$SALT$HASH");
  if (memory_kib > limits.max_memory_kib || passes > limits.max_passes || lanes > limits.max_lanes)
    return make_error(ErrorCode::kUsage, "asks for more than m={},t={},p={}", limits.max_memory_kib,
                      limits.max_passes, limits.max_lanes);
  return {};
}

bool verify_argon2id(const std::string& encoded, std::string_view key) {
  if (!check_argon2id(encoded).ok()) return false;
  return argon2id_verify(encoded.c_str(), key.data(), key.size()) == ARGON2_OK;
}

Result<std::string> make_argon2id(std::string_view key) {
  WEIR_ASSIGN(const std::string salt, random_bytes(kSaltBytes));
  std::string encoded(kMaxEncodedBytes, '\0');
  const int rc = argon2id_hash_encoded(kPasses, kMemoryKib, 1, key.data(), key.size(), salt.data(),
                                       salt.size(), sizeof(Digest), encoded.data(), encoded.size());
  if (rc != ARGON2_OK)
    return make_error(ErrorCode::kOutOfMemory, "argon2id: {}", argon2_error_message(rc));
  encoded.resize(encoded.find('\0'));
  return encoded;
}

}  // namespace weir::access
