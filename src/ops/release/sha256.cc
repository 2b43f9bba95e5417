#include "ops/release/sha256.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <vector>

#include "os/file.h"

namespace weir::ops {
namespace {

class Hasher {
 public:
  Hasher() : context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
    ok_ = context_ != nullptr && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1;
  }
  void add(const void* bytes, size_t count) {
    ok_ = ok_ && EVP_DigestUpdate(context_.get(), bytes, count) == 1;
  }
  std::string hex() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned int size = 0;
    ok_ = ok_ && EVP_DigestFinal_ex(context_.get(), digest.data(), &size) == 1;
    assert(ok_ && size == 32);  // SHA-256 fails only without memory
    std::string out;
    if (!ok_) return out;  // is no hash: equal to none
    out.reserve(64);
    for (unsigned int i = 0; i < size; ++i) out += fmt::format("{:02x}", digest[i]);
    return out;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
  bool ok_ = false;
};

}  // namespace

std::string sha256_hex(std::string_view bytes) {
  Hasher hasher;
  hasher.add(bytes.data(), bytes.size());
  return hasher.hex();
}

Result<FileHash> sha256_of_file(const std::string& path) {
  const int fd =
      ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe is not waited for
  if (fd < 0) return os::system_error("open", path, errno);
  struct stat info {};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(fd);
    return make_error(ErrorCode::kUsage, "{} is no file: it cannot be hashed", path);
  }
  Hasher hasher;
  FileHash out;
  std::vector<char> piece(1 << 20);
  while (true) {
    const ssize_t got = ::read(fd, piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      const Error error = os::system_error("read", path, errno);
      ::close(fd);
      return error;
    }
    if (got == 0) break;
    hasher.add(piece.data(), static_cast<size_t>(got));
    out.bytes += static_cast<uint64_t>(got);
  }
  ::close(fd);
  out.sha256 = hasher.hex();
  return out;
}

namespace {

namespace fs = std::filesystem;

// A link inside of `root` leads to what is hashed at its own place. "" when it does.
std::string link_problem(const fs::path& link, const fs::path& root) {
  std::error_code error;
  const fs::path target = fs::canonical(link, error);
  if (error) return fmt::format("{} leads nowhere", link.string());
  const fs::path below = target.lexically_relative(fs::canonical(root, error));
  if (!error && !below.empty() && *below.begin() != "..") {
    if (!fs::is_directory(target, error)) return "";
    return fmt::format("{} is a link to a folder: give a copy without it (cp -rL)", link.string());
  }
  return fmt::format("{} leads out of the folder, to {}: give a copy without such links (cp -rL)",
                     link.string(), target.string());
}

// Files below `root`, relative to it.
Result<std::vector<std::string>> files_below(const std::string& root) {
  std::error_code error;
  std::vector<std::string> out;
  fs::recursive_directory_iterator it(root, error);
  for (; !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    const fs::path& path = it->path();
    if (path.filename().string().starts_with(".")) {
      if (it->is_directory(error)) it.disable_recursion_pending();
      continue;
    }
    if (it->is_symlink(error)) {
      if (std::string problem = link_problem(path, root); !problem.empty())
        return make_error(ErrorCode::kUsage, "{}", problem);
    }
    if (!it->is_regular_file(error)) continue;
    if (out.size() == kMaxFolderFiles)
      return make_error(ErrorCode::kLimit, "{} holds over {} files", root, kMaxFolderFiles);
    out.push_back(path.lexically_relative(root).string());
  }
  if (error) return make_error(ErrorCode::kIo, "cannot read {}: {}", root, error.message());
  if (out.empty()) return make_error(ErrorCode::kUsage, "{} holds no files", root);
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

Result<FileHash> sha256_of_folder(const std::string& path) {
  WEIR_ASSIGN(const std::vector<std::string> names, files_below(path));
  std::string list;
  FileHash out;
  for (const std::string& name : names) {
    WEIR_ASSIGN(const FileHash file, sha256_of_file(fmt::format("{}/{}", path, name)));
    list += fmt::format("{} {}\n", file.sha256, name);
    out.bytes += file.bytes;
  }
  out.sha256 = sha256_hex(list);
  return out;
}

bool is_hex(std::string_view text, size_t digits) {
  return text.size() == digits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace weir::ops
