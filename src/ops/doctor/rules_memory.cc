#include <algorithm>
#include <set>

#include "ops/doctor/rules.h"

namespace weir::ops {
namespace {

bool numa(const Machine& m, const DoctorNeed&) { return m.nodes.size() > 1; }
bool own_numa(const Machine& m, const DoctorNeed& n) { return !m.container && numa(m, n); }

Judged huge_pages_mode(const Machine& m, const DoctorNeed&) {
  if (m.memory.thp.empty()) return unknown();
  if (m.memory.thp != "never") return fine(m.memory.thp);
  const std::string file = "/sys/kernel/mm/transparent_hugepage/enabled";
  Judged j = wrong("never", "echo madvise > " + file, "echo never > " + file);
  return m.nvidia ? as_hint(std::move(j)) : j;  // weights in RAM profit, weights on a GPU hardly
}

Judged huge_pages(const Machine& m, const DoctorNeed&) {
  const MemoryFacts& f = m.memory;
  const double bytes = static_cast<double>(f.huge_pages) * static_cast<double>(f.huge_page_bytes);
  const std::string found =
      fmt::format("{} reserved ({}), {} free", f.huge_pages, gib(bytes), f.huge_pages_free);
  const double share = f.total_bytes > 0 ? bytes / static_cast<double>(f.total_bytes) : 0;
  if (f.huge_pages_free < f.huge_pages || share < 0.01) return fine(found);
  Judged j = wrong_sysctl(m, "vm.nr_hugepages", "0");
  j.found = found;
  if (!sysctl_text(m, "vm.nr_hugepages"))
    j.undo = fmt::format("sysctl -w vm.nr_hugepages={}", f.huge_pages);
  return j;
}

Judged numa_balancing(const Machine& m, const DoctorNeed&) {
  const auto value = sysctl_text(m, "kernel.numa_balancing");
  if (!value) return unknown();
  return *value == "0" ? fine("off") : wrong_sysctl(m, "kernel.numa_balancing", "0");
}

Judged numa_process(const Machine& m, const DoctorNeed&) {
  if (m.process.cpus.empty()) return unknown();
  std::set<int> used;
  for (const NumaNode& node : m.nodes) {
    for (const int cpu : node.cpus) {
      if (std::find(m.process.cpus.begin(), m.process.cpus.end(), cpu) != m.process.cpus.end()) {
        used.insert(node.id);
        break;
      }
    }
  }
  const std::string found = fmt::format("runs on {} of {} nodes", used.size(), m.nodes.size());
  if (used.size() <= 1) return fine(found);
  return advise(
      found, fmt::format("start one replica a node: numactl --cpunodebind={0} --membind={0} weir "
                         "serve ...",
                         *used.begin()));
}

Judged zone_reclaim(const Machine& m, const DoctorNeed&) {
  const auto value = sysctl_text(m, "vm.zone_reclaim_mode");
  if (!value) return unknown();
  return *value == "0" ? fine("off") : wrong_sysctl(m, "vm.zone_reclaim_mode", "0");
}

Judged swap(const Machine& m, const DoctorNeed&) {
  constexpr uint64_t kInUse = 64 << 20;
  const MemoryFacts& f = m.memory;
  if (f.swap_bytes == 0) return fine("none");
  const std::string found = fmt::format("{}, {} in use", gib(static_cast<double>(f.swap_bytes)),
                                        gib(static_cast<double>(f.swap_used_bytes)));
  if (f.swap_used_bytes == 0) return as_hint(wrong(found, "swapoff -a", "swapon -a"));
  // Reading it back while memory is short ends processes: no command for a script.
  Judged j =
      advise(found,
             "find what needs the memory and stop or move it; once free -m shows more memory "
             "available than swap used: swapoff -a, and swapon -a to go back");
  return f.swap_used_bytes >= kInUse ? j : as_hint(std::move(j));
}

Judged swappiness(const Machine& m, const DoctorNeed&) {
  const auto value = sysctl_number(m, "vm.swappiness");
  if (!value) return unknown();
  if (*value <= 10) return fine(fmt::format("{}", *value));
  return wrong_sysctl(m, "vm.swappiness", "1");
}

Judged overcommit(const Machine& m, const DoctorNeed&) {
  const auto value = sysctl_text(m, "vm.overcommit_memory");
  if (!value) return unknown();
  return *value == "2" ? wrong_sysctl(m, "vm.overcommit_memory", "0") : fine(*value);
}

bool model_in_ram(const Machine& m, const DoctorNeed& n) { return n.known() && !m.nvidia; }

Judged memory_model(const Machine& m, const DoctorNeed& n) {
  if (m.memory.available_bytes == 0) return unknown();
  const auto available = static_cast<double>(m.memory.available_bytes);
  const double needed = n.weight_bytes + n.kv_bytes;
  const std::string found =
      fmt::format("{} available, {} needs {} of weights and {} of KV cache a request",
                  gib(available), n.model, gib(n.weight_bytes), gib(n.kv_bytes));
  if (needed <= available) return fine(found);
  return advise(
      found, "free memory, shorten the context, or quantize (weir quantize --dry-run says sizes)");
}

bool limited(const Machine& m, const DoctorNeed&) { return m.cgroup.memory_max_bytes.has_value(); }

Judged cgroup_memory_model(const Machine& m, const DoctorNeed& n) {
  const auto limit = static_cast<double>(*m.cgroup.memory_max_bytes);
  const double needed = n.weight_bytes + n.kv_bytes;
  const std::string found = fmt::format("limit {}, {} needs {}", gib(limit), n.model, gib(needed));
  // A tenth for the program, tokenizer, buffers.
  if (needed * 1.1 <= limit) return fine(found);
  return advise(found,
                fmt::format("start it with a memory limit of {} or more (docker run --memory, "
                            "resources.limits.memory)",
                            gib(needed * 1.1)));
}

Judged memory_high(const Machine& m, const DoctorNeed&) {
  if (!m.cgroup.memory_high_bytes) return fine("not set");
  const auto high = static_cast<double>(*m.cgroup.memory_high_bytes);
  return advise(
      fmt::format("memory.high = {}, {} in use", gib(high),
                  gib(static_cast<double>(m.cgroup.memory_used_bytes))),
      "raise it above what is used (MemoryHigh= of the unit), and let memory.max bound it");
}

}  // namespace

std::vector<DoctorRule> memory_rules() {
  constexpr auto kFix = DoctorSeverity::kFix;
  constexpr auto kHint = DoctorSeverity::kHint;
  return {
      {"memory-thp", kFix, "not containers", "madvise or always",
       "gigabytes of weights in 4 KiB pages miss the TLB; with never the program cannot ask for "
       "larger "
       "ones",
       "linux-transhuge-docs", own_kernel, huge_pages_mode},
      {"memory-hugepages", kFix, "not containers", "none reserved that nobody uses",
       "reserved pages are lost to all else, weights and page cache included",
       "linux-sysctl-vm-docs", own_kernel, huge_pages},
      {"numa-balancing", kFix, "two NUMA nodes or more, not containers", "off",
       "it unmaps pages to see who uses them: weights are read by all threads, so the faults buy "
       "nothing",
       "linux-numa-balancing-docs", own_numa, numa_balancing},
      {"numa-process", kHint, "two NUMA nodes or more", "one node a process",
       "threads that read weights of the other socket share its link", "linux-numa-balancing-docs",
       numa, numa_process},
      {"memory-zone-reclaim", kFix, "two NUMA nodes or more, not containers", "off",
       "a full node throws its page cache away, model files with it, before it takes memory of the "
       "other",
       "linux-sysctl-vm-docs", own_numa, zone_reclaim},
      {"memory-swap", kFix, "not containers", "none, or unused",
       "a weight or KV page that was swapped out stalls every request of a step",
       "linux-sysctl-vm-docs", own_kernel, swap},
      {"memory-swappiness", kFix, "machines with swap, not containers", "10 or less",
       "at 60 the kernel swaps programs out to keep file pages", "linux-sysctl-vm-docs",
       [](const Machine& m, const DoctorNeed&) { return !m.container && m.memory.swap_bytes > 0; },
       swappiness},
      {"memory-overcommit", kFix, "not containers", "0 or 1",
       "with 2 a process is refused address space that it would not touch: large mappings and CUDA "
       "fail",
       "linux-sysctl-vm-docs", own_kernel, overcommit},
      {"memory-model", kFix, "with --model, without GPU", "weights and KV cache fit",
       "what does not fit is read from disk at every token", "linux-sysctl-vm-docs", model_in_ram,
       memory_model},
      {"cgroup-memory-model", kFix, "with --model, under a memory limit",
       "weights and KV cache fit", "over memory.max the process is killed", "linux-cgroup-v2-docs",
       [](const Machine& m, const DoctorNeed& n) {
         return n.known() && !m.nvidia && limited(m, n);
       },
       cgroup_memory_model},
      {"cgroup-memory-high", kHint, "cgroup v2", "not set",
       "above it the kernel slows the process down instead of failing it", "linux-cgroup-v2-docs",
       [](const Machine& m, const DoctorNeed&) { return m.cgroup.version == 2; }, memory_high},
  };
}

}  // namespace weir::ops
