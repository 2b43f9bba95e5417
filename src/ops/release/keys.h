// Ed25519 keys (libsodium) that sign releases, pointers and the rows of the audit log.
//
// Private key file, mode 0600: "weir-release-secret-1 HEX\n", 64 bytes as libsodium has them.
// Public key file: "weir-release-public-1 HEX\n", 32 bytes. Any thread.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::ops {

class PublicKey {
 public:
  // Errors: those of os::read_file; kCorrupt for what is no such file.
  static Result<PublicKey> read(const std::string& path);

  // signature: as SigningKey::sign has it. What it signs is told apart by `purpose`, so that a
  // signature of one kind of thing never holds for another.
  bool verify(std::string_view purpose, std::string_view message, std::string_view signature) const;
  std::string hex() const;
  std::string file_text() const;

 private:
  friend class SigningKey;
  PublicKey() = default;
  std::array<unsigned char, 32> bytes_{};
};

// Its bytes are wiped when it goes. Movable only.
class SigningKey {
 public:
  static SigningKey make();
  // Errors: those of os::read_file; kPermissionDenied when others may read the file; kCorrupt.
  static Result<SigningKey> read(const std::string& path);
  SigningKey(SigningKey&& other) noexcept;
  SigningKey& operator=(SigningKey&&) = delete;
  ~SigningKey();

  // A new file of mode 0600. Errors: kIo, also when there is one.
  Status write_new(const std::string& path) const;
  // 128 hexadecimal digits.
  std::string sign(std::string_view purpose, std::string_view message) const;
  PublicKey public_key() const;

 private:
  SigningKey() = default;
  std::array<unsigned char, 64> bytes_{};
};

// What signatures are for.
inline constexpr std::string_view kSignManifest = "weir-manifest-1";
inline constexpr std::string_view kSignPointer = "weir-pointer-1";
inline constexpr std::string_view kSignLogRow = "weir-log-row-1";
inline constexpr std::string_view kSignLogHead = "weir-log-head-1";

}  // namespace weir::ops
