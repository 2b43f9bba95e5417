#include "os/cgroup.h"

#include <charconv>

#include "os/file.h"

namespace weir::os {

namespace {

constexpr uint64_t kMaxProcFileBytes = 1 << 20;
constexpr int kMaxCgroupDepth = 64;

// The path of the unified hierarchy: the line "0::/path" of /proc/self/cgroup.
std::string unified_path(const std::string& root) {
  const Result<std::string> text = read_file(root + "/proc/self/cgroup", kMaxProcFileBytes);
  if (!text.ok()) return "/";
  std::string_view rest = *text;
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    if (line.starts_with("0::/")) return std::string(line.substr(3));
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  }
  return "/";
}

}  // namespace

std::vector<std::string> cgroup_directories(const std::string& root) {
  const std::string base = root + "/sys/fs/cgroup";
  std::string path = unified_path(root);
  std::vector<std::string> directories;
  for (int depth = 1; depth < kMaxCgroupDepth && path.size() > 1; ++depth) {
    directories.push_back(base + path);
    path.resize(path.rfind('/'));
  }
  directories.push_back(base);
  return directories;
}

uint64_t cgroup_number(const std::string& directory, std::string_view name, uint64_t fallback) {
  const auto text = read_file(fmt::format("{}/{}", directory, name), kMaxProcFileBytes);
  if (!text.ok()) return fallback;
  uint64_t value = 0;
  const char* end = text->data() + text->size();
  return std::from_chars(text->data(), end, value).ec == std::errc() ? value : fallback;
}

uint64_t keyed_number(std::string_view text, std::string_view key, uint64_t fallback) {
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    if (line.starts_with(key)) {
      line.remove_prefix(key.size());
      while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
      uint64_t value = 0;
      const char* stop = line.data() + line.size();
      if (std::from_chars(line.data(), stop, value).ec == std::errc()) return value;
    }
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  }
  return fallback;
}

}  // namespace weir::os
