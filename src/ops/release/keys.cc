#include "ops/release/keys.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>
#include <span>

#include "ops/release/sha256.h"
#include "os/file.h"

namespace weir::ops {
namespace {

static_assert(crypto_sign_PUBLICKEYBYTES == 32 && crypto_sign_SECRETKEYBYTES == 64);

constexpr std::string_view kSecretHead = "weir-release-secret-1 ";
constexpr std::string_view kPublicHead = "weir-release-public-1 ";
constexpr uint64_t kMaxKeyFile = 1024;

void start_sodium() {
  [[maybe_unused]] const int started = sodium_init();  // again is fine
  assert(started >= 0);                                // it fails only without a random device
}

std::string hex_of(std::span<const unsigned char> bytes) {
  std::string out(bytes.size() * 2 + 1, '\0');
  sodium_bin2hex(out.data(), out.size(), bytes.data(), bytes.size());
  out.pop_back();
  return out;
}

bool bytes_of(std::string_view hex, std::span<unsigned char> out) {
  return is_hex(hex, out.size() * 2) && sodium_hex2bin(out.data(), out.size(), hex.data(),
                                                       hex.size(), nullptr, nullptr, nullptr) == 0;
}

// The bytes behind the head of a key file that is exactly one line.
bool read_key(std::string_view text, std::string_view head, std::span<unsigned char> out) {
  if (!text.starts_with(head) || !text.ends_with("\n")) return false;
  text.remove_prefix(head.size());
  text.remove_suffix(1);
  return bytes_of(text, out);
}

std::string signed_text(std::string_view purpose, std::string_view message) {
  return fmt::format("{}\n{}", purpose, message);
}

}  // namespace

Result<PublicKey> PublicKey::read(const std::string& path) {
  WEIR_ASSIGN(const std::string text, os::read_file(path, kMaxKeyFile));
  PublicKey key;
  if (!read_key(text, kPublicHead, key.bytes_)) {
    return make_error(ErrorCode::kCorrupt,
                      "{} is no public key of weir promote keygen: one line, \"{}\" and 64 "
                      "hexadecimal digits",
                      path, kPublicHead);
  }
  return key;
}

bool PublicKey::verify(std::string_view purpose, std::string_view message,
                       std::string_view signature) const {
  start_sodium();
  std::array<unsigned char, crypto_sign_BYTES> bytes{};
  if (!bytes_of(signature, bytes)) return false;
  const std::string text = signed_text(purpose, message);
  return crypto_sign_verify_detached(bytes.data(),
                                     reinterpret_cast<const unsigned char*>(text.data()),
                                     text.size(), bytes_.data()) == 0;
}

std::string PublicKey::hex() const { return hex_of(bytes_); }
std::string PublicKey::file_text() const { return fmt::format("{}{}\n", kPublicHead, hex()); }

SigningKey SigningKey::make() {
  start_sodium();
  SigningKey key;
  std::array<unsigned char, 32> unused{};  // it is in the secret key as well
  crypto_sign_keypair(unused.data(), key.bytes_.data());
  return key;
}

Result<SigningKey> SigningKey::read(const std::string& path) {
  start_sodium();
  WEIR_ASSIGN(std::string text, os::read_file(path, kMaxKeyFile));
  struct stat about {};
  SigningKey key;
  const bool read = read_key(text, kSecretHead, key.bytes_);
  sodium_memzero(text.data(), text.size());
  if (!read) {
    return make_error(ErrorCode::kCorrupt, "{} is no private key of weir promote keygen", path);
  }
  if (::stat(path.c_str(), &about) != 0) return os::system_error("stat", path, errno);
  if ((about.st_mode & 077) != 0) {
    return make_error(ErrorCode::kPermissionDenied,
                      "{} may be read by others (mode {:o}): chmod 600 {}", path,
                      about.st_mode & 0777, path);
  }
  return key;
}

SigningKey::SigningKey(SigningKey&& other) noexcept : bytes_(other.bytes_) {
  sodium_memzero(other.bytes_.data(), other.bytes_.size());
}

SigningKey::~SigningKey() { sodium_memzero(bytes_.data(), bytes_.size()); }

Status SigningKey::write_new(const std::string& path) const {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return os::system_error("make", path, errno);
  std::string text = fmt::format("{}{}\n", kSecretHead, hex_of(bytes_));
  Status written = os::write_all(fd, std::as_bytes(std::span(text)), path);
  sodium_memzero(text.data(), text.size());
  if (written.ok() && ::fsync(fd) != 0) written = os::system_error("write", path, errno);
  ::close(fd);
  if (!written.ok()) ::unlink(path.c_str());
  return written.ok() ? os::sync_directory_of(path) : written;
}

std::string SigningKey::sign(std::string_view purpose, std::string_view message) const {
  start_sodium();
  const std::string text = signed_text(purpose, message);
  std::array<unsigned char, crypto_sign_BYTES> signature{};
  crypto_sign_detached(signature.data(), nullptr,
                       reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                       bytes_.data());
  return hex_of(signature);
}

PublicKey SigningKey::public_key() const {
  PublicKey key;
  crypto_sign_ed25519_sk_to_pk(key.bytes_.data(), bytes_.data());
  return key;
}

}  // namespace weir::ops
