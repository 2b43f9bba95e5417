#include <algorithm>

#include "ops/doctor/read_host.h"
#include "ops/doctor/text.h"

namespace weir::ops {
namespace {

constexpr size_t kMaxLevels = 64;

std::optional<uint64_t> limit(std::string_view word) {
  return word == "unlimited" ? UINT64_MAX : number_in<uint64_t>(word);
}

// "Max open files            1024                 524288               files"
void read_limits(const std::string& text, ProcessFacts& process) {
  for (const std::string_view line : split_lines(text)) {
    const auto words = split_words(line);
    if (line.starts_with("Max open files") && words.size() >= 5) {
      process.open_files = limit(words[3]);
      process.open_files_most = limit(words[4]);
    }
    if (line.starts_with("Max locked memory") && words.size() >= 5)
      process.locked_bytes = limit(words[3]);
  }
}

void read_status(const std::string& text, ProcessFacts& process) {
  for (const std::string_view line : split_lines(text)) {
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string_view key = line.substr(0, colon);
    const std::string_view value = trimmed(line.substr(colon + 1));
    if (key == "Cpus_allowed_list") process.cpus = number_list(value);
    if (key == "Mems_allowed_list") process.numa_nodes = number_list(value);
    if (key == "Seccomp") process.seccomp = number_in<int>(value);
  }
}

void lower(std::optional<uint64_t>& out, const std::string& text) {
  const auto value = number_in<uint64_t>(text);
  if (value && (!out || *value < *out)) out = value;
}

// One level of the hierarchy; the strictest limits of all count, and the throttling of the level
// whose quota is the strictest.
void read_level(HostFiles& files, const std::string& folder, bool innermost, CgroupFacts& cgroup) {
  const std::string max = first_line(files, folder + "/cpu.max");
  const auto words = split_words(max);
  const auto quota = words.size() == 2 ? number_in<double>(words[0]) : std::nullopt;
  const auto period = words.size() == 2 ? number_in<double>(words[1]) : std::nullopt;
  if (quota && period && *period > 0 &&
      (!cgroup.quota_cores || *quota / *period < *cgroup.quota_cores)) {
    cgroup.quota_cores = *quota / *period;
    const std::string stat = files.file(folder + "/cpu.stat").value_or("");
    for (const std::string_view line : split_lines(stat)) {
      const auto pair = split_words(line);
      if (pair.size() != 2) continue;
      if (pair[0] == "nr_periods") cgroup.periods = number_in<uint64_t>(pair[1]).value_or(0);
      if (pair[0] == "nr_throttled") cgroup.throttled = number_in<uint64_t>(pair[1]).value_or(0);
    }
  }
  lower(cgroup.memory_max_bytes, first_line(files, folder + "/memory.max"));
  lower(cgroup.memory_high_bytes, first_line(files, folder + "/memory.high"));
  if (innermost) {
    cgroup.memory_used_bytes =
        number_in<uint64_t>(first_line(files, folder + "/memory.current")).value_or(0);
  }
}

void read_cgroup(HostFiles& files, CgroupFacts& cgroup) {
  const std::string root = "sys/fs/cgroup";
  if (!files.file(root + "/cgroup.controllers")) {
    // Version 1 mounts a folder a controller.
    if (!files.list(root + "/cpu").empty()) cgroup.version = 1;
    return;
  }
  cgroup.version = 2;
  std::string path;
  const std::string self = files.file("proc/self/cgroup").value_or("");
  for (const std::string_view line : split_lines(self)) {
    if (line.starts_with("0::/")) path = trimmed(line.substr(3));
  }
  if (path.find("..") != std::string::npos) path.clear();  // of the host, not below this root
  bool innermost = true;
  for (size_t level = 0; level < kMaxLevels; ++level) {
    while (path.ends_with('/')) path.pop_back();
    read_level(files, root + path, innermost, cgroup);
    innermost = false;
    if (path.empty()) return;
    path.erase(path.find_last_of('/'));
  }
}

}  // namespace

void read_process(HostFiles& files, Machine& out) {
  read_limits(files.file("proc/self/limits").value_or(""), out.process);
  read_status(files.file("proc/self/status").value_or(""), out.process);
  read_cgroup(files, out.cgroup);
}

}  // namespace weir::ops
