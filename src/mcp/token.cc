#include "mcp/token.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "os/file.h"

namespace weir::mcp {
namespace {

constexpr size_t kLeast = 16, kMost = 512;

bool equal(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned different = 0;
  for (size_t i = 0; i < a.size(); ++i)
    different |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
  return different == 0;
}

}  // namespace

Status check_token(std::string_view token, std::string_view where) {
  const bool visible = std::all_of(token.begin(), token.end(), [](char c) {
    return static_cast<unsigned char>(c) > ' ' && static_cast<unsigned char>(c) < 0x7f;
  });
  if (visible && token.size() >= kLeast && token.size() <= kMost) return {};
  return make_error(ErrorCode::kUsage,
                    "{}: a token has {} to {} visible characters; openssl rand -hex 24 makes one",
                    where, kLeast, kMost);
}

Result<std::string> read_token_file(const std::string& path) {
  constexpr uint64_t kMaxBytes = 4096;
  struct stat about {};
  if (::stat(path.c_str(), &about) != 0) return os::system_error("read", path, errno);
  if ((about.st_mode & 077) != 0) {
    return make_error(ErrorCode::kPermissionDenied,
                      "{} may be read by others (mode {:o}): chmod 600 {}", path,
                      about.st_mode & 0777, path);
  }
  WEIR_ASSIGN(std::string text, os::read_file(path, kMaxBytes));
  text.resize(std::min(text.find_first_of("\r\n"), text.size()));
  WEIR_TRY(check_token(text, path));
  return text;
}

bool presents_token(const http::Headers& headers, std::string_view token) {
  constexpr std::string_view kScheme = "bearer ";
  const auto field = headers.find("Authorization");
  if (!field || field->size() < kScheme.size()) return false;
  if (!http::iequals(field->substr(0, kScheme.size()), kScheme)) return false;
  return equal(field->substr(kScheme.size()), token);
}

}  // namespace weir::mcp
