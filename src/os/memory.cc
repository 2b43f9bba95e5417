#include "os/memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include "os/cgroup.h"
#include "os/file.h"

namespace weir::os {

namespace {

constexpr uint64_t kMaxProcFileBytes = 1 << 20;
constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();

// A field of /proc/meminfo, in bytes.
Result<uint64_t> meminfo_bytes(const std::string& root, std::string_view field) {
  WEIR_ASSIGN(const std::string text, read_file(root + "/proc/meminfo", kMaxProcFileBytes));
  const uint64_t kib = keyed_number(text, fmt::format("{}:", field), kNoLimit);
  if (kib > kNoLimit / 1024) {
    return make_error(ErrorCode::kIo, "{}/proc/meminfo has no {}", root, field);
  }
  return kib * 1024;
}

// What one cgroup leaves. File pages that were not used lately are given up before anybody is
// killed.
uint64_t cgroup_left(const std::string& directory) {
  const uint64_t limit = cgroup_number(directory, "memory.max", kNoLimit);
  if (limit == kNoLimit) return kNoLimit;
  const uint64_t current = cgroup_number(directory, "memory.current", 0);
  const auto stat = read_file(directory + "/memory.stat", kMaxProcFileBytes);
  const uint64_t inactive = stat.ok() ? keyed_number(*stat, "inactive_file ", 0) : 0;
  const uint64_t used = current - std::min(current, inactive);
  return limit - std::min(limit, used);
}

}  // namespace

Result<uint64_t> available_memory_bytes(const std::string& root) {
  WEIR_ASSIGN(uint64_t bytes, meminfo_bytes(root, "MemAvailable"));
  for (const std::string& directory : cgroup_directories(root)) {
    bytes = std::min(bytes, cgroup_left(directory));
  }
  return bytes;
}

Result<uint64_t> total_memory_bytes(const std::string& root) {
  WEIR_ASSIGN(uint64_t bytes, meminfo_bytes(root, "MemTotal"));
  for (const std::string& directory : cgroup_directories(root)) {
    bytes = std::min(bytes, cgroup_number(directory, "memory.max", kNoLimit));
  }
  return bytes;
}

uint64_t resident_bytes() {
  const auto text = read_file("/proc/self/statm", kMaxProcFileBytes);
  if (!text.ok()) return 0;
  const size_t space = text->find(' ');
  if (space == std::string::npos) return 0;
  uint64_t pages = 0;
  const char* end = text->data() + text->size();
  if (std::from_chars(text->data() + space + 1, end, pages).ec != std::errc()) return 0;
  return pages * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

uint64_t peak_resident_bytes() {
  rusage usage{};
  if (::getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;  // Linux: in KiB
}

}  // namespace weir::os
