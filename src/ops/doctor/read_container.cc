#include <algorithm>

#include <fmt/format.h>

#include "ops/doctor/read_host.h"
#include "ops/doctor/text.h"

namespace weir::ops {
namespace {

constexpr size_t kMaxMounts = 2000;
constexpr size_t kMaxDisks = 256;

// \040 and its like.
std::string unescaped(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    int code = 0;
    const bool escape = text[i] == '\\' && i + 3 < text.size();
    if (escape && std::from_chars(text.data() + i + 1, text.data() + i + 4, code, 8).ptr ==
                      text.data() + i + 4) {
      out.push_back(static_cast<char>(code));
      i += 3;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

// Format: proc_pid_mountinfo(5).
void read_mounts(const std::string& text, std::vector<Mount>& out) {
  for (const std::string_view line : split_lines(text)) {
    const auto words = split_words(line, " ");
    const auto dash = std::find(words.begin(), words.end(), "-");
    if (words.size() < 6 || words.end() - dash < 4 || out.size() >= kMaxMounts) continue;
    Mount m;
    m.point = unescaped(words[4]);
    m.type = std::string(dash[1]);
    m.source = unescaped(dash[2]);
    m.options = fmt::format("{},{}", words[5], dash[3]);
    out.push_back(std::move(m));
  }
}

// "size=65536k" among the options of a tmpfs; without it half of the memory.
std::optional<uint64_t> tmpfs_bytes(const Mount& mount, uint64_t total_bytes) {
  if (mount.type != "tmpfs") return std::nullopt;
  for (const std::string_view option : split_words(mount.options, ",")) {
    if (!option.starts_with("size=")) continue;
    const std::string_view value = option.substr(5);
    const auto number = leading_number<uint64_t>(value);
    if (!number || *number > (uint64_t{1} << 50)) return std::nullopt;
    switch (value.back()) {
      case 'k':
        return *number << 10;
      case 'm':
        return *number << 20;
      case 'g':
        return std::min(*number, uint64_t{1} << 30) << 30;
      default:
        return number;
    }
  }
  return total_bytes / 2;
}

}  // namespace

void read_container(HostFiles& files, Machine& out) {
  read_mounts(files.file("proc/self/mountinfo").value_or(""), out.mounts);
  if (files.file(".dockerenv")) out.container_kind = "docker";
  if (files.file("run/.containerenv")) out.container_kind = "podman";
  if (const std::string kind = first_line(files, "run/systemd/container"); !kind.empty())
    out.container_kind = kind.substr(0, 32);
  if (out.environment.contains("KUBERNETES_SERVICE_HOST")) out.container_kind = "kubernetes";
  out.container = !out.container_kind.empty();
  const Mount* shm = out.mount_of("/dev/shm");
  if (shm != nullptr && shm->point == "/dev/shm")
    out.shm_bytes = tmpfs_bytes(*shm, out.memory.total_bytes);
  for (const std::string& name : files.list("sys/block")) {
    if (name.starts_with("loop") || name.starts_with("ram") || name.starts_with("zram") ||
        name.starts_with("sr") || name.starts_with("dm-") || out.disks.size() >= kMaxDisks)
      continue;
    const std::string flag = first_line(files, "sys/block/" + name + "/queue/rotational");
    if (!flag.empty()) out.disks.push_back({name, flag == "1"});
  }
}

}  // namespace weir::ops
