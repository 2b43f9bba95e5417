#include <array>

#include "ops/doctor/read_host.h"
#include "ops/doctor/text.h"

namespace weir::ops {
namespace {

constexpr std::array<std::string_view, 14> kSysctls = {"vm.swappiness",
                                                       "vm.overcommit_memory",
                                                       "vm.zone_reclaim_mode",
                                                       "vm.nr_hugepages",
                                                       "kernel.numa_balancing",
                                                       "net.core.somaxconn",
                                                       "net.core.rmem_max",
                                                       "net.core.wmem_max",
                                                       "net.ipv4.tcp_rmem",
                                                       "net.ipv4.tcp_wmem",
                                                       "net.ipv4.tcp_congestion_control",
                                                       "net.ipv4.tcp_keepalive_time",
                                                       "net.ipv4.tcp_slow_start_after_idle",
                                                       "net.ipv4.tcp_max_syn_backlog"};

}  // namespace

void read_memory(HostFiles& files, Machine& out) {
  MemoryFacts& memory = out.memory;
  const std::string meminfo = files.file("proc/meminfo").value_or("");
  uint64_t swap_free = 0;
  for (const std::string_view line : split_lines(meminfo)) {
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string_view key = line.substr(0, colon);
    const uint64_t value = leading_number<uint64_t>(line.substr(colon + 1)).value_or(0);
    const uint64_t bytes = value < (uint64_t{1} << 53) ? value * 1024 : 0;  // the unit is kB
    if (key == "MemTotal") memory.total_bytes = bytes;
    if (key == "MemAvailable") memory.available_bytes = bytes;
    if (key == "SwapTotal") memory.swap_bytes = bytes;
    if (key == "SwapFree") swap_free = bytes;
    if (key == "HugePages_Total") memory.huge_pages = value;
    if (key == "HugePages_Free") memory.huge_pages_free = value;
    if (key == "Hugepagesize") memory.huge_page_bytes = bytes;
  }
  memory.swap_used_bytes = memory.swap_bytes > swap_free ? memory.swap_bytes - swap_free : 0;
  // "always [madvise] never": the one in brackets.
  const std::string thp = first_line(files, "sys/kernel/mm/transparent_hugepage/enabled");
  const size_t open = thp.find('[');
  const size_t close = thp.find(']');
  if (open != std::string::npos && close != std::string::npos && close > open)
    memory.thp = thp.substr(open + 1, close - open - 1);
  for (const std::string_view name : kSysctls) {
    std::string path = "proc/sys/" + std::string(name);
    for (char& c : path) c = c == '.' ? '/' : c;
    std::string value = first_line(files, path);
    for (char& c : value) c = c == '\t' ? ' ' : c;
    if (!value.empty()) out.sysctl[std::string(name)] = value.substr(0, 128);
  }
}

}  // namespace weir::ops
